"""The RPCs of doubts: request → doubts → response."""

from __future__ import annotations

from typing import Any

from services.ledger.budget_rpcs import as_uuid
from services.ledger.doubts import Doubts
from services.ledger.entries import Entries
from services.ledger.entry_messages import entry_message
from waybill.ledger.v1 import doubt_pb2, ledger_service_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_size

DEFAULT_CLAIM, MOST_CLAIMED, MOST_REASON = 20, 100, 200


class DoubtRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about doubts."""

    _entries: Entries
    _doubts: Doubts

    async def ClaimDoubts(self, request: doubt_pb2.ClaimDoubtsRequest, context: Any) -> Any:
        """Takes doubts to ask about."""
        if not request.vendor:
            raise InvalidRequest("INVALID_REQUEST", "Name the vendor that is to be asked.")
        size = page_size(request.page_size, DEFAULT_CLAIM, MOST_CLAIMED)
        rows = await self._doubts.claim(request.vendor, size)
        return doubt_pb2.ClaimDoubtsResponse(
            doubts=[doubt_pb2.Doubt(tenant=row["tenant"], entry=entry_message(row)) for row in rows],
        )

    async def NoteDoubt(self, request: doubt_pb2.NoteDoubtRequest, context: Any) -> Any:
        """Notes what a vendor said."""
        if not 0 < len(request.answer) <= MOST_REASON:
            raise InvalidRequest("INVALID_REQUEST", f"answer is 1 to {MOST_REASON} characters.")
        row = await self._doubts.note(
            identity.caller().tenant,
            as_uuid("entry_id", request.entry_id),
            request.answer,
            final=request.final,
        )
        return doubt_pb2.NoteDoubtResponse(entry=entry_message(row))

    async def WriteOff(self, request: ledger_service_pb2.WriteOffRequest, context: Any) -> Any:
        """Ends a doubt: nobody waits for it any more."""
        if not 0 < len(request.reason) <= MOST_REASON:
            raise InvalidRequest(
                "INVALID_REQUEST",
                f"Say by which policy, or whose decision: reason, {MOST_REASON} characters.",
            )
        entry_id = as_uuid("entry_id", request.entry_id)
        tenant = await self._doubts.tenant_to_write_off(identity.caller(), request.tenant, entry_id)
        row = await self._entries.write_off(identity.caller(), tenant, entry_id, request.reason)
        return ledger_service_pb2.WriteOffResponse(entry=entry_message(row))
