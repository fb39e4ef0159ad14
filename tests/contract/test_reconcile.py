"""Invoices against the ledger, over simulated vendors: what differs is told with its reason, and followed."""

from __future__ import annotations

import datetime
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import openai
import psycopg
import pytest

from tests.conftest import MigratedPostgres
from tests.contract import makers_embedder
from tests.contract.makers_ledger import hold, refused
from tests.contract.test_asking import parses
from tests.contract.test_ledger_budgets import budget
from tests.inprocess import someone
from tests.waiting import until
from waybill.cli.invoices.reading import read
from waybill.cli.reconcile import _Parts
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.audit_pb2 import ListAuditRequest
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.invoice_pb2 import (
    ApplyInvoiceRequest,
    ApplyInvoiceResponse,
    Drift,
    ImportInvoiceRequest,
    ImportInvoiceResponse,
    ListDriftRequest,
)
from waybill.ledger.v1.ledger_service_pb2 import (
    GetBudgetRequest,
    ListBudgetAlertsRequest,
    ListEntriesRequest,
    SetBudgetRequest,
    SettleRequest,
    WriteOffRequest,
)
from waybill.runtime import identity
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

MODEL = "text-embedding-3-small"
OPERATOR = someone("local")
MOVE = """
update waybill_ledger.entries set held_at = %s::date + interval '12 hours'
where tenant = %s
"""
# The tests of a session share a ledger, and an invoice is of all tenants: each test has a day of its own.
_DAYS = itertools.count()


def a_past_day() -> datetime.date:
    return datetime.date(2024, 3, 1) + datetime.timedelta(days=next(_DAYS))


@dataclass(frozen=True)
class Books:
    """A ledger, and files that are held against it."""

    ledger: LedgerServiceAsyncStub
    database: MigratedPostgres
    folder: Path
    who: identity.Caller
    day: datetime.date

    async def brought(
        self, content: str, name: str = "invoice.csv", *, vendor: str = "openai", moved: bool = True
    ) -> ImportInvoiceResponse:
        """Reads a file and tells the ledger of it, as `waybill reconcile` does."""
        if moved:
            await self.move()
        file = self.folder / name
        file.write_text(content)
        sha256, lines = read(file, vendor)
        header = ImportInvoiceRequest.Header(
            sha256=sha256, name=name, vendor=lines.vendor, kind=CostKind.COST_KIND_SIMULATED
        )
        with identity.acting_as(OPERATOR):
            call = self.ledger.ImportInvoice()
            for part in _Parts(header, lines.completed()):
                await call.write(part)
            await call.done_writing()
            answer: ImportInvoiceResponse = await call
        return answer

    async def drift(self, answer: ImportInvoiceResponse) -> list[Drift]:
        request = ListDriftRequest(invoice_id=answer.invoice.invoice_id)
        with identity.acting_as(OPERATOR):
            return [one async for part in self.ledger.ListDrift(request) for one in part.drifts]

    async def followed(self, answer: ImportInvoiceResponse) -> tuple[int, int, int]:
        """Corrected, settled, released."""
        with identity.acting_as(OPERATOR):
            request = ApplyInvoiceRequest(invoice_id=answer.invoice.invoice_id)
            done: ApplyInvoiceResponse = await self.ledger.ApplyInvoice(request)
        assert not done.more
        return done.adjusted, done.settled, done.released

    async def entries(self) -> Sequence[Entry]:
        with identity.acting_as(self.who):
            return (await self.ledger.ListEntries(ListEntriesRequest())).entries

    async def settled(self, quantity: int) -> Entry:
        """An entry of so many tokens."""
        with identity.acting_as(self.who):
            request = hold(f"embed:{uuid.uuid4()}", quantity)
            await self.ledger.Hold(request)
            asked = SettleRequest(entry_id=request.entry_id, quantity=quantity)
            entry: Entry = (await self.ledger.Settle(asked)).entry
        return entry

    async def doubted(self, quantity: int) -> Entry:
        with identity.acting_as(self.who):
            request = hold(f"embed:{uuid.uuid4()}", quantity)
            await self.ledger.Hold(request)
            asked = SettleRequest(entry_id=request.entry_id, doubt_reason="lost")
            entry: Entry = (await self.ledger.Settle(asked)).entry
        return entry

    async def move(self) -> None:
        """What was bought was bought on the test's day."""
        async with await psycopg.AsyncConnection.connect(self.database.admin_url, autocommit=True) as admin:
            await admin.execute(MOVE, [self.day, self.who.tenant])

    def csv(self, *rows: str, columns: str = "day,model,unit,quantity,requests") -> str:
        return "\n".join([columns, *(row.replace("DAY", str(self.day)) for row in rows)])


