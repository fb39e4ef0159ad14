"""Doubts: taken by one process at a time and in turn by tenant, answered by the vendor, or given up."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import psycopg
import pytest

from services.ledger.alerts import Alerts
from services.ledger.doubts import write_off_old
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, hold, ledger, refused
from tests.inprocess import someone
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.doubt_pb2 import ClaimDoubtsRequest, NoteDoubtRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    DeleteBudgetRequest,
    HoldRequest,
    ListEntriesRequest,
    SetBudgetRequest,
    SettleRequest,
    WriteOffRequest,
)
from waybill.runtime import identity
from waybill.runtime.postgres import Database

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

DAY = datetime.timedelta(days=1)
LATER = """
update waybill_ledger.entries set ended_at = ended_at - %s, ask_at = ask_at - %s where entry_id = any(%s)
"""
NOBODY_ELSE_S = "update waybill_ledger.entries set unanswerable = true where state = 'IN_DOUBT'"


def parse(spend_key: str = "") -> HoldRequest:
    """Two pages at LlamaParse, which can be asked about them."""
    key = spend_key or f"parse:{uuid.uuid4()}"
    return hold(key, 2, vendor="llamaparse", model="cost_effective", unit="page", service="parser")


async def in_doubt(stub: LedgerServiceAsyncStub, who: identity.Caller, request: HoldRequest) -> str:
    """An attempt of which nobody knows; its id."""
    with identity.acting_as(who):
        await stub.Hold(request)
        await stub.Settle(SettleRequest(entry_id=request.entry_id, doubt_reason="lost"))
    return request.entry_id


async def time_passes(database: MigratedPostgres, length: datetime.timedelta, ids: Sequence[str]) -> None:
    """These doubts grow older."""
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        await admin.execute(LATER, [length, length, list(ids)])


@asynccontextmanager
async def alone(database: MigratedPostgres) -> AsyncIterator[LedgerServiceAsyncStub]:
    """A ledger where what other tests left in doubt is not asked about."""
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        await admin.execute(NOBODY_ELSE_S)
    async with ledger(database, operator="operator") as stub:
        yield stub


async def claimed(stub: LedgerServiceAsyncStub, vendor: str = "llamaparse", most: int = 100) -> list[str]:
    """What is taken, each by its entry's id."""
    with identity.acting_as(someone("nobody")):
        answer = await stub.ClaimDoubts(ClaimDoubtsRequest(vendor=vendor, page_size=most))
    return [doubt.entry.entry_id for doubt in answer.doubts]


