"""Runs that wait for one budget, and how many of them are woken, on a real ledger."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from services.orchestrator.budget_waits import PROMISE, BudgetWaits
from services.orchestrator.runs.rows import RunRef
from services.orchestrator.runs.waits import Wait
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, hold, ledger
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.runtime import identity

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

BEGIN = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
# Of one `hold()`.
PRICE = 20_000


class Clock:
    """What the orchestrator takes for the time."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime.datetime:
        return self.now


async def put(stub: LedgerServiceAsyncStub, limit: int, period: Budget.Period) -> str:
    budget = Budget(kind=CostKind.COST_KIND_SIMULATED, unit=Budget.UNIT_NANO_USD, period=period, limit=limit)
    return (await stub.SetBudget(SetBudgetRequest(budget=budget))).budget.budget_id


def waiting(tenant: str, budget_id: str) -> Wait:
    """A run that would hold PRICE."""
    run = RunRef(tenant, str(uuid.uuid4()))
    return Wait(uuid.uuid4(), run, "budget", f"{budget_id}:{PRICE}", False, BEGIN, BEGIN)


async def woken(waits: BudgetWaits, those: list[Wait]) -> list[Wait]:
    """Which of them a look at all of them side by side wakes."""
    looks = await asyncio.gather(*(waits.look(one, {}) for one in those))
    return [one for one, look_at in zip(those, looks, strict=True) if look_at is None]


def watching(stub: LedgerServiceAsyncStub, clock: Clock) -> BudgetWaits:
    return BudgetWaits(cast("Any", SimpleNamespace(ledger=stub)), clock)


async def test_a_raise_wakes_as_many_runs_as_it_has_room_for_and_the_others_later(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            clock = Clock()
            waits = watching(stub, clock)
            budget_id = await put(stub, 2 * PRICE, Budget.PERIOD_DAY)
            those = [waiting(who.tenant, budget_id) for _ in range(6)]
            first = await woken(waits, those)
            assert len(first) == 2
            rest = [one for one in those if one not in first]
            assert await woken(waits, rest) == [], "what was promised is promised again"
            # One of the two has bought, the other one was cancelled.
            await stub.Hold(hold())
            clock.now += PROMISE
            assert len(await woken(waits, rest)) == 1


async def test_a_refusal_promises_nothing(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            waits = watching(stub, Clock())
            budget_id = await put(stub, PRICE - 1, Budget.PERIOD_DAY)
            assert await woken(waits, [waiting(who.tenant, budget_id) for _ in range(3)]) == []
            await put(stub, PRICE, Budget.PERIOD_DAY)
            assert len(await woken(waits, [waiting(who.tenant, budget_id)])) == 1


async def test_runs_that_have_a_window_each_do_not_wait_for_each_other(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            budget_id = await put(stub, PRICE, Budget.PERIOD_RUN)
            those = [waiting(who.tenant, budget_id) for _ in range(4)]
            assert await woken(watching(stub, Clock()), those) == those