@dataclass(frozen=True)
class Vendor(Books):
    """The same with an embedder over a simulator whose clock stands on the test's day."""

    bench: makers_embedder.Bench
    sim: OpenAISimulator

    async def embed(self, *texts: str) -> None:
        with identity.acting_as(self.who):
            await self.bench.vectors(texts)

    async def export(self, what: str = "usage/embeddings", group: str = "model") -> str:
        """What the vendor's API answers about the day."""
        start = int(datetime.datetime.combine(self.day, datetime.time(), datetime.UTC).timestamp())
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"{self.sim.base_url}/organization/{what}",
                params={"start_time": start, "end_time": start + 86_400, "group_by": group},
                headers={"authorization": f"Bearer {makers_embedder.KEY}"},
            )
        return answer.text


@pytest.fixture
async def books(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Books]:
    async with makers_embedder.embedder(database) as bench:
        yield Books(bench.ledger, database, tmp_path, makers_embedder.new_run(), a_past_day())


@asynccontextmanager
async def vendor_of(database: MigratedPostgres, folder: Path) -> AsyncIterator[Vendor]:
    day = a_past_day()
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.UTC).timestamp()
    settings = OpenAISettings(seed=1, latency_seconds=0.0, clock_start=noon)
    async with (
        simulator(settings) as sim,
        makers_embedder.embedder(database, makers_embedder.at(sim)) as bench,
    ):
        who = makers_embedder.new_run()
        yield Vendor(bench.ledger, database, folder, who, day, bench, sim)


@pytest.fixture
async def vendor(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Vendor]:
    async with vendor_of(database, tmp_path) as one:
        yield one


def told(drifts: Sequence[Drift]) -> list[tuple[str, int]]:
    """Reasons, and how much more the vendor charges."""
    return [
        (Drift.Reason.Name(one.reason).removeprefix("REASON_"), one.invoiced_nano_usd - one.ledger_nano_usd)
        for one in drifts
    ]


async def test_where_no_reply_was_lost_usage_and_costs_are_the_ledgers(vendor: Vendor) -> None:
    for number in range(3):
        await vendor.embed(f"a text of number {number}")
    for what, group in (("usage/embeddings", "model"), ("costs", "line_item"), ("costs", "")):
        answer = await vendor.brought(await vendor.export(what, group), "export.json")
        assert (answer.invoice.lines, answer.invoice.first_day) == (1, str(vendor.day))
        assert await vendor.drift(answer) == []


async def test_a_reply_that_was_lost_is_told_as_doubt_of_its_run_and_settled_by_the_invoice(
    vendor: Vendor,
) -> None:
    await vendor.embed("a text that comes")
    vendor.sim.faults.add("O03:times=1")
    await vendor.embed("a text whose reply is lost")
    answer = await vendor.brought(await vendor.export(), "usage.json")
    (drift,) = await vendor.drift(answer)
    (doubt,) = [entry for entry in await vendor.entries() if entry.state == Entry.STATE_IN_DOUBT]
    assert told([drift]) == [("IN_DOUBT", doubt.expected_nano_usd)]
    assert (drift.tenant, drift.run_id, drift.entries) == (vendor.who.tenant, vendor.who.run_id, 1)
    assert await vendor.followed(answer) == (0, 1, 0)
    assert await vendor.followed(answer) == (0, 0, 0)
    assert await vendor.drift(answer) == []
    entries = await vendor.entries()
    assert {entry.state for entry in entries} == {Entry.STATE_SETTLED}
    assert sum(entry.reported_nano_usd for entry in entries) == vendor.sim.invoice.total_nano_usd


