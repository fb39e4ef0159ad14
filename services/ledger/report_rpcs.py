"""The RPCs of reports and prices: request → reports → response."""

from __future__ import annotations

import datetime
from typing import Any

from services.ledger.prices import PriceTable
from services.ledger.reports import ORDER, Reports, Span
from services.ledger.rows import Row
from waybill.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc, price_pb2, report_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_size, page_token, token_number

DEFAULT_PAGE, MAX_PAGE = 500, 2000


class ReportRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about reports and prices."""

    _reports: Reports
    _prices: PriceTable

    async def Report(self, request: ledger_service_pb2.ReportRequest, context: Any) -> Any:
        """Sums what was spent."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        span, by = read_report(request)
        after = page_place(request.page_token, len(ORDER))
        if after is not None:
            token_number(after[-1])
        lines, totals, more = await self._reports.page(identity.caller(), span, by, size, after)
        response = ledger_service_pb2.ReportResponse(
            lines=[self._line(row) for row in lines], totals=[_total(row) for row in totals]
        )
        if more:
            response.next_page_token = page_token(*(str(lines[-1][name]) for name in ORDER))
        return response

    async def ListPrices(self, request: ledger_service_pb2.ListPricesRequest, context: Any) -> Any:
        """Lists the prices that are known."""
        known = self._prices.on(read_day("day", request.day)) if request.day else self._prices.all()
        return ledger_service_pb2.ListPricesResponse(
            prices=[
                price_pb2.Price(**vars(price) | {"valid_from": price.valid_from.isoformat()}, own=own)
                for price, own in known
            ]
        )

    def _line(self, row: Row) -> report_pb2.ReportLine:
        line = report_pb2.ReportLine(
            group=row["grouped"],
            kind=f"COST_KIND_{row['kind']}",
            price_nano_usd_per_million=row["price"],
            settled_nano_usd=row["settled"],
            adjusted_nano_usd=row["adjusted"],
            held_nano_usd=row["held"],
            in_doubt_nano_usd=row["in_doubt"],
            written_off_nano_usd=row["written_off"],
            would_cost_nano_usd=row["would_cost"],
            cached_quantity=row["cached"],
            avoided_nano_usd=row["avoided"],
            **{name: row[name] for name in ("collection", "vendor", "model", "unit", "attempts", "quantity")},
        )
        if price := self._prices.at(row["vendor"], row["model"], row["unit"], row["price"]):
            line.price_date, line.price_source = price.valid_from.isoformat(), price.source
        return line


def read_day(name: str, text: str) -> datetime.date:
    """A day as requests have it. Raises InvalidRequest."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", f"{name} is a day such as 2026-11-27.") from None


def read_report(request: ledger_service_pb2.ReportRequest) -> tuple[Span, str]:
    """The time and the grouping that are asked for. Raises InvalidRequest."""
    names = dict(report_pb2.Grouping.items())
    by = next((name for name, number in names.items() if number == request.by), "")
    if not request.by or not by:
        raise InvalidRequest("INVALID_REQUEST", f"by is one of {', '.join(list(names)[1:])}.")
    if not (request.HasField("since") and request.HasField("until")):
        raise InvalidRequest("INVALID_REQUEST", "A report needs since and until.")
    try:
        since, until = (moment.ToDatetime(datetime.UTC) for moment in (request.since, request.until))
    except (ValueError, OverflowError):
        raise InvalidRequest("INVALID_REQUEST", "since and until lie in the years 1 to 9999.") from None
    if not since < until:
        raise InvalidRequest("INVALID_REQUEST", "since lies before until.")
    return Span(since, until), by.removeprefix("GROUPING_")


def _total(row: Row) -> report_pb2.ReportTotal:
    return report_pb2.ReportTotal(
        kind=f"COST_KIND_{row['kind']}",
        attempts=row["attempts"],
        cost_nano_usd=row["settled"] + row["adjusted"],
        held_nano_usd=row["held"],
        in_doubt_nano_usd=row["in_doubt"],
        written_off_nano_usd=row["written_off"],
    )
