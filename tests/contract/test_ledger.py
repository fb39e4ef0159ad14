"""The ledger: each attempt once, money exact, every way out of a state but no other."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import grpc
import psycopg
import pytest

from services.ledger.changing import expire_holds
from services.ledger.entries import Entries
from services.ledger.prices import PriceTable
from services.ledger.servicer import read_hold
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, failure, hold, ledger, no_run, refused
from tests.waiting import until
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    AdjustRequest,
    HoldRequest,
    ListEntriesRequest,
    ReleaseRequest,
    SettleRequest,
)
from waybill.runtime import identity
from waybill.runtime.errors import from_status
from waybill.runtime.postgres import Connection, Database

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


# 20,000 entries beside one: half of them are later attempts at the same, the others are of other keys.
COPIES = """
insert into waybill_ledger.entries
select (jsonb_populate_record(one, jsonb_build_object(
    'entry_id', gen_random_uuid(), 'attempt', n,
    'spend_key', spend_key || case when n > 10001 then n::text else '' end))).*
from waybill_ledger.entries one, generate_series(2, 20001) n where entry_id = %s
"""
RUNS = """
insert into waybill_ledger.entries
select (jsonb_populate_record(one, jsonb_build_object(
    'entry_id', gen_random_uuid(), 'run_id', gen_random_uuid()))).*
