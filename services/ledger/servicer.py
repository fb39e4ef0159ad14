"""LedgerService: request → entries → response."""

from __future__ import annotations

from typing import Any

from services.ledger.applying import Applying
from services.ledger.audit import AuditLog
from services.ledger.audit_rpcs import AuditRpcs
from services.ledger.avoided import Avoided
from services.ledger.avoided_rpcs import AvoidedRpcs
from services.ledger.budget_rpcs import BudgetRpcs, as_uuid
from services.ledger.budgets import Budgets
from services.ledger.doubt_rpcs import DoubtRpcs
from services.ledger.doubts import Doubts
from services.ledger.egress import Egress
from services.ledger.egress_rpcs import EgressRpcs
from services.ledger.entries import Entries, Hold
from services.ledger.entry_messages import entry_message, total_message
from services.ledger.invoice_rpcs import InvoiceRpcs
from services.ledger.invoices import Invoices
from services.ledger.listing import EntryFilter, Listing
from services.ledger.plan_rpcs import PlanRpcs
from services.ledger.plans import Plans
from services.ledger.prices import PriceTable
from services.ledger.report_rpcs import ReportRpcs
from services.ledger.reports import Reports
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import ledger_service_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_size, token_behind, token_moment, token_uuid

DEFAULT_TTL_SECONDS = 600
DEFAULT_PAGE, MAX_PAGE, MAX_RUNS = 200, 1000, 200


class LedgerServicer(
    AvoidedRpcs, BudgetRpcs, DoubtRpcs, EgressRpcs, PlanRpcs, ReportRpcs, AuditRpcs, InvoiceRpcs
):
    """The ledger's RPCs."""

    def __init__(
        self,
        *,
        entries: Entries,
        listing: Listing,
        budgets: Budgets,
        plans: Plans,
        doubts: Doubts,
        egress: Egress,
        invoices: Invoices,
        applying: Applying,
        avoided: Avoided,
        reports: Reports,
        prices: PriceTable,
        audit: AuditLog,
    ) -> None:
        self._entries = entries
        self._listing = listing
        self._budgets = budgets
        self._plans = plans
        self._doubts = doubts
        self._egress = egress
        self._invoices = invoices
        self._applying = applying
        self._avoided = avoided
        self._reports = reports
        self._prices = prices
        self._audit = audit

    async def Hold(self, request: ledger_service_pb2.HoldRequest, context: Any) -> Any:
        """Writes an attempt down."""
        row = await self._entries.hold(identity.caller(), read_hold(request))
        return ledger_service_pb2.HoldResponse(entry=entry_message(row))

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
        return ledger_service_pb2.SettleResponse(entry=entry_message(row))

    async def Release(self, request: ledger_service_pb2.ReleaseRequest, context: Any) -> Any:
        """Ends an attempt: it cost nothing."""
        row = await self._entries.release(
            identity.caller().tenant, as_uuid("entry_id", request.entry_id), request.reason
        )
        return ledger_service_pb2.ReleaseResponse(entry=entry_message(row))

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
            request.vendor_reference,
        )
        return ledger_service_pb2.AdjustResponse(entry=entry_message(row))

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
        response = ledger_service_pb2.ListEntriesResponse(entries=[entry_message(row) for row in rows[:size]])
        response.next_page_token = token_behind(rows, size, "held_at", "entry_id")
        response.totals.extend(map(total_message, totals))
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
