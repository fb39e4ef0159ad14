"""The RPC of what a paid store sends: request → egress → response."""

from __future__ import annotations

import datetime
from typing import Any

from services.ledger.budget_rpcs import as_uuid
from services.ledger.egress import Egress, Sent
from services.ledger.entry_messages import entry_message
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import egress_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest


class EgressRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about egress."""

    _egress: Egress

    async def AccrueEgress(self, request: egress_pb2.AccrueEgressRequest, context: Any) -> Any:
        """Counts what was sent on a day."""
        if request.kind not in (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED) or not request.vendor:
            raise InvalidRequest("INVALID_REQUEST", "Say vendor, and a kind of money: real or simulated.")
        if request.size_bytes < 0:
            raise InvalidRequest("INVALID_REQUEST", "size_bytes is at least 0.")
        try:
            day = datetime.date.fromisoformat(request.day)
        except ValueError:
            raise InvalidRequest("INVALID_REQUEST", "day is one such as 2026-11-27.") from None
        row = await self._egress.accrue(
            identity.caller().tenant,
            Sent(
                counter_id=as_uuid("counter_id", request.counter_id),
                day=day,
                kind=CostKind.Name(request.kind).removeprefix("COST_KIND_"),
                vendor=request.vendor,
                size_bytes=request.size_bytes,
            ),
        )
        return egress_pb2.AccrueEgressResponse(entry=entry_message(row))
