"""The RPC of what runs did not buy: request → avoided → response."""

from __future__ import annotations

from typing import Any

from services.ledger.avoided import Avoided, Kept
from services.ledger.budget_rpcs import as_uuid
from services.ledger.rows import Row
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import avoided_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_size, page_token, timestamp, token_number

DEFAULT_PAGE, MAX_PAGE, MAX_RUNS = 500, 2_000, 200
_SAME = ("operation", "service", "vendor", "model", "unit", "quantity")
_OPERATIONS = frozenset({"parse", "embed"})


class AvoidedRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about work that was there."""

    _avoided: Avoided

    async def NoteAvoided(self, request: avoided_pb2.NoteAvoidedRequest, context: Any) -> Any:
        """Notes what a run did not buy."""
        who = identity.caller()
        if not who.run_id:
            raise InvalidRequest("INVALID_REQUEST", "Only a run avoids a purchase: the call names none.")
        match request.WhichOneof("found"):
            case "kept":
                await self._avoided.kept(who, _kept(request.kept))
            case "earlier":
                operations = request.earlier.operations
                if not operations or not _OPERATIONS.issuperset(operations):
                    raise InvalidRequest("INVALID_REQUEST", "operations are parse, embed or both.")
                run_id = as_uuid("earlier.run_id", request.earlier.run_id)
                await self._avoided.earlier(who, run_id, operations)
            case _:
                raise InvalidRequest("INVALID_REQUEST", "Say what was there: kept, or earlier.")
        return avoided_pb2.NoteAvoidedResponse()

    async def ListAvoided(self, request: avoided_pb2.ListAvoidedRequest, context: Any) -> Any:
        """Lists what runs did not buy."""
        if len(request.run_ids) > MAX_RUNS:
            raise InvalidRequest("INVALID_REQUEST", f"run_ids are at most {MAX_RUNS}: ask in parts.")
        run_ids = [as_uuid("run_ids", one) for one in request.run_ids] or None
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        place = page_place(request.page_token, 1)
        offset = token_number(place[0]) if place else 0
        tenant, label = identity.caller().tenant, request.correlation_id or None
        rows = await self._avoided.listed(tenant, run_ids, label, size + 1, offset)
        response = avoided_pb2.ListAvoidedResponse(avoided=[_message(row) for row in rows[:size]])
        if len(rows) > size:
            response.next_page_token = page_token(str(offset + size))
        return response


def _message(row: Row) -> avoided_pb2.Avoided:
    return avoided_pb2.Avoided(
        run_id=str(row["run_id"]),
        kind=f"COST_KIND_{row['kind']}",
        price_nano_usd_per_million=row["price_nano_usd_per_million"],
        nano_usd=row["nano_usd"],
        note_time=timestamp(row["noted_at"]),
        **{name: row[name] for name in _SAME},
    )


def _kept(said: avoided_pb2.NoteAvoidedRequest.Kept) -> Kept:
    kept = Kept(
        kind=CostKind.Name(said.kind).removeprefix("COST_KIND_"),
        **{name: getattr(said, name) for name in _SAME},
    )
    if said.quantity < 0 or said.kind == CostKind.COST_KIND_UNSPECIFIED or kept.operation not in _OPERATIONS:
        raise InvalidRequest("INVALID_REQUEST", "kept needs operation, kind and a quantity of at least 0.")
    return kept
