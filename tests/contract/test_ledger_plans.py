"""Plans that were approved: the price of their day, and what is told of a run that outran one."""

from __future__ import annotations

import datetime

import grpc

from services.ledger.prices import Price, PriceTable
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, failure, hold, ledger, refused
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import ListPricesRequest, SetBudgetRequest, SettleRequest
from waybill.ledger.v1.plan_pb2 import ApprovePlanRequest, ListPlansRequest, Plan
from waybill.runtime import identity
from waybill.runtime.errors import from_status

OLD, NEW = 20_000_000, 30_000_000


def days_ago(days: int) -> datetime.date:
    """In UTC; asked for in each test, since a suite may run over midnight."""
    return datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=days)


def price(nano_usd_per_million: int, since: datetime.date) -> Price:
    return Price("openai", "text-embedding-3-small", "token", nano_usd_per_million, since, "a test")


def raised() -> PriceTable:
    """A price that is another since today."""
    return PriceTable([price(OLD, datetime.date(2024, 1, 1)), price(NEW, days_ago(0))])


def plan(run_id: str, day: datetime.date | None = None, simulated: int = 0) -> ApprovePlanRequest:
    """Yesterday's, where no day is named."""
    price_day = (day or days_ago(1)).isoformat()
    return ApprovePlanRequest(plan=Plan(run_id=run_id, price_day=price_day, simulated_nano_usd=simulated))


async def test_the_holds_of_a_run_take_the_prices_of_its_plan_s_day(database: MigratedPostgres) -> None:
    yesterday, prices = days_ago(1), raised()
    async with ledger(database, prices=prices) as stub, ledger(database, prices=prices) as other:
        with identity.acting_as(who := a_run()):
            await stub.ApprovePlan(plan(who.run_id, yesterday))
            for one in (stub, other):
                entry = (await one.Hold(hold())).entry
                assert entry.price_nano_usd_per_million == OLD
                settled = (await one.Settle(SettleRequest(entry_id=entry.entry_id, quantity=10))).entry
                assert settled.reported_nano_usd == 200
        with identity.acting_as(a_run()):
            assert (await stub.Hold(hold())).entry.price_nano_usd_per_million == NEW
            listed = (await stub.ListPrices(ListPricesRequest(day=yesterday.isoformat()))).prices
            assert [one.nano_usd_per_million for one in listed] == [OLD]


async def test_a_plan_is_approved_once_and_seen_by_its_tenant_alone(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            first = (await stub.ApprovePlan(plan(who.run_id, yesterday := days_ago(1), simulated=7))).plan
            again = (await stub.ApprovePlan(plan(who.run_id, days_ago(0), simulated=9))).plan
            assert again == first
            assert (first.price_day, first.simulated_nano_usd) == (yesterday.isoformat(), 7)
            assert list((await stub.ListPlans(ListPlansRequest(run_ids=[who.run_id]))).plans) == [first]
        with identity.acting_as(a_run()):
            assert not (await stub.ListPlans(ListPlansRequest(run_ids=[who.run_id]))).plans


async def test_a_plan_of_long_ago_or_of_tomorrow_is_refused(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            for days in (-1, 8):
                code, reason = await refused(stub.ApprovePlan(plan(who.run_id, days_ago(days))))
                assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_OUTDATED")


async def test_a_run_is_told_by_how_much_it_outran_its_plan_and_how_to_go_on(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            await stub.ApprovePlan(plan(who.run_id, simulated=30_000))
            budget = Budget(
                run_id=who.run_id,
                kind=CostKind.COST_KIND_SIMULATED,
                unit=Budget.UNIT_NANO_USD,
                period=Budget.PERIOD_RUN,
                limit=30_000,
            )
            await stub.SetBudget(SetBudgetRequest(budget=budget))
            await stub.Hold(hold("embed:s:1"))
            told = from_status(await failure(stub.Hold(hold("embed:s:2")))).message
    assert "The run outran its plan of $0.00003 by $0.00001" in told
    assert f"`waybill budget set 0.00004usd/run --run {who.run_id} --simulated --tenant {who.tenant}`" in told
