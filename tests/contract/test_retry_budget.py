"""A run's retry budget: buying again what may be charged already is bounded by money, and nothing else is."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import TYPE_CHECKING, Any

import grpc

from services.ledger.retries import RetryBudget
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, failure, hold, ledger, no_run, refused
from waybill.cli.limits import limit
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    ListEntriesRequest,
    ReleaseRequest,
    SetBudgetRequest,
    SettleRequest,
)
from waybill.runtime import identity
from waybill.runtime.errors import Quota, from_status

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

EXCEEDED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "RETRY_BUDGET_EXCEEDED")
# Of one `hold()`.
PRICE = 20_000
A_TENTH = RetryBudget(percent=10, least_nano_usd=0)
KINDS = (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)


async def lost(stub: LedgerServiceAsyncStub, key: str, **more: Any) -> None:
    """An attempt whose answer never came."""
    entry = (await stub.Hold(hold(key, **more))).entry
    await stub.Settle(SettleRequest(entry_id=entry.entry_id, doubt_reason="lost"))


async def limited(
    stub: LedgerServiceAsyncStub, run_id: str, nano_usd: int, kind: CostKind = KINDS[1]
) -> None:
    """What `ingest --max-usd` and an approved plan set."""
    budget = Budget(
        run_id=run_id, kind=kind, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_RUN, limit=nano_usd
    )
    await stub.SetBudget(SetBudgetRequest(budget=budget))


async def test_repeats_of_what_may_be_charged_pass_up_to_a_tenth_of_what_the_run_may_spend(
    database: MigratedPostgres,
) -> None:
    async with ledger(database, retries=A_TENTH) as stub:
        with identity.acting_as(who := a_run()):
            await limited(stub, who.run_id, 20 * PRICE)
            for key in "abcd":
                await lost(stub, key)
            await lost(stub, "a")
            assert (await stub.Hold(hold("b"))).entry.attempt == 2
            assert await refused(stub.Hold(hold("c"))) == EXCEEDED
            # What is bought for the first time is none of this.
            assert (await stub.Hold(hold("e"))).entry.attempt == 1
            entries = (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries
    assert len([one for one in entries if one.attempt > 1]) == 2


async def test_the_refusal_is_final_and_names_the_command_after_which_it_passes(
    database: MigratedPostgres,
) -> None:
    async with ledger(database, retries=A_TENTH) as stub:
        with identity.acting_as(who := a_run()):
            await lost(stub, "a", quantity=10_000_000)
            error = from_status(await failure(stub.Hold(hold("a", quantity=10_000_000))))
            assert isinstance(error, Quota)
            # Nothing that waits for a budget's next window, or repeats, may take it up again.
            assert (error.retry_after_seconds, dict(error.metadata)) == (None, {})
            (violation,) = error.violations
            assert violation.subject == f"runs/{who.run_id}"
            assert (violation.limit, violation.dimensions["wanted"]) == (20_000_000, "200000000")
            command = re.search(
                r"`waybill budget set (\S+) --run (\S+) --simulated --tenant (\S+)`", error.message
            )
            assert command is not None
            assert command[2] == who.run_id
            assert f"`waybill retry {who.run_id} --tenant {who.tenant}`" in error.message
            await limited(stub, who.run_id, limit(command[1]).amount)
            assert (await stub.Hold(hold("a", quantity=10_000_000))).entry.attempt == 2


async def test_without_a_limit_the_run_s_first_attempts_say_what_it_may_spend(
    database: MigratedPostgres,
) -> None:
    async with ledger(database, retries=A_TENTH) as stub:
        with identity.acting_as(a_run()):
            await lost(stub, "a")
            for number in range(8):
                await stub.Hold(hold(f"b{number}"))
            assert await refused(stub.Hold(hold("a"))) == EXCEEDED  # a tenth of 9
            await stub.Hold(hold("c"))
            assert (await stub.Hold(hold("a"))).entry.attempt == 2  # of 10


async def test_a_repeat_of_what_the_vendor_surely_did_not_do_is_free(database: MigratedPostgres) -> None:
    async with ledger(database, retries=A_TENTH) as stub:
        with identity.acting_as(a_run()):
            for _ in range(5):
                entry = (await stub.Hold(hold("a"))).entry
                await stub.Release(ReleaseRequest(entry_id=entry.entry_id, reason="VENDOR_RATE_LIMITED"))
            entry = (await stub.Hold(hold("a"))).entry
            assert (entry.attempt, entry.state) == (6, Entry.STATE_HELD)
            await stub.Settle(SettleRequest(entry_id=entry.entry_id, quantity=1000))
            # What is paid, and wanted once more after a crash, is a repeat.
            assert await refused(stub.Hold(hold("a"))) == EXCEEDED


async def test_a_small_run_may_repeat_what_the_least_allows(database: MigratedPostgres) -> None:
    async with ledger(database, retries=RetryBudget(percent=10, least_nano_usd=2 * PRICE)) as stub:
        with identity.acting_as(a_run()):
            for _ in range(3):
                await lost(stub, "a")
            assert await refused(stub.Hold(hold("a"))) == EXCEEDED


async def test_the_same_attempt_told_again_and_what_is_outside_a_run_are_never_refused(
    database: MigratedPostgres,
) -> None:
    async with ledger(database, retries=RetryBudget(percent=100, least_nano_usd=0)) as stub:
        with identity.acting_as(a_run()):
            await lost(stub, "a")
            again = hold("a")
            first = (await stub.Hold(again)).entry
            assert await refused(stub.Hold(hold("a"))) == EXCEEDED
            assert (await stub.Hold(again)).entry == first
        with identity.acting_as(no_run()):
            for attempt in range(1, 5):
                assert (await stub.Hold(hold("a"))).entry.attempt == attempt


async def test_real_and_simulated_money_have_a_retry_budget_each(database: MigratedPostgres) -> None:
    async with ledger(database, retries=A_TENTH) as stub:
        with identity.acting_as(who := a_run()):
            real, simulated = KINDS
            await limited(stub, who.run_id, 1_000 * PRICE, real)
            for kind in KINDS:
                await lost(stub, f"key of {kind}", kind=kind)
            assert await refused(stub.Hold(hold(f"key of {simulated}", kind=simulated))) == EXCEEDED
            assert (await stub.Hold(hold(f"key of {real}", kind=real))).entry.attempt == 2


async def test_of_twenty_repeats_at_once_at_two_ledgers_exactly_those_pass_that_are_allowed(
    database: MigratedPostgres,
) -> None:
    async with ledger(database, retries=A_TENTH) as stub, ledger(database, retries=A_TENTH) as other:
        with identity.acting_as(who := a_run()):
            await limited(stub, who.run_id, 70 * PRICE)
            keys = [str(uuid.uuid4()) for _ in range(20)]
            for key in keys:
                await lost(stub, key)
            ledgers = [stub, other] * 10

            async def repeated(at: LedgerServiceAsyncStub, key: str) -> str:
                try:
                    await at.Hold(hold(key))
                except grpc.aio.AioRpcError as error:
                    return from_status(error).reason
                return "held"

            outcomes = await asyncio.gather(*map(repeated, ledgers, keys))
    assert sorted(outcomes) == ["RETRY_BUDGET_EXCEEDED"] * 13 + ["held"] * 7


def test_of_a_run_that_may_spend_much_a_tenth_is_for_repeats_and_of_a_small_one_the_least() -> None:
    assert [RetryBudget().of(hold) for hold in (0, 1_000, 500_000_000, 5_000_000_000)] == [
        50_000_000, 50_000_000, 50_000_000, 500_000_000,
    ]  # fmt: skip
