"""Budgets: no concurrency, crash or repeat spends more than they allow, and what was held comes back."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import random
import uuid
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.ledger.changing import expire_holds
from services.ledger.entries import Entries
from services.ledger.prices import Price, PriceTable
from services.ledger.servicer import read_hold
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, failure, hold, ledger, no_run, refused
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget, BudgetChange
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    AdjustRequest,
    DeleteBudgetRequest,
    GetBudgetRequest,
    HoldRequest,
    ListBudgetAlertsRequest,
    ListBudgetChangesRequest,
    ListBudgetsRequest,
    ListEntriesRequest,
    ReleaseRequest,
    SetBudgetRequest,
    SettleRequest,
    WriteOffRequest,
)
from waybill.runtime import identity
from waybill.runtime.errors import Quota, from_status
from waybill.runtime.postgres import Database

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

EXCEEDED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED")
# Of one `hold()`.
PRICE = 20_000


async def put(stub: LedgerServiceAsyncStub, limit: int, **more: Any) -> str:
    """Sets a budget of simulated spending a day; answers its id."""
    return (await stub.SetBudget(SetBudgetRequest(budget=budget(limit, **more)))).budget.budget_id


def budget(limit: int, **more: Any) -> Budget:
    usual = {
        "kind": CostKind.COST_KIND_SIMULATED,
        "unit": Budget.UNIT_NANO_USD,
        "period": Budget.PERIOD_DAY,
        "limit": limit,
    }
    return Budget(**(usual | more))


async def sums(stub: LedgerServiceAsyncStub, budget_id: str) -> tuple[int, int, int]:
    """What is used, held and in doubt now."""
    window = (await stub.GetBudget(GetBudgetRequest(budget_id=budget_id))).budget.window
    return window.used, window.held, window.in_doubt


def settle(entry_id: str, quantity: int = 1000) -> SettleRequest:
    return SettleRequest(entry_id=entry_id, quantity=quantity)


def another() -> HoldRequest:
    """Another purchase."""
    return hold(f"embed:s:{uuid.uuid4()}")


async def outcome(call: Any) -> str:
    """The id of the entry, or the reason of the refusal."""
    try:
        return str((await call).entry.entry_id)
    except grpc.aio.AioRpcError as error:
        return from_status(error).reason


async def test_of_fifty_callers_at_two_ledgers_exactly_the_thirty_pass_that_a_budget_has_room_for(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub, ledger(database) as replica:
        with identity.acting_as(who := a_run()):
            budget_id = await put(stub, 30 * PRICE)
            calls = [one.Hold(another()) for one in [stub, replica] * 25]
            outcomes = await asyncio.gather(*map(outcome, calls))
            assert outcomes.count("BUDGET_EXCEEDED") == 20
            assert await sums(replica, budget_id) == (0, 30 * PRICE, 0)
            entries = (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries
    assert {entry.entry_id for entry in entries} == {*outcomes} - {"BUDGET_EXCEEDED"}


async def test_a_refusal_names_the_budget_its_sums_and_when_it_resets(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 3 * PRICE + 1, service="embedder")
            used, doubtful = [(await stub.Hold(another())).entry.entry_id for _ in range(2)]
            await stub.Settle(settle(used))
            await stub.Settle(SettleRequest(entry_id=doubtful, doubt_reason="lost"))
            await stub.Hold(another())
            error = await failure(stub.Hold(another()))
            window = (await stub.GetBudget(GetBudgetRequest(budget_id=budget_id))).budget.window
    status = rpc_status.from_call(error)
    assert status is not None
    told, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
    assert any(detail.Unpack(told) for detail in status.details)
    assert any(detail.Unpack(retry) for detail in status.details)
    (violation,) = told.violations
    assert violation.subject == f"budgets/{budget_id}"
    assert (violation.quota_metric, violation.quota_value) == ("NANO_USD", 3 * PRICE + 1)
    figures = {name: violation.quota_dimensions[name] for name in ("used", "held", "in_doubt", "wanted")}
    assert figures == dict.fromkeys(figures, str(PRICE))
    resets_at = window.reset_time.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert violation.quota_dimensions["resets_at"] == resets_at
    assert 0 < retry.retry_delay.ToSeconds() <= 86_400
    # Who passes the error on loses nothing of it.
    passed_on = from_status(error)
    assert isinstance(passed_on, Quota)
    assert "$0.00006" in passed_on.message
    assert "waybill budget set" in passed_on.message
    assert passed_on.violations[0].dimensions == dict(violation.quota_dimensions)


async def test_a_hold_raises_every_budget_that_applies_or_none(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            wide = await put(stub, 10 * PRICE)
            requests = await put(stub, 10, unit=Budget.UNIT_REQUESTS, period=Budget.PERIOD_HOUR)
            size = await put(stub, 100, unit=Budget.UNIT_BYTES, period=Budget.PERIOD_MONTH)
            of_run = await put(stub, PRICE, period=Budget.PERIOD_RUN, run_id=who.run_id)
            await stub.Hold(hold("a", size_bytes=40))
            assert await refused(stub.Hold(hold("b", size_bytes=40))) == EXCEEDED
            assert await sums(stub, wide) == (0, PRICE, 0)
            assert await sums(stub, requests) == (0, 1, 0)
            assert await sums(stub, size) == (0, 40, 0)
            assert await sums(stub, of_run) == (0, PRICE, 0)


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        ({}, True),
        ({"collection": "c"}, True),
        ({"collection": "d"}, False),
        ({"service": "embedder"}, True),
        ({"service": "parser"}, False),
        ({"collection": "c", "service": "embedder"}, True),
        ({"collection": "c", "service": "parser"}, False),
        ({"kind": CostKind.COST_KIND_REAL}, False),
        ({"period": Budget.PERIOD_RUN, "run_id": str(uuid.UUID(int=7))}, False),
    ],
)
async def test_a_budget_counts_what_is_in_its_scope_alone(
    database: MigratedPostgres, scope: dict[str, Any], counts: bool
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(dataclasses.replace(a_run(), collection="c")):
            budget_id = await put(stub, PRICE - 1, **scope)
            assert (await outcome(stub.Hold(another())) == "BUDGET_EXCEEDED") is counts
            assert await sums(stub, budget_id) == (0, 0, 0)


async def test_each_run_has_a_window_of_its_own_in_a_budget_of_runs(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(first := a_run()):
            await put(stub, PRICE, period=Budget.PERIOD_RUN)
            await stub.Hold(another())
            error = from_status(await failure(stub.Hold(another())))
            assert (error.reason, error.retry_after_seconds) == ("BUDGET_EXCEEDED", None)
            command = f"waybill budget set LIMIT/run --simulated --tenant {first.tenant}"
            assert f"next window; raise its limit: `{command}`." in error.message
        with identity.acting_as(a_run(first.tenant)):
            await stub.Hold(another())
        with identity.acting_as(dataclasses.replace(first, run_id="")):
            for _ in range(2):  # a search belongs to no run
                await stub.Hold(another())


async def test_a_run_that_its_own_budget_stops_is_told_the_command_that_raises_it(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            await put(stub, 0, period=Budget.PERIOD_RUN, run_id=who.run_id)
            told = from_status(await failure(stub.Hold(another()))).message
            command = f"waybill budget set LIMIT/run --run {who.run_id} --simulated --tenant {who.tenant}"
            assert f"`{command}`" in told
            assert "await" not in told


async def test_what_costs_nothing_or_sends_nothing_is_not_refused_for_want_of_it(
    database: MigratedPostgres,
) -> None:
    who = a_run()
    free = Price("openai", "text-embedding-3-small", "token", 0, datetime.date(2020, 1, 1), "a test")
    async with ledger(database) as stub, Database.opened(database.url("ledger")) as opened:
        with identity.acting_as(who):
            for unit in (Budget.UNIT_NANO_USD, Budget.UNIT_BYTES):
                await put(stub, 0, unit=unit)
            assert await refused(stub.Hold(another())) == EXCEEDED
        entries = Entries(opened, PriceTable([free]), lambda: datetime.date(2026, 11, 27))
        assert (await entries.hold(who, read_hold(another())))["state"] == "HELD"


async def test_no_tenant_counts_in_or_sees_a_budget_of_another(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 0)
        with identity.acting_as(a_run()):
            await stub.Hold(another())
            missing = (grpc.StatusCode.NOT_FOUND, "BUDGET_NOT_FOUND")
            assert await refused(stub.GetBudget(GetBudgetRequest(budget_id=budget_id))) == missing
            assert await refused(stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))) == missing
            assert not (await stub.ListBudgets(ListBudgetsRequest())).budgets
            assert not (await stub.ListBudgetChanges(ListBudgetChangesRequest())).changes


async def test_a_budget_over_all_tenants_is_the_operator_s_and_tells_nobody_what_others_spend(
    database: MigratedPostgres,
) -> None:
    collection = uuid.uuid4().hex  # so that it meets no other test's tenants
    first, second = (dataclasses.replace(a_run(), collection=collection) for _ in range(2))
    async with ledger(database, operator="boss") as stub:
        shared = {"all_tenants": True, "collection": collection}
        with identity.acting_as(first):
            assert await refused(put(stub, 1, **shared)) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "OPERATOR_REQUIRED",
            )
        with identity.acting_as(a_run("boss")):
            budget_id = await put(stub, 2 * PRICE, **shared)
        with identity.acting_as(first):
            held = (await stub.Hold(another())).entry.entry_id
            missing = (grpc.StatusCode.NOT_FOUND, "BUDGET_NOT_FOUND")
            assert await refused(stub.GetBudget(GetBudgetRequest(budget_id=budget_id))) == missing
            assert await refused(stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))) == missing
        with identity.acting_as(second):
            await stub.Hold(another())
            error = from_status(await failure(stub.Hold(another())))
            assert isinstance(error, Quota)
            assert not {"used", "held", "in_doubt"} & {*error.violations[0].dimensions}
            assert "over all tenants" in error.message
        with identity.acting_as(first):
            await stub.Release(ReleaseRequest(entry_id=held, reason="refused"))
        with identity.acting_as(a_run("boss")):
            assert await sums(stub, budget_id) == (0, PRICE, 0)
            await stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))


async def test_every_way_out_of_a_hold_moves_its_amount_and_a_replay_moves_nothing(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 10 * PRICE)
            request = hold("a")
            for _ in range(2):
                await stub.Hold(request)
                assert await sums(stub, budget_id) == (0, PRICE, 0)
            for _ in range(2):
                await stub.Settle(SettleRequest(entry_id=request.entry_id, doubt_reason="lost"))
                assert await sums(stub, budget_id) == (0, 0, PRICE)
            for _ in range(2):
                await stub.Settle(settle(request.entry_id, 3000))
                assert await sums(stub, budget_id) == (3 * PRICE, 0, 0)
            released, doubtful = [(await stub.Hold(hold(name))).entry.entry_id for name in "bc"]
            for _ in range(2):
                await stub.Release(ReleaseRequest(entry_id=released, reason="refused"))
                assert await sums(stub, budget_id) == (3 * PRICE, PRICE, 0)
            await stub.Settle(SettleRequest(entry_id=doubtful, doubt_reason="lost"))
            for _ in range(2):
                written_off = (await stub.WriteOff(WriteOffRequest(entry_id=doubtful, reason="old"))).entry
                assert written_off.state == Entry.STATE_WRITTEN_OFF
                assert await sums(stub, budget_id) == (3 * PRICE, 0, 0)


async def test_only_a_doubt_is_written_off(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry_id = (await stub.Hold(another())).entry.entry_id
            conflict = (grpc.StatusCode.ALREADY_EXISTS, "ENTRY_CONFLICT")
            assert await refused(stub.WriteOff(WriteOffRequest(entry_id=entry_id, reason="old"))) == conflict


async def test_a_settlement_above_its_hold_counts_in_full_and_shows_that_it_is_over(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 2 * PRICE)
            entry_id = (await stub.Hold(another())).entry.entry_id
            await stub.Settle(settle(entry_id, 5000))
            window = (await stub.GetBudget(GetBudgetRequest(budget_id=budget_id))).budget.window
            assert (window.used, window.over_limit) == (5 * PRICE, True)
            assert await refused(stub.Hold(another())) == EXCEEDED


async def test_what_the_vendor_charged_in_the_end_counts(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 10**9)
            bought = {"operation": "parse", "vendor": "llamaparse", "model": "cost_effective", "unit": "page"}
            entries = [(await stub.Hold(hold(f"p{n}", quantity=2, **bought))).entry for n in range(3)]
            await stub.Settle(settle(entries[0].entry_id, 2))
            await stub.Release(ReleaseRequest(entry_id=entries[1].entry_id, reason="refused"))
            for entry in entries:  # settled, released, and held
                for _ in range(2):
                    await stub.Adjust(
                        AdjustRequest(
                            entry_id=entry.entry_id, model="credit", unit="microcredit", quantity=1_000_000,
                            reason="credits",
                        )
                    )  # fmt: skip
            assert await sums(stub, budget_id) == (3 * 1_250_000, 0, 0)


async def test_a_budget_whose_holders_were_all_killed_comes_back(database: MigratedPostgres) -> None:
    async with ledger(database) as stub, Database.opened(database.owner_url("ledger"), max_size=1) as owner:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 5 * PRICE)
            requests = [another() for _ in range(5)]
            for request in requests:
                request.ttl.FromMilliseconds(0)
                await stub.Hold(request)
            await expire_holds(owner)
            assert await sums(stub, budget_id) == (0, 0, 5 * PRICE)
            assert await refused(stub.Hold(another())) == EXCEEDED
            resolved, *lost = [request.entry_id for request in requests]
            await stub.Settle(settle(resolved, 500))
            for entry_id in lost:
                await stub.WriteOff(WriteOffRequest(entry_id=entry_id, reason="nobody can tell"))
            assert await sums(stub, budget_id) == (PRICE // 2, 0, 0)
            await stub.Hold(another())


async def test_holds_and_settlements_over_several_budgets_never_wait_for_each_other(
    database: MigratedPostgres,
) -> None:
    """Each entry counts in another choice of budgets; a deadlock would end a call with UNAVAILABLE."""
    who = a_run()
    services = ("embedder", "parser")
    async with ledger(database) as stub, ledger(database) as replica:
        with identity.acting_as(who):
            ids = [
                await put(stub, 10**12, service=service, collection=collection, unit=unit)
                for service in ("", *services)
                for collection in ("", "a", "b")
                for unit in (Budget.UNIT_NANO_USD, Budget.UNIT_REQUESTS)
            ]

        async def buy(number: int) -> None:
            rng = random.Random(number)
            one = rng.choice((stub, replica))
            caller = dataclasses.replace(who, collection=rng.choice("ab"))
            with identity.acting_as(caller):
                # The same purchases, by owners that take each other for dead.
                request = hold(f"s{number % 5}", owner=f"embedder/{number}", service=rng.choice(services))
                entry_id = (await one.Hold(request)).entry.entry_id
                await one.Settle(settle(entry_id, rng.choice((500, 1000, 2000))))

        await asyncio.gather(*map(buy, range(60)))
        with identity.acting_as(who):
            entries = (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries
            assert {entry.state for entry in entries} == {Entry.STATE_SETTLED}
            assert await sums(stub, ids[0]) == (sum(entry.reported_nano_usd for entry in entries), 0, 0)
            assert await sums(stub, ids[1]) == (60, 0, 0)


async def test_an_attempt_that_its_dead_owner_left_is_in_doubt_in_the_budget_too(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 3 * PRICE)
            await stub.Hold(hold(owner="embedder/dead"))
            await stub.Hold(hold(owner="embedder/new"))
            assert await sums(stub, budget_id) == (0, PRICE, PRICE)


async def test_a_threshold_is_told_once_in_a_window_whoever_crosses_it_how_often(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub, ledger(database) as replica:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, 10 * PRICE, thresholds=[50, 80])
            asked = ListBudgetAlertsRequest(budget_id=budget_id)
            for _ in range(4):
                await stub.Hold(another())
            assert not (await stub.ListBudgetAlerts(asked)).alerts
            for _ in range(2):
                calls = [one.Hold(another()) for one in [stub, replica] * 3]
                held = list(await asyncio.gather(*map(outcome, calls)))
                for entry_id in held:
                    await stub.Release(ReleaseRequest(entry_id=entry_id, reason="refused"))
            alerts = (await stub.ListBudgetAlerts(asked)).alerts
            assert [alert.threshold for alert in alerts] == [80, 50]
            assert (alerts[1].limit, alerts[1].window.held) == (10 * PRICE, 5 * PRICE)


async def test_a_settlement_that_crosses_a_threshold_tells_it(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            await put(stub, 10 * PRICE)
            entry_id = (await stub.Hold(another())).entry.entry_id
            await stub.Settle(settle(entry_id, 9000))
            (alert,) = (await stub.ListBudgetAlerts(ListBudgetAlertsRequest())).alerts
            assert (alert.threshold, alert.window.used) == (80, 9 * PRICE)


async def test_every_change_is_audited_and_a_repeat_is_none(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            for limit in (1, 1, 2):
                budget_id = await put(stub, limit)
            for _ in range(2):
                await stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))
            assert await put(stub, 2, thresholds=[10]) == budget_id
            assert await put(stub, 3) == budget_id  # it is raised: its thresholds stay
            request, seen = ListBudgetChangesRequest(budget_id=budget_id, page_size=3), list[BudgetChange]()
            while True:
                page = await stub.ListBudgetChanges(request)
                seen += page.changes
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
    limits = [
        tuple(getattr(one, name) if one.HasField(name) else None for name in ("old_limit", "new_limit"))
        for one in reversed(seen)
    ]
    assert limits == [(None, 1), (1, 2), (2, None), (None, 2), (2, 3)]
    assert {(one.changed_by, one.correlation_id) for one in seen} == {(who.tenant, who.correlation_id)}
    assert [list(one.new_thresholds) for one in seen[:2]] == [[10], [10]]


async def test_a_deleted_budget_limits_nothing_and_goes_on_where_it_was_when_it_is_set_again(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            budget_id = await put(stub, PRICE)
            entry_id = (await stub.Hold(another())).entry.entry_id
            await stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))
            await stub.Hold(another())
            await stub.Settle(settle(entry_id))
            missing = (grpc.StatusCode.NOT_FOUND, "BUDGET_NOT_FOUND")
            assert await refused(stub.GetBudget(GetBudgetRequest(budget_id=budget_id))) == missing
            await put(stub, PRICE)
            assert await sums(stub, budget_id) == (PRICE, 0, 0)


async def test_a_raised_limit_lets_holds_pass_at_once(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            await put(stub, 0)
            assert await refused(stub.Hold(another())) == EXCEEDED
            await put(stub, PRICE)
            await stub.Hold(another())


async def test_pages_list_every_budget_once_and_a_run_s_own_apart(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            ids = [await put(stub, 1, collection=f"c{number}") for number in range(5)]
            own = await put(stub, 1, period=Budget.PERIOD_RUN, run_id=who.run_id)
            request, seen = ListBudgetsRequest(page_size=2), list[str]()
            while True:
                page = await stub.ListBudgets(request)
                seen += [one.budget_id for one in page.budgets]
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
            of_run = (await stub.ListBudgets(ListBudgetsRequest(run_id=who.run_id))).budgets
    assert seen == ids
    assert [one.budget_id for one in of_run] == [own]


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": 0},
        {"kind": CostKind.COST_KIND_LOCAL},
        {"unit": 0},
        {"period": 0},
        {"limit": -1},
        {"thresholds": [0]},
        {"thresholds": [101]},
        {"service": "embeder"},
        {"service": "storage", "period": Budget.PERIOD_HOUR},
        {"service": "storage", "unit": Budget.UNIT_BYTES},
        {"service": "storage", "collection": "manuals"},
        {"collection": "c" * 129},
        {"run_id": "no", "period": Budget.PERIOD_RUN},
        {"run_id": str(uuid.UUID(int=1))},
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused(
    database: MigratedPostgres, broken: dict[str, Any]
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(no_run()):
            request = SetBudgetRequest(budget=budget(**({"limit": 1} | broken)))
            assert await refused(stub.SetBudget(request)) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
            )
