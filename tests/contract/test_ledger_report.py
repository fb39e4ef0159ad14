"""Reports: every entry counts once, on the day of its hold, in its own tenant's sums."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from dataclasses import replace
from pathlib import Path

import grpc
import psycopg
import pytest

from services.ledger.changing import expire_holds
from services.ledger.prices import PriceTable
from services.ledger.reports import KEPT_SECONDS, ORDER, Reports, Span
from services.ledger.rows import NO_RUN
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, hold, ledger
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import (
    AdjustRequest,
    ListEntriesRequest,
    Offer,
    ReleaseRequest,
    ReportRequest,
    ReportResponse,
    SettleRequest,
)
from waybill.ledger.v1.report_pb2 import Grouping, ReportLine
from waybill.runtime import identity
from waybill.runtime.clock import utc_today
from waybill.runtime.errors import from_status
from waybill.runtime.postgres import Database

REAL, SIMULATED, LOCAL = CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED, CostKind.COST_KIND_LOCAL
DAY = datetime.timedelta(days=1)


def asked(by: str, **more: object) -> ReportRequest:
    request = ReportRequest(by=Grouping.Value(f"GROUPING_{by}"), **more)  # type: ignore[arg-type]
    now = datetime.datetime.now(datetime.UTC)
    request.since.FromDatetime(now - DAY)
    request.until.FromDatetime(now + DAY)
    return request


def sums(report: ReportResponse, kind: CostKind) -> tuple[int, int, int]:
    (total,) = [total for total in report.totals if total.kind == kind]
    return total.cost_nano_usd, total.held_nano_usd, total.in_doubt_nano_usd


async def test_a_report_says_what_was_bought_by_each_grouping_and_its_parts_are_its_whole(
    database: MigratedPostgres,
) -> None:
    who, first_day = replace(a_run(), collection="papers", document_key="tides.pdf"), utc_today()
    async with ledger(database) as stub:
        with identity.acting_as(who):
            done = hold(kind=REAL, quantity=1_000)
            await stub.Hold(done)
            await stub.Settle(SettleRequest(entry_id=done.entry_id, quantity=1_100))
            pages = hold(
                kind=REAL, vendor="llamaparse", model="fast", unit="page", quantity=2, operation="parse"
            )
            await stub.Hold(pages)
            await stub.Settle(SettleRequest(entry_id=pages.entry_id, quantity=2))
            credit = AdjustRequest(entry_id=pages.entry_id, model="credit", unit="microcredit", reason="r")
            credit.quantity = 3_000_000
            await stub.Adjust(credit)
            doubtful = hold(kind=SIMULATED, quantity=500)
            await stub.Hold(doubtful)
            await stub.Settle(SettleRequest(entry_id=doubtful.entry_id, doubt_reason="VENDOR_TIMEOUT"))
            free = hold(
                kind=LOCAL, vendor="local", model="pdf engine", unit="page", quantity=3, operation="parse",
                would_buy=Offer(vendor="llamaparse", model="cost_effective"),
            )  # fmt: skip
            await stub.Hold(free)
            await stub.Settle(SettleRequest(entry_id=free.entry_id, quantity=3))
            refused = hold(kind=REAL, quantity=70)
            await stub.Hold(refused)
            await stub.Release(ReleaseRequest(entry_id=refused.entry_id, reason="VENDOR_REFUSED"))
        with identity.acting_as(replace(a_run(), tenant=f"{who.tenant}b")):
            theirs = hold(kind=REAL, quantity=9_999)
            await stub.Hold(theirs)
        with identity.acting_as(who):
            reports = {by.removeprefix("GROUPING_"): await stub.Report(asked(by.removeprefix("GROUPING_")))
                       for by in Grouping.keys()[1:]}  # fmt: skip
    for report in reports.values():
        assert sums(report, REAL) == (22_000 + 3_750_000, 0, 0)
        assert sums(report, SIMULATED) == (0, 0, 10_000)
        assert sums(report, LOCAL) == (0, 0, 0)
        cost = sum(line.settled_nano_usd + line.adjusted_nano_usd for line in report.lines)
        assert cost == 22_000 + 3_750_000
        assert sum(line.attempts for line in report.lines) == 5
    groups = {by: {line.group for line in report.lines} for by, report in reports.items()}
    # It may have been bought over midnight.
    assert groups.pop("DAY") <= {str(first_day), str(utc_today())}
    assert groups == {
        "DOCUMENT": {"tides.pdf"}, "RUN": {who.run_id}, "SERVICE": {"embedder"},
        "MODEL": {"openai text-embedding-3-small", "llamaparse fast", "local pdf engine"},
        "COLLECTION": {"papers"}, "TENANT": {who.tenant},
    }  # fmt: skip
    assert {line.collection for line in reports["DOCUMENT"].lines} == {"papers"}
    lines = {(line.kind, line.model): line for line in reports["RUN"].lines}
    page = lines[REAL, "fast"]
    assert (page.quantity, page.settled_nano_usd, page.adjusted_nano_usd) == (2, 2_500_000, 1_250_000)
    assert (page.price_date, page.price_source[:10]) == ("2025-11-01", "LlamaCloud")
    assert lines[LOCAL, "pdf engine"].would_cost_nano_usd == 3 * 3_750_000
    assert lines[REAL, "text-embedding-3-small"].attempts == 2


async def test_pages_of_a_report_give_each_line_once(database: MigratedPostgres) -> None:
    who = a_run()
    async with ledger(database) as stub:
        for number in range(7):
            with identity.acting_as(replace(who, run_id=str(uuid.uuid4()), document_key=f"d{number % 4}")):
                await stub.Hold(hold(kind=(REAL, SIMULATED)[number % 2]))
        with identity.acting_as(who):
            whole = await stub.Report(asked("RUN"))
            found: list[ReportLine] = []
            request = asked("RUN", page_size=2)
            while True:
                page = await stub.Report(request)
                found += page.lines
                assert bool(page.totals) == (not request.page_token)
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
    assert found == list(whole.lines)
    assert len(found) == 7


async def test_a_new_price_rewrites_no_entry(database: MigratedPostgres, tmp_path: Path) -> None:
    who, first, second = a_run(), hold("embed:s:1", 1_000, kind=REAL), hold("embed:s:2", 1_000, kind=REAL)
    raised = tmp_path / "prices.toml"
    raised.write_text(
        '[[price]]\nvendor = "openai"\nmodel = "text-embedding-3-small"\nunit = "token"\n'
        'nano_usd_per_million = 40_000_000\nvalid_from = 2024-02-01\nsource = "twice as much"\n'
    )
    with identity.acting_as(who):
        async with ledger(database) as stub:
            await stub.Hold(first)
        async with ledger(database, prices=PriceTable.load(raised)) as stub:
            await stub.Hold(second)
            for one in (first, second):
                await stub.Settle(SettleRequest(entry_id=one.entry_id, quantity=1_000))
            entries = (await stub.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries
            lines = (await stub.Report(asked("RUN"))).lines
    told = [(one.price_nano_usd_per_million, one.expected_nano_usd, one.reported_nano_usd) for one in entries]
    assert told == [(20_000_000, 20_000, 20_000), (40_000_000, 40_000, 40_000)]
    assert [(line.price_nano_usd_per_million, line.price_source[:8]) for line in lines] == [
        (20_000_000, "OpenAI p"), (40_000_000, "twice as"),
    ]  # fmt: skip


async def test_pages_are_of_one_state_and_of_as_many_sums_as_it_takes(database: MigratedPostgres) -> None:
    who = a_run()
    async with ledger(database) as stub, Database.opened(database.url("ledger")) as pool:
        runs = [str(uuid.uuid4()) for _ in range(7)]
        for run_id in runs:
            with identity.acting_as(replace(who, run_id=run_id)):
                await stub.Hold(hold(kind=REAL))
        reports = Reports(pool, pool, "", lines_a_sum=4)
        now = datetime.datetime.now(datetime.UTC)
        span, after, sizes, found = Span(now - DAY, now + DAY), None, [], []
        more = True
        while more:
            page, totals, more = await reports.page(who, span, "RUN", 3, after)
            assert [total["attempts"] for total in totals] == ([7] if after is None else [])
            found += [row["grouped"] for row in page]
            after = [str(page[-1][name]) for name in ORDER]
            sizes.append(len(page))
            if len(sizes) == 1:  # the next line has been summed already, and stays as it was
                with identity.acting_as(replace(who, run_id=sorted(runs)[3])):
                    await stub.Hold(hold("embed:s:2", kind=REAL))
            if len(sizes) == 2:
                assert page[0]["attempts"] == 1
    assert found == sorted(runs)
    assert sizes == [3, 1, 3]


async def test_a_page_that_nobody_kept_is_summed_again(database: MigratedPostgres) -> None:
    who, seconds = a_run(), [0.0]
    async with ledger(database) as stub, Database.opened(database.url("ledger")) as pool:
        for number in range(4):
            with identity.acting_as(replace(who, document_key=f"d{number}")):
                await stub.Hold(hold(f"embed:s:{number}", kind=REAL))
        reports = Reports(pool, pool, "", clock=lambda: 1_000.0 + seconds[0])
        now = datetime.datetime.now(datetime.UTC)
        span = Span(now - DAY, now + DAY)
        first, _, _ = await reports.page(who, span, "DOCUMENT", 2, None)
        after = [str(first[-1][name]) for name in ORDER]
        with identity.acting_as(replace(who, document_key="d2")):
            await stub.Hold(hold("embed:s:9", kind=REAL))
        seconds[0] = KEPT_SECONDS
        second, totals, more = await reports.page(who, span, "DOCUMENT", 2, after)
        again, _, _ = await reports.page(who, span, "DOCUMENT", 2, after)
    assert [(row["grouped"], row["attempts"]) for row in second] == [("d2", 2), ("d3", 1)]
    assert (again, totals, more) == (second, [], False)


async def test_reports_keep_neither_holds_nor_expiry_waiting(database: MigratedPostgres) -> None:
    operator = a_run()
    async with (
        ledger(database, operator.tenant) as stub,
        Database.opened(database.owner_url("ledger"), max_size=2) as owner,
        await psycopg.AsyncConnection.connect(database.admin_url) as locking,
    ):
        # A report reads corrections; neither a hold nor expiry does.
        await locking.execute("lock table waybill_ledger.adjustments in access exclusive mode")
        reports: list[asyncio.Future[object]] = []
        for number in range(6):
            with identity.acting_as(replace(a_run(), tenant=f"{operator.tenant}{number}")):
                reports.append(asyncio.ensure_future(stub.Report(asked("DAY"))))
            with identity.acting_as(operator):
                reports.append(asyncio.ensure_future(stub.Report(asked("TENANT"))))
        every = Reports(owner, owner, operator.tenant)
        now = datetime.datetime.now(datetime.UTC)
        for _ in range(3):
            reports.append(asyncio.create_task(_all_of(every, operator, Span(now - DAY, now + DAY))))
        with identity.acting_as(a_run()):
            held = await stub.Hold(hold(kind=REAL))
        assert held.entry.attempt == 1
        assert await expire_holds(owner, now=now - 100 * DAY) == 0
        assert not any(report.done() for report in reports)
        await locking.rollback()
        await asyncio.gather(*reports)


async def _all_of(reports: Reports, who: identity.Caller, span: Span) -> object:
    return await reports.page(who, span, "TENANT", 1_000, None)


async def test_only_the_operator_sees_what_each_tenant_has_spent(database: MigratedPostgres) -> None:
    operator = a_run()
    async with ledger(database, operator.tenant) as stub:
        tenants = [f"{operator.tenant}{letter}" for letter in "ab"]
        for tenant in tenants:
            with identity.acting_as(replace(a_run(), tenant=tenant)):
                await stub.Hold(hold(kind=REAL))
        with identity.acting_as(operator):
            seen = {line.group for line in (await stub.Report(asked("TENANT"))).lines}
            assert not (await stub.Report(asked("DAY"))).lines
        with identity.acting_as(replace(operator, tenant=tenants[0])):
            own = {line.group for line in (await stub.Report(asked("TENANT"))).lines}
    assert seen >= set(tenants)
    assert own == {tenants[0]}


@pytest.mark.parametrize("what", ["by", "since", "order", "token"])
async def test_a_report_that_asks_for_nothing_is_refused_with_what_is_missing(
    database: MigratedPostgres, what: str
) -> None:
    request = asked("DAY")
    if what == "order":
        request.until.CopyFrom(request.since)
    elif what == "token":
        request.page_token = "no token"
    else:
        request.ClearField(what)
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Report(request)
            error = from_status(caught.value)
    assert error.reason == ("PAGE_TOKEN_INVALID" if what == "token" else "INVALID_REQUEST")


async def test_only_what_is_in_doubt_is_listed_as_doubts(database: MigratedPostgres) -> None:
    who = a_run()
    async with ledger(database) as stub:
        with identity.acting_as(who):
            asked_for = [hold(f"embed:{number}") for number in range(3)]
            for one in asked_for:
                await stub.Hold(one)
            await stub.Settle(SettleRequest(entry_id=asked_for[0].entry_id, quantity=1))
            lost = SettleRequest(entry_id=asked_for[1].entry_id, doubt_reason="VENDOR_TIMEOUT")
            await stub.Settle(lost)
            listed = (await stub.ListEntries(ListEntriesRequest(in_doubt=True))).entries
            assert [(one.entry_id, one.end_reason) for one in listed] == [(lost.entry_id, "VENDOR_TIMEOUT")]
            assert not (await stub.ListEntries(ListEntriesRequest(in_doubt=True, run_ids=[NO_RUN]))).entries
        with identity.acting_as(a_run()):
            assert not (await stub.ListEntries(ListEntriesRequest(in_doubt=True))).entries
