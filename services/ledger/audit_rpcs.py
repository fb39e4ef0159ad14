"""The RPCs of the audit: request → audit → response."""

from __future__ import annotations

from typing import Any

from services.ledger.audit import AuditFilter, AuditLog
from services.ledger.budget_rpcs import as_uuid
from services.ledger.rows import ALL_TENANTS, Row
from waybill.ledger.v1 import audit_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.audit import ACTION, AT_ONCE, MOST_CHARS, Event, from_message
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import (
    moment,
    page_place,
    page_size,
    timestamp,
    token_behind,
    token_moment,
    token_number,
)

DEFAULT_PAGE, MAX_PAGE = 100, 500
MAX_PAGE_BYTES = 1024 * 1024


class AuditRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about the audit."""

    _audit: AuditLog

    async def RecordAudit(self, request: audit_pb2.RecordAuditRequest, context: Any) -> Any:
        """Appends events."""
        if len(request.events) > AT_ONCE:
            raise InvalidRequest("INVALID_REQUEST", f"events are at most {AT_ONCE}: tell the rest again.")
        await self._audit.append([read_event(event) for event in request.events])
        return audit_pb2.RecordAuditResponse()

    async def ListAudit(self, request: audit_pb2.ListAuditRequest, context: Any) -> Any:
        """Lists events."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        matching = AuditFilter(
            actions=[request.action] if request.action else None,
            target=request.target or None,
            since=moment(request.since) if request.HasField("since") else None,
            until=moment(request.until) if request.HasField("until") else None,
        )
        place = page_place(request.page_token, 2)
        before = (token_moment(place[0]), token_number(place[1])) if place else None
        rows = await self._audit.page(identity.caller(), matching, size + 1, before)
        response, size_bytes = audit_pb2.ListAuditResponse(), 0
        for row in rows[:size]:
            response.events.append(_event(row))
            size_bytes += response.events[-1].ByteSize()
            if size_bytes > MAX_PAGE_BYTES:
                break
        response.next_page_token = token_behind(rows, len(response.events), "happened_at", "audit_id")
        return response


def read_event(event: audit_pb2.AuditEvent) -> Event:
    """What a service tells of. Raises InvalidRequest."""
    if event.tenant and not identity.is_tenant(event.tenant):
        raise InvalidRequest("INVALID_REQUEST", "tenant has the form of one, or is empty.")
    if not ACTION.fullmatch(event.action) or len(event.action) > MOST_CHARS:
        raise InvalidRequest("INVALID_REQUEST", "action is lower-case words with a dot between them.")
    if not event.outcome or not event.HasField("event_time"):
        raise InvalidRequest("INVALID_REQUEST", "An event needs outcome and event_time.")
    as_uuid("event_id", event.event_id)
    return from_message(event)


def _event(row: Row) -> audit_pb2.AuditEvent:
    same = ("action", "target", "outcome", "detail", "caller", "subject", "credential_id", "correlation_id")
    return audit_pb2.AuditEvent(
        event_id=str(row["event_id"]),
        tenant="" if row["tenant"] == ALL_TENANTS else row["tenant"],
        event_time=timestamp(row["happened_at"]),
        **{name: row[name] for name in same},
    )