async def test_a_request_that_the_vendor_never_did_is_no_drift_and_released_by_the_invoice(
    vendor: Vendor,
) -> None:
    vendor.sim.faults.add("O02:times=1")
    await vendor.embed("a text that is sent twice")
    answer = await vendor.brought(await vendor.export(), "usage.json")
    assert told(await vendor.drift(answer)) == [("IN_DOUBT", 0)]
    assert await vendor.followed(answer) == (0, 0, 1)
    assert await vendor.drift(answer) == []
    entries = await vendor.entries()
    assert {entry.state for entry in entries} == {Entry.STATE_SETTLED, Entry.STATE_RELEASED}
    assert sum(entry.reported_nano_usd for entry in entries) == vendor.sim.invoice.total_nano_usd


async def test_what_others_bought_by_the_same_account_is_not_in_the_ledger(vendor: Vendor) -> None:
    await vendor.embed("ours")
    async with openai.AsyncOpenAI(api_key=makers_embedder.KEY, base_url=vendor.sim.base_url) as client:
        await client.embeddings.create(model=MODEL, input="not ours")
    ours = sum(entry.reported_nano_usd for entry in await vendor.entries())
    answer = await vendor.brought(await vendor.export(), "usage.json")
    assert told(await vendor.drift(answer)) == [("NOT_IN_LEDGER", vendor.sim.invoice.total_nano_usd - ours)]
    assert await vendor.followed(answer) == (0, 0, 0)


@pytest.mark.parametrize(
    ("quantity", "requests", "expected"),
    [
        (1000, 1, []),
        (1000, 2, []),
        (900, 1, [("QUANTITY_DIFFERS", -2_000)]),
        (1100, 1, [("QUANTITY_DIFFERS", 2_000)]),
        (1100, 2, [("NOT_IN_LEDGER", 2_000)]),
        (0, 0, [("NOT_INVOICED", -20_000)]),
    ],
)
async def test_a_day_s_sum_that_differs_says_why(
    books: Books, quantity: int, requests: int, expected: list[tuple[str, int]]
) -> None:
    await books.settled(1000)
    answer = await books.brought(books.csv(f"DAY,{MODEL},token,{quantity},{requests}"))
    assert told(await books.drift(answer)) == expected


async def test_another_price_for_as_many_units_is_told_as_that(books: Books) -> None:
    await books.settled(1000)
    columns = "day,model,unit,quantity,usd"
    answer = await books.brought(books.csv(f"DAY,{MODEL},token,1000,0.000050", columns=columns))
    assert told(await books.drift(answer)) == [("PRICE_DIFFERS", 30_000)]


async def test_what_the_vendor_counts_on_the_day_after_is_told_and_no_drift_over_all(books: Books) -> None:
    await books.settled(1000)
    after = books.day + datetime.timedelta(days=1)
    rows = (f"DAY,{MODEL},token,0,0", f"{after},{MODEL},token,1000,1")
    answer = await books.brought(books.csv(*rows))
    assert told(await books.drift(answer)) == [("DAY_DIFFERS", -20_000), ("DAY_DIFFERS", 20_000)]


async def test_of_several_doubts_that_only_some_explain_none_is_ended(books: Books) -> None:
    await books.settled(1000)
    for tokens in (100, 200):
        await books.doubted(tokens)
    answer = await books.brought(books.csv(f"DAY,{MODEL},token,1200,2"))
    (drift,) = await books.drift(answer)
    assert (told([drift]), drift.entries) == ([("IN_DOUBT", 4_000)], 2)
    assert await books.followed(answer) == (0, 0, 0)


async def test_a_doubt_that_was_given_up_and_charged_all_the_same_is_told(books: Books) -> None:
    entry = await books.doubted(500)
    with identity.acting_as(books.who):
        await books.ledger.WriteOff(WriteOffRequest(entry_id=entry.entry_id, reason="old"))
    answer = await books.brought(books.csv(f"DAY,{MODEL},token,500,1"))
    assert told(await books.drift(answer)) == [("WRITTEN_OFF", 10_000)]