async def listed(stub: LedgerServiceAsyncStub, who: identity.Caller) -> Sequence[Entry]:
    with identity.acting_as(who):
        return (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries


async def test_a_doubt_is_taken_once_and_later_again_after_a_longer_time(database: MigratedPostgres) -> None:
    who = a_run()
    async with alone(database) as stub, ledger(database) as replica:
        one = await in_doubt(stub, who, parse())
        assert await claimed(stub) == []  # whoever left it may still end it
        await time_passes(database, datetime.timedelta(minutes=1), [one])
        taken = await asyncio.gather(*(claimed(each) for each in [stub, replica] * 5))
        assert [each for some in taken for each in some] == [one]
        await time_passes(database, datetime.timedelta(minutes=2), [one])
        assert await claimed(stub) == []
        await time_passes(database, datetime.timedelta(minutes=2), [one])
        assert await claimed(stub) == [one]
        await time_passes(database, 2 * DAY, [one])
        assert await claimed(stub) == [one]
        (entry,) = await listed(stub, who)
        asked = entry.asking
        assert (asked.possible, asked.times) == (True, 3)
        assert asked.next_time.ToDatetime() - asked.last_time.ToDatetime() == datetime.timedelta(hours=6)


async def test_tenants_take_turns_and_a_claim_names_whose_each_is(database: MigratedPostgres) -> None:
    many, few = a_run(), a_run()
    async with alone(database) as stub:
        of_many = [await in_doubt(stub, many, parse()) for _ in range(5)]
        of_few = [await in_doubt(stub, few, parse())]
        await time_passes(database, datetime.timedelta(minutes=1), of_many + of_few)
        with identity.acting_as(someone("nobody")):
            answer = await stub.ClaimDoubts(ClaimDoubtsRequest(vendor="llamaparse", page_size=2))
    assert {doubt.tenant for doubt in answer.doubts} == {many.tenant, few.tenant}
    assert {doubt.entry.correlation_id for doubt in answer.doubts} == {many.correlation_id}


async def test_only_what_the_vendor_can_tell_is_asked_about(database: MigratedPostgres) -> None:
    who = a_run()
    async with alone(database) as stub:
        ids = [
            await in_doubt(stub, who, hold("embed:s:1", 1000)),
            await in_doubt(stub, who, hold("embed:s:2", 1000, model="text-embedding-3-small batch")),
            await in_doubt(stub, who, parse()),
        ]
        await time_passes(database, DAY, ids)
        assert await claimed(stub, "openai") == [ids[1]]
        assert [entry.asking.possible for entry in await listed(stub, who)] == [False, True, True]
        with identity.acting_as(who):
            await stub.NoteDoubt(NoteDoubtRequest(entry_id=ids[1], answer="BATCH_LINE_MISSING", final=True))
        await time_passes(database, DAY, ids)
        assert await claimed(stub, "openai") == []
        entry = (await listed(stub, who))[1]
        assert (entry.asking.possible, entry.asking.answer) == (False, "BATCH_LINE_MISSING")


async def test_a_note_on_what_has_ended_changes_nothing(database: MigratedPostgres) -> None:
    who = a_run()
    async with alone(database) as stub:
        one = await in_doubt(stub, who, parse())
        with identity.acting_as(who):
            await stub.Settle(SettleRequest(entry_id=one, quantity=2))
            noted = await stub.NoteDoubt(NoteDoubtRequest(entry_id=one, answer="PARSE_RUNS"))
            assert noted.entry == (await listed(stub, who))[0]
        with identity.acting_as(a_run()):
            unknown = stub.NoteDoubt(NoteDoubtRequest(entry_id=one, answer="PARSE_RUNS"))
            assert await refused(unknown) == (grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")


@pytest.mark.parametrize("days", [29, 31])
async def test_by_policy_only_old_doubts_that_no_vendor_tells_of_are_written_off(
    database: MigratedPostgres, days: int
) -> None:
    who = a_run()
    async with alone(database) as stub:
        ids = [await in_doubt(stub, who, hold("embed:s:1", 1000)), await in_doubt(stub, who, parse())]
        with identity.acting_as(who):
            budget = Budget(kind=CostKind.COST_KIND_SIMULATED, unit=Budget.UNIT_NANO_USD,
                            period=Budget.PERIOD_MONTH, limit=10**12)  # fmt: skip
            await stub.SetBudget(SetBudgetRequest(budget=budget))
        counted = await in_doubt(stub, who, hold("embed:s:3", 1000))
        await time_passes(database, days * DAY, [*ids, counted])
        async with Database.opened(database.owner_url("ledger"), max_size=1) as owner:
            written_off = await write_off_old(owner, 30 * DAY, Alerts())
        assert written_off >= 2 or days < 30, "other tests' doubts count, too"
        entries = await listed(stub, who)
        gone = Entry.STATE_WRITTEN_OFF if days > 30 else Entry.STATE_IN_DOUBT
        assert [entry.state for entry in entries] == [gone, Entry.STATE_IN_DOUBT, gone]
        if days > 30:
            assert entries[0].end_reason == "lost; written off after 30 d by WAYBILL_DOUBT_WRITE_OFF_AFTER"
        with identity.acting_as(who):
            window = (await stub.SetBudget(SetBudgetRequest(budget=budget))).budget.window
        assert window.in_doubt == (0 if days > 30 else 20_000)


async def test_who_spends_writes_off_its_own_doubt_and_the_operator_anybody_s(
    database: MigratedPostgres,
) -> None:
    operator, who, other = someone("operator"), a_run(), a_run()
    async with alone(database) as stub:
        own, another = [await in_doubt(stub, one, parse()) for one in (who, other)]
        with identity.acting_as(operator):
            shared = Budget(all_tenants=True, kind=CostKind.COST_KIND_SIMULATED, limit=10**15,
                            unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY)  # fmt: skip
            budget_id = (await stub.SetBudget(SetBudgetRequest(budget=shared))).budget.budget_id
        counts_for_all = await in_doubt(stub, who, parse())
        with identity.acting_as(who):
            gone = (await stub.WriteOff(WriteOffRequest(entry_id=own, reason="asked support"))).entry
            assert (gone.state, gone.end_reason) == (
                Entry.STATE_WRITTEN_OFF,
                "lost; written off: asked support",
            )
            needs = (grpc.StatusCode.FAILED_PRECONDITION, "OPERATOR_REQUIRED")
            for asked in (
                WriteOffRequest(entry_id=counts_for_all, reason="mine"),
                WriteOffRequest(entry_id=another, reason="not mine", tenant=other.tenant),
            ):
                assert await refused(stub.WriteOff(asked)) == needs
            nobody = stub.WriteOff(WriteOffRequest(entry_id=another, reason="not mine"))
            assert await refused(nobody) == (grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")
        with identity.acting_as(operator):
            for whose, entry_id in ((who, counts_for_all), (other, another)):
                asked = WriteOffRequest(entry_id=entry_id, reason="by phone", tenant=whose.tenant)
                assert (await stub.WriteOff(asked)).entry.state == Entry.STATE_WRITTEN_OFF
            await stub.DeleteBudget(DeleteBudgetRequest(budget_id=budget_id))