from waybill_ledger.entries one, generate_series(1, 10000) where entry_id = %s
"""
READ = """
select seq_tup_read + idx_tup_fetch as rows_read from pg_stat_xact_user_tables
where relid = 'waybill_ledger.entries'::regclass
"""


class CountingDatabase(Database):
    """Counts the rows of the ledger that its transactions read."""

    rows_read = 0

    @asynccontextmanager
    async def transaction(self, tenant: str | None, *, snapshot: bool = False) -> AsyncIterator[Connection]:
        async with super().transaction(tenant, snapshot=snapshot) as connection:
            yield connection
            (row,) = await (await connection.execute(READ)).fetchall()
            self.rows_read += row["rows_read"]


async def test_a_hold_is_priced_by_the_table_to_the_nano_dollar(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry = (await stub.Hold(hold(quantity=1234))).entry
    assert (entry.state, entry.attempt, entry.expected_nano_usd) == (Entry.STATE_HELD, 1, 24_680)


async def test_an_entry_names_the_document_that_its_caller_works_for(database: MigratedPostgres) -> None:
    who = dataclasses.replace(a_run(), collection="Verträge", document_key="2026/vertrag, „neu“.pdf")
    async with ledger(database) as stub:
        with identity.acting_as(who):
            entry = (await stub.Hold(hold(size_bytes=7))).entry
    assert (entry.collection, entry.document_key) == (who.collection, who.document_key)
    assert entry.size_bytes == 7


async def test_a_repeated_hold_is_the_same_entry_and_a_new_one_is_the_next_attempt(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            request = hold()
            first, again = await stub.Hold(request), await stub.Hold(request)
            second = await stub.Hold(hold())
    assert first.entry == again.entry
    assert second.entry.attempt == 2


async def test_an_entry_id_is_refused_for_another_spend_key(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            request = hold()
            await stub.Hold(request)
            other = hold(spend_key="embed:s:2", entry_id=request.entry_id)
            assert await refused(stub.Hold(other)) == (grpc.StatusCode.ALREADY_EXISTS, "ENTRY_CONFLICT")


async def test_an_entry_id_of_another_tenant_is_refused_as_one_s_own_is(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        taken = hold()
        with identity.acting_as(a_run()):
            await stub.Hold(taken)
            of_own = await failure(stub.Hold(hold(spend_key="embed:s:2", entry_id=taken.entry_id)))
        with identity.acting_as(a_run()):
            of_another = await failure(stub.Hold(taken))
    assert of_another.code() is grpc.StatusCode.ALREADY_EXISTS
    assert vars(from_status(of_another)) == vars(from_status(of_own))


async def test_concurrent_attempts_of_one_spend_key_get_different_numbers(database: MigratedPostgres) -> None:
    async with ledger(database) as stub, ledger(database) as replica:
        for who in (a_run(), no_run()):
            with identity.acting_as(who):
                answers = await asyncio.gather(*(one.Hold(hold()) for one in [stub, replica] * 10))
            assert sorted(answer.entry.attempt for answer in answers) == list(range(1, 21))


async def test_concurrent_repeats_of_one_hold_are_one_entry(database: MigratedPostgres) -> None:
    async with ledger(database) as stub, ledger(database) as replica:
        with identity.acting_as(a_run()):
            request = hold()
            answers = await asyncio.gather(*(one.Hold(request) for one in [stub, replica] * 10))
    assert {(answer.entry.entry_id, answer.entry.attempt) for answer in answers} == {(request.entry_id, 1)}


async def test_an_entry_outside_a_run_names_no_run(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(no_run()):
            entry = (await stub.Hold(hold())).entry
            listed = await stub.ListEntries(ListEntriesRequest(correlation_id=entry.correlation_id))
    assert (entry.run_id, list(listed.entries), list(listed.totals)) == ("", [entry], [])


@pytest.mark.slow
@pytest.mark.parametrize("who", [a_run(), no_run()], ids=["in a run", "outside a run"])
async def test_a_hold_reads_a_few_rows_however_many_there_are(
    database: MigratedPostgres, who: identity.Caller
) -> None:
    counting = await CountingDatabase.open(database.url("ledger"))
    assert isinstance(counting, CountingDatabase)
    entries = Entries(counting, PriceTable.load(), lambda: datetime.date(2026, 11, 27))
    first = await entries.hold(who, read_hold(hold()))
    await entries.release(who.tenant, str(first["entry_id"]), "refused")
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        await admin.execute(COPIES, [first["entry_id"]])
        await admin.execute("analyze waybill_ledger.entries")
    counting.rows_read = 0
    row = await entries.hold(who, read_hold(hold()))
    await counting.close()
    assert row["attempt"] == 10_002
    assert counting.rows_read < 10


async def test_settling_twice_is_one_settlement_and_with_another_figure_a_conflict(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry_id = (await stub.Hold(hold())).entry.entry_id
            settle = SettleRequest(entry_id=entry_id, quantity=1100)
            first, again = await stub.Settle(settle), await stub.Settle(settle)
            assert first.entry == again.entry
            assert (first.entry.quantity, first.entry.reported_nano_usd) == (1100, 22_000)
            conflict = (grpc.StatusCode.ALREADY_EXISTS, "ENTRY_CONFLICT")
            assert await refused(stub.Settle(SettleRequest(entry_id=entry_id, quantity=1))) == conflict
            assert await refused(stub.Release(ReleaseRequest(entry_id=entry_id))) == conflict


async def test_a_doubt_can_still_be_settled_and_a_release_can_not(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            doubted = (await stub.Hold(hold("embed:s:d"))).entry.entry_id
            released = (await stub.Hold(hold("embed:s:r"))).entry.entry_id
            await stub.Settle(SettleRequest(entry_id=doubted, doubt_reason="reset"))
            await stub.Release(ReleaseRequest(entry_id=released, reason="refused"))
            settled = await stub.Settle(SettleRequest(entry_id=doubted, quantity=5))
            assert settled.entry.state == Entry.STATE_SETTLED
            code, _ = await refused(stub.Settle(SettleRequest(entry_id=released, quantity=5)))
            assert code is grpc.StatusCode.ALREADY_EXISTS


async def test_what_a_dead_process_held_is_in_doubt_once_another_tries_again(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            await stub.Hold(hold(owner="embedder/dead"))
            await stub.Hold(hold(owner="embedder/new"))
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert [entry.state for entry in listed.entries] == [Entry.STATE_IN_DOUBT, Entry.STATE_HELD]


async def test_a_repeat_of_an_earlier_attempt_leaves_the_later_one_alone(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            requests = [hold(owner=f"embedder/{number}") for number in range(3)]
            for request in (*requests, *requests):
                await stub.Hold(request)
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    states = [entry.state for entry in listed.entries]
    assert states == [Entry.STATE_IN_DOUBT, Entry.STATE_IN_DOUBT, Entry.STATE_HELD]


async def test_a_hold_that_outlives_its_time_is_in_doubt(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            request = hold()
            request.ttl.FromMilliseconds(0)
            await stub.Hold(request)
            owner = await Database.open(database.owner_url("ledger"), max_size=1)
            await expire_holds(owner)  # the service does the same from time to time
            await owner.close()
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert listed.entries[0].state == Entry.STATE_IN_DOUBT
    assert listed.totals[0].uncertain_simulated_nano_usd == 20_000


async def test_totals_keep_real_and_simulated_and_settled_and_uncertain_apart(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            for number, kind in enumerate((CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)):
                entry = (await stub.Hold(hold(f"embed:s:{number}", kind=kind))).entry
                await stub.Settle(SettleRequest(entry_id=entry.entry_id, quantity=10 + number))
                await stub.Hold(hold(f"embed:h:{number}", quantity=100 + number, kind=kind))
            (total,) = (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id], page_size=1))).totals
    assert (total.cost_nano_usd, total.simulated_nano_usd) == (200, 220)
    assert (total.uncertain_nano_usd, total.uncertain_simulated_nano_usd) == (2000, 2020)


@pytest.mark.parametrize(("credit", "more"), [(0, -7_500_000), (6, 0), (7.5, 1_875_000)])
async def test_what_the_vendor_charged_in_the_end_is_appended_once_and_the_row_stays(
    database: MigratedPostgres, credit: float, more: int
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            settled = await settled_parse(stub)
            for _ in range(2):
                adjusted = (await stub.Adjust(charged(settled.entry_id, credit))).entry
                assert (adjusted.reported_nano_usd, adjusted.adjusted_nano_usd) == (7_500_000, more)
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert listed.entries[0] == adjusted
    assert listed.totals[0].simulated_nano_usd == 7_500_000 + more


async def test_a_charge_that_changes_again_is_corrected_again(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry_id = (await settled_parse(stub)).entry_id
            for credit in (9, 0, 3):
                entry = (await stub.Adjust(charged(entry_id, credit))).entry
                assert entry.reported_nano_usd + entry.adjusted_nano_usd == credit * 1_250_000


async def test_two_that_tell_a_charge_at_once_correct_it_once(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            entry_id = (await settled_parse(stub)).entry_id
            async with await psycopg.AsyncConnection.connect(database.admin_url) as other:
                await other.execute(
                    "select from waybill_ledger.entries where entry_id = %s for update", [entry_id]
                )
                tellings = [asyncio.ensure_future(stub.Adjust(charged(entry_id, 3))) for _ in range(2)]
                await until(partial(_blocked, database, 2))
                await other.rollback()
                await asyncio.gather(*tellings)
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert listed.totals[0].simulated_nano_usd == 3_750_000


async def _blocked(database: MigratedPostgres, sessions: int) -> bool:
    """Whether so many sessions wait for the row of an entry."""
    waiting = """select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and query like '%waybill_ledger.entries%'"""
    async with await psycopg.AsyncConnection.connect(database.admin_url) as connection:
        row = await (await connection.execute(waiting)).fetchone()
    return row is not None and row[0] >= sessions


async def test_a_charge_ends_a_doubt_and_follows_a_release(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            doubtful, released = [(await stub.Hold(parse_hold(f"parse:{name}"))).entry for name in "ab"]
            await stub.Settle(SettleRequest(entry_id=doubtful.entry_id, doubt_reason="lost"))
            await stub.Release(ReleaseRequest(entry_id=released.entry_id, reason="refused"))
            for entry in (doubtful, released):
                await stub.Adjust(charged(entry.entry_id, 3))
            listed = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert [entry.state for entry in listed.entries] == [Entry.STATE_SETTLED, Entry.STATE_RELEASED]
    total = listed.totals[0]
    assert (total.simulated_nano_usd, total.uncertain_simulated_nano_usd) == (2 * 3_750_000, 0)


async def test_nobody_adjusts_an_entry_of_another_tenant_or_by_an_unknown_price(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry_id = (await settled_parse(stub)).entry_id
            unknown = (grpc.StatusCode.FAILED_PRECONDITION, "PRICE_UNKNOWN")
            assert await refused(stub.Adjust(charged(entry_id, 1, unit="coin"))) == unknown
        with identity.acting_as(a_run()):
            assert await refused(stub.Adjust(charged(entry_id, 1))) == (
                grpc.StatusCode.NOT_FOUND,
                "ENTRY_NOT_FOUND",
            )


def parse_hold(spend_key: str) -> HoldRequest:
    """Two pages of LlamaParse, 3 credits each."""
    return hold(
        spend_key, quantity=2, operation="parse", vendor="llamaparse", model="cost_effective", unit="page"
    )


async def settled_parse(stub: LedgerServiceAsyncStub) -> Entry:
    entry = (await stub.Hold(parse_hold("parse:1"))).entry
    return (await stub.Settle(SettleRequest(entry_id=entry.entry_id, quantity=2))).entry


def charged(entry_id: str, credit: float, unit: str = "microcredit") -> AdjustRequest:
    return AdjustRequest(
        entry_id=entry_id, model="credit", unit=unit, quantity=int(credit * 1e6), reason="credits"
    )


async def test_a_listing_without_a_filter_has_no_totals(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            entry = (await stub.Hold(hold())).entry
            everything = await stub.ListEntries(ListEntriesRequest())
            of_the_run = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))
    assert list(everything.entries) == list(of_the_run.entries) == [entry]
    assert (len(everything.totals), len(of_the_run.totals)) == (0, 1)


@pytest.mark.slow
async def test_totals_of_more_runs_than_an_answer_holds_are_refused(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            entry = (await stub.Hold(hold())).entry
            async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
                await admin.execute(RUNS, [entry.entry_id])
            of_all = ListEntriesRequest(correlation_id=entry.correlation_id)
            assert await refused(stub.ListEntries(of_all)) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_RUNS",
            )


async def test_pages_list_every_entry_once_in_order(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            held = [(await stub.Hold(hold(f"embed:s:{number}"))).entry.entry_id for number in range(5)]
            request, seen = ListEntriesRequest(run_ids=[who.run_id], page_size=2), []
            while True:
                page = await stub.ListEntries(request)
                seen += [entry.entry_id for entry in page.entries]
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
            everything = await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id], page_size=1_000_000))
    assert seen == held == [entry.entry_id for entry in everything.entries]


async def test_an_unknown_price_is_refused_and_leaves_no_entry(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            code, reason = await refused(stub.Hold(hold(model="text-embedding-9")))
            assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PRICE_UNKNOWN")
            assert not (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries


async def test_no_tenant_sees_or_ends_an_entry_of_another(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        mine, other = a_run(), a_run()
        with identity.acting_as(mine):
            entry_id = (await stub.Hold(hold())).entry.entry_id
        with identity.acting_as(other):
            assert not (await stub.ListEntries(ListEntriesRequest(run_ids=[mine.run_id]))).entries
            code, reason = await refused(stub.Settle(SettleRequest(entry_id=entry_id, quantity=1)))
            assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND")


@pytest.mark.parametrize("broken", [{"entry_id": "no"}, {"vendor": ""}, {"kind": 0}, {"quantity": -1}])
async def test_a_hold_that_says_too_little_is_refused(
    database: MigratedPostgres, broken: dict[str, object]
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            assert await refused(stub.Hold(hold(**broken))) == (  # type: ignore[arg-type]
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
            )


async def test_the_database_shows_and_takes_nothing_without_a_tenant(database: MigratedPostgres) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            await stub.Hold(hold())
    async with await psycopg.AsyncConnection.connect(database.url("ledger")) as connection:
        rows = await (await connection.execute("select * from waybill_ledger.entries")).fetchall()
        assert rows == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "insert into waybill_ledger.entries (entry_id, tenant, correlation_id, spend_key, attempt,"
                " state, kind, service, operation, vendor, model, unit, quantity, price_nano_usd_per_million,"
                " expected_nano_usd, owner, trace_id, parent_span_id, step_span_id, expires_at) values"
                " (gen_random_uuid(), 'x', 'c', 'k', 1, 'HELD', 'REAL', 's', 'o', 'v', 'm', 'u', 1, 1, 1,"
                " 'o', '', '', '', now())"
            )
