"""LedgerService: request → entries → response."""

from __future__ import annotations

from typing import Any

from services.ledger.budget_rpcs import BudgetRpcs, as_uuid
from services.ledger.budgets import Budgets
from services.ledger.entries import Entries, Hold
from services.ledger.listing import EntryFilter, Listing
from services.ledger.prices import PriceTable, cost_nano_usd
from services.ledger.report_rpcs import ReportRpcs
from services.ledger.reports import Reports
from services.ledger.rows import NO_RUN, Row
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import entry_pb2, ledger_service_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_size, page_token, timestamp, token_moment, token_uuid

DEFAULT_TTL_SECONDS = 600
DEFAULT_PAGE, MAX_PAGE, MAX_RUNS = 200, 1000, 200


class LedgerServicer(BudgetRpcs, ReportRpcs):
    """The ledger's RPCs."""

    def __init__(
        self, entries: Entries, listing: Listing, budgets: Budgets, reports: Reports, prices: PriceTable
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._budgets = budgets
        self._reports = reports
        self._prices = prices

    async def Hold(self, request: ledger_service_pb2.HoldRequest, context: Any) -> Any:
        """Writes an attempt down."""
        row = await self._entries.hold(identity.caller(), read_hold(request))
        return ledger_service_pb2.HoldResponse(entry=_entry(row))

    async def Settle(self, request: ledger_service_pb2.SettleRequest, context: Any) -> Any:
        """Ends an attempt: it cost so much, or nobody knows."""
        tenant, entry_id = identity.caller().tenant, as_uuid("entry_id", request.entry_id)
        match request.WhichOneof("outcome"):
            case "quantity" if request.quantity >= 0:
                row = await self._entries.settle(tenant, entry_id, request.quantity)
            case "doubt_reason":
                row = await self._entries.doubt(tenant, entry_id, request.doubt_reason)
            case _:
                raise InvalidRequest("INVALID_REQUEST", "Say a quantity of at least 0, or a doubt_reason.")
        return ledger_service_pb2.SettleResponse(entry=_entry(row))

    async def Release(self, request: ledger_service_pb2.ReleaseRequest, context: Any) -> Any:
        """Ends an attempt: it cost nothing."""
        row = await self._entries.release(
            identity.caller().tenant, as_uuid("entry_id", request.entry_id), request.reason
        )
        return ledger_service_pb2.ReleaseResponse(entry=_entry(row))

    async def WriteOff(self, request: ledger_service_pb2.WriteOffRequest, context: Any) -> Any:
        """Ends a doubt: nobody waits for it any more."""
        if not request.reason:
            raise InvalidRequest("INVALID_REQUEST", "Say by which policy, or whose decision: reason.")
        row = await self._entries.write_off(
            identity.caller().tenant, as_uuid("entry_id", request.entry_id), request.reason
        )
        return ledger_service_pb2.WriteOffResponse(entry=_entry(row))

    async def Adjust(self, request: ledger_service_pb2.AdjustRequest, context: Any) -> Any:
        """Corrects what an attempt cost."""
        if request.quantity < 0 or not (request.model and request.unit and request.reason):
            raise InvalidRequest("INVALID_REQUEST", "Name model, unit, reason and a quantity of at least 0.")
        row = await self._entries.adjust(
            identity.caller().tenant,
            as_uuid("entry_id", request.entry_id),
            request.model,
            request.unit,
            request.quantity,
            request.reason,
        )
        return ledger_service_pb2.AdjustResponse(entry=_entry(row))

    async def ListEntries(
        self, request: ledger_service_pb2.ListEntriesRequest, context: Any
    ) -> ledger_service_pb2.ListEntriesResponse:
        """Lists entries of the tenant."""
        tenant = identity.caller().tenant
        if len(request.run_ids) > MAX_RUNS:
            raise InvalidRequest("INVALID_REQUEST", f"run_ids are at most {MAX_RUNS}: ask in parts.")
        matching = EntryFilter(
            run_ids=[as_uuid("run_ids", one) for one in request.run_ids] or None,
            correlation_id=request.correlation_id or None,
            in_doubt=request.in_doubt,
        )
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        place = page_place(request.page_token, 2)
        after = (token_moment(place[0]), token_uuid(place[1])) if place else None
        summed = after is None and bool(request.run_ids or request.correlation_id)
        rows, totals = await self._listing.page(tenant, matching, size + 1, after, summed=summed)
        response = ledger_service_pb2.ListEntriesResponse(entries=[_entry(row) for row in rows[:size]])
        if len(rows) > size:
            last = rows[size - 1]
            response.next_page_token = page_token(last["held_at"].isoformat(), str(last["entry_id"]))
        response.totals.extend(map(_total, totals))
        return response


def read_hold(request: ledger_service_pb2.HoldRequest) -> Hold:
    """What a request wants to hold. Raises InvalidRequest."""
    required = ("spend_key", "service", "operation", "vendor", "model", "unit", "owner")
    empty = [name for name in required if not getattr(request, name)]
    if request.kind == CostKind.COST_KIND_UNSPECIFIED:
        empty.append("kind")
    if empty:
        raise InvalidRequest("INVALID_REQUEST", f"A hold needs {', '.join(empty)}.")
    if min(request.quantity, request.size_bytes) < 0 or len(request.spend_key.encode()) > 256:
        raise InvalidRequest(
            "INVALID_REQUEST", "quantity and size_bytes are at least 0, spend_key at most 256 bytes."
        )
    return Hold(
        entry_id=as_uuid("entry_id", request.entry_id),
        spend_key=request.spend_key,
        kind=CostKind.Name(request.kind).removeprefix("COST_KIND_"),
        service=request.service,
        operation=request.operation,
        vendor=request.vendor,
        model=request.model,
        quantity=request.quantity,
        unit=request.unit,
        size_bytes=request.size_bytes,
        would_vendor=request.would_buy.vendor,
        would_model=request.would_buy.model,
        ttl_seconds=request.ttl.ToTimedelta().total_seconds()
        if request.HasField("ttl")
        else DEFAULT_TTL_SECONDS,
        owner=request.owner,
        trace_id=request.span.trace_id,
        parent_span_id=request.span.parent_span_id,
        step_span_id=request.span.step_span_id,
    )


def _entry(row: Row) -> entry_pb2.Entry:
    same = ("correlation_id", "spend_key", "attempt", "service", "operation", "vendor", "model", "quantity",
            "unit", "price_nano_usd_per_million", "expected_nano_usd", "owner", "end_reason", "collection",
            "document_key", "size_bytes")  # fmt: skip
    entry = entry_pb2.Entry(
        entry_id=str(row["entry_id"]),
        run_id="" if str(row["run_id"]) == NO_RUN else str(row["run_id"]),
        state=f"STATE_{row['state']}",
        kind=f"COST_KIND_{row['kind']}",
        reported_nano_usd=row["reported_nano_usd"],
        invoiced_nano_usd=row["invoiced_nano_usd"],
        # A row that has just been written has none.
        adjusted_nano_usd=row.get("adjusted_nano_usd", 0),
        hold_time=timestamp(row["held_at"]),
        expire_time=timestamp(row["expires_at"]),
        span=entry_pb2.SpanLink(
            trace_id=row["trace_id"], parent_span_id=row["parent_span_id"], step_span_id=row["step_span_id"]
        ),
        **{name: row[name] for name in same},
    )
    if row["would_vendor"]:
        entry.would_cost.CopyFrom(_would_cost(row))
    if row["ended_at"] is not None:
        entry.end_time.CopyFrom(timestamp(row["ended_at"]))
    return entry


def _would_cost(row: Row) -> entry_pb2.WouldCost:
    price = row["would_price_nano_usd_per_million"]
    return entry_pb2.WouldCost(
        vendor=row["would_vendor"],
        model=row["would_model"],
        price_nano_usd_per_million=price,
        price_date=row["would_price_date"].isoformat(),
        nano_usd=cost_nano_usd(price, row["quantity"]),
    )


def _total(row: Row) -> entry_pb2.RunTotal:
    return entry_pb2.RunTotal(
        run_id=str(row["run_id"]),
        cost_nano_usd=int(row["cost"]),
        simulated_nano_usd=int(row["simulated"]),
        uncertain_nano_usd=int(row["uncertain"]),
        uncertain_simulated_nano_usd=int(row["uncertain_simulated"]),
    )