async def test_lines_that_name_entries_are_written_on_them_and_followed_by_adjustments(books: Books) -> None:
    same, dearer, twice, doubted = [
        await books.settled(1000), await books.settled(1000), await books.settled(1000),
        await books.doubted(1000),
    ]  # fmt: skip
    absent = str(uuid.uuid4())
    rows = [
        f"{same.entry_id},1000,token,", f"{dearer.entry_id},,,0.000025", f"{twice.entry_id},1000,token,",
        f"{twice.entry_id},1000,token,", f"{doubted.entry_id},1000,token,", f"{absent},,,0.00001",
    ]  # fmt: skip
    answer = await books.brought(books.csv(*rows, columns="entry_id,quantity,unit,usd"))
    assert (answer.known, answer.invoice.matched_lines) == (False, 5)
    found = {one.entry_id: told([one])[0] for one in await books.drift(answer)}
    assert found == {
        dearer.entry_id: ("AMOUNT_DIFFERS", 5_000),
        twice.entry_id: ("CHARGED_TWICE", 20_000),
        doubted.entry_id: ("IN_DOUBT", 20_000),
        absent: ("NOT_IN_LEDGER", 10_000),
    }
    invoiced = {entry.entry_id: entry.invoiced_nano_usd for entry in await books.entries()}
    named = [same.entry_id, dearer.entry_id, twice.entry_id, doubted.entry_id]
    assert [invoiced[one] for one in named] == [20_000, 25_000, 40_000, 20_000]
    assert await books.followed(answer) == (2, 1, 0)
    with identity.acting_as(OPERATOR):
        asked = ListAuditRequest(target=answer.invoice.invoice_id)
        events = (await books.ledger.ListAudit(asked)).events
    assert [event.action for event in events] == ["invoice.apply", "invoice.import"]
    again = await books.brought(books.csv(*rows, columns="entry_id,quantity,unit,usd"))
    assert again.known
    assert again.invoice == answer.invoice
    assert told(await books.drift(again)) == [("NOT_IN_LEDGER", 10_000)]
    entries = {entry.entry_id: entry for entry in await books.entries()}
    # What was settled stays.
    assert [entries[one].reported_nano_usd for one in named] == [20_000] * 4
    assert [entries[one].adjusted_nano_usd for one in named] == [0, 5_000, 20_000, 0]
    assert entries[doubted.entry_id].state == Entry.STATE_SETTLED


async def test_many_corrections_of_one_call_count_in_budgets_and_alerts_as_each_alone_would(
    books: Books,
) -> None:
    wanted = budget(150_000, run_id=books.who.run_id, period=Budget.PERIOD_RUN)
    with identity.acting_as(books.who):
        asked = GetBudgetRequest(
            budget_id=(await books.ledger.SetBudget(SetBudgetRequest(budget=wanted))).budget.budget_id
        )
    dearer, cheaper, refunded = [(await books.settled(1000)).entry_id for _ in range(3)]
    given_up, doubted = [(await books.doubted(1000)).entry_id for _ in range(2)]
    with identity.acting_as(books.who):
        await books.ledger.WriteOff(WriteOffRequest(entry_id=given_up, reason="old"))
    charged = {dearer: 155_000, cheaper: 15_000, refunded: -1, given_up: 3, doubted: 12_000}
    rows = [f"{entry_id},{amount / 1e9:.9f}" for entry_id, amount in charged.items()]
    answer = await books.brought(books.csv(*rows, columns="entry_id,usd"))
    assert sum(more for _, more in told(await books.drift(answer))) == sum(charged.values()) + 1 - 60_000
    assert await books.followed(answer) == (4, 1, 0)
    assert await books.followed(answer) == (0, 0, 0)
    found = {entry.entry_id: entry for entry in await books.entries()}
    known = [found[one].reported_nano_usd + found[one].adjusted_nano_usd for one in charged]
    # A refund leaves nothing to pay, and no less.
    assert known == [155_000, 15_000, 0, 3, 12_000]
    with identity.acting_as(books.who):
        window = (await books.ledger.GetBudget(asked)).budget.window
        alerts = (await books.ledger.ListBudgetAlerts(ListBudgetAlertsRequest())).alerts
    assert (window.used, window.held, window.in_doubt) == (sum(known), 0, 0)
    assert [alert.threshold for alert in alerts] == [80]


async def test_a_file_that_cannot_be_right_leaves_nothing(books: Books) -> None:
    entry = await books.settled(1000)
    for rows, columns in (
        ([f"{entry.entry_id},,7", f",{books.day},7"], "entry_id,day,usd"),
        ([f"{entry.entry_id},7,"], "entry_id,quantity,unit"),
        (["2026-13-01,7"], "day,usd"),
        (["no-entry,7"], "entry_id,usd"),
        # Credits at a page's price would be another amount.
        ([f"{entry.entry_id},7,credit"], "entry_id,quantity,unit"),
    ):
        code, reason = await refused(books.brought("\n".join([columns, *rows])))
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVOICE_LINE_INVALID")
    refusal = await refused(books.brought(f"day,usd\n{books.day},1", vendor="open-ai"))
    assert refusal == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert not (await books.entries())[0].HasField("invoiced_nano_usd")


