"""Reports: every entry counts once, on the day of its hold, in its own tenant's sums."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import replace

import grpc
import pytest

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
from waybill.runtime.errors import from_status

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
    who = replace(a_run(), collection="papers", document_key="tides.pdf")
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
    today = str(datetime.datetime.now(datetime.UTC).date())
    groups = {by: {line.group for line in report.lines} for by, report in reports.items()}
    assert groups == {
        "DAY": {today}, "DOCUMENT": {"tides.pdf"}, "RUN": {who.run_id}, "SERVICE": {"embedder"},
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