async def test_an_amount_in_another_unit_is_held_against_the_entrys_money_alone(books: Books) -> None:
    entry = await books.settled(1000)
    answer = await books.brought(books.csv(f"{entry.entry_id},0.00001", columns="entry_id,usd"))
    (drift,) = await books.drift(answer)
    assert (drift.unit, drift.ledger_quantity, drift.ledger_nano_usd) == ("", 0, 20_000)


async def test_the_planner_knows_of_a_new_invoices_lines(books: Books) -> None:
    # Without that, it walks a hundred thousand lines once for each of them.
    entry = await books.settled(1)
    rows = [f"{entry.entry_id},1,token"] * 3_000
    await books.brought(books.csv(*rows, columns="entry_id,quantity,unit"))
    table = "waybill_ledger.invoice_lines"
    async with await psycopg.AsyncConnection.connect(books.database.admin_url) as admin:
        asked = await admin.execute("select reltuples from pg_class where oid = %s::regclass", [table])
        (known,) = await asked.fetchone() or (0,)
    assert known >= 3_000


async def test_only_the_operator_reads_and_brings_invoices(books: Books) -> None:
    answer = await books.brought(books.csv(f"DAY,{MODEL},token,0,0"))
    needs = (grpc.StatusCode.FAILED_PRECONDITION, "OPERATOR_REQUIRED")
    asked = answer.invoice.invoice_id
    with identity.acting_as(books.who):
        assert await refused(books.ledger.ApplyInvoice(ApplyInvoiceRequest(invoice_id=asked))) == needs
        stream = books.ledger.ListDrift(ListDriftRequest(invoice_id=asked))
        assert await refused(anext(aiter(stream))) == needs
        call = books.ledger.ImportInvoice()
        await call.done_writing()
        assert await refused(call) == needs
    with identity.acting_as(OPERATOR):
        unknown = books.ledger.ApplyInvoice(ApplyInvoiceRequest(invoice_id=str(uuid.uuid4())))
        assert await refused(unknown) == (grpc.StatusCode.NOT_FOUND, "INVOICE_NOT_FOUND")


async def test_llamaclouds_usage_names_our_parses_by_its_jobs(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path) as one:
        # A day of its own, in the future: a price of credits is known for it.
        day = datetime.date(2030, 1, 1) + datetime.timedelta(days=next(_DAYS))
        books = Books(one.near.ledger, database, tmp_path, one.who, day)
        await one.lost()
        await until(lambda: one.sim.invoice.total_nano_usd > 0)
        usage = await _usage(one.sim.base_url)
        (item,) = usage["items"]
        item["day"] = str(day)
        text = json.dumps(usage)
        # Before the vendor was asked, its job is nobody's.
        answer = await books.brought(text, "usage.json", moved=False)
        assert told(await books.drift(answer)) == [("NOT_IN_LEDGER", one.sim.invoice.total_nano_usd)]
        await one.asked()
        # The vendor forgets the job, and not what it cost.
        assert len((await _usage(one.sim.base_url))["items"]) == 1
        again = await books.brought(text, "usage.json")
        assert (again.known, again.invoice.matched_lines) == (True, 1)
        assert await books.drift(again) == []
        (entry,) = await books.entries()
        assert entry.invoiced_nano_usd == one.sim.invoice.total_nano_usd
        # A file without it: it was settled, and is not invoiced.
        item["event_aggregation_key"] = "pjb-of-somebody-else"
        other = await books.brought(json.dumps(usage), "usage.json")
        cost = entry.reported_nano_usd + entry.adjusted_nano_usd
        assert told(await books.drift(other)) == [("NOT_IN_LEDGER", cost), ("NOT_INVOICED", -cost)]


async def _usage(base_url: str) -> dict[str, list[dict[str, object]]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{base_url}/api/v1/beta/usage-metrics",
            params={"organization_id": "5a1e0000-0000-4000-8000-000000000001"},
            headers={"authorization": "Bearer llx-planted-0123456789abcdefghij"},
        )
    return answer.json()  # type: ignore[no-any-return]
