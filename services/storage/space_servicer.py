"""CollectionSpaceService: request → a collection's spaces → response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.storage import collection_spaces, filling, names, spaces, switching
from services.storage.collection_spaces import Row
from services.storage.filling import Place
from services.storage.spaces import Space
from services.storage.switching import Turn
from waybill.common.v1 import space_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.postgres import Database
from waybill.runtime.wire import timestamp
from waybill.storage.v1 import collection_space_pb2, collection_space_service_pb2_grpc
from waybill.storage.v1 import collection_space_service_pb2 as pb

MAX_OWNER_BYTES, MAX_WHY_BYTES = 256, 2_000
MOST_LEASE_SECONDS = 3_600.0
_TOLD = ("collection", "moving", "reason", "message", "run_id", "correlation_id", "subject", "credential_id")


class CollectionSpaceServicer(collection_space_service_pb2_grpc.CollectionSpaceServiceServicer):
    """The RPCs of collections' spaces.

    Args:
        database: One tenant at a time.
        owner: Sees every tenant's, and makes room for a new space.
        on_finished: Told after a migration was ended.
    """

    def __init__(self, database: Database, owner: Database, on_finished: Callable[[], None]) -> None:
        self._database = database
        self._owner = owner
        self._on_finished = on_finished

    async def GetCollectionSpace(
        self, request: pb.GetCollectionSpaceRequest, context: Any
    ) -> pb.GetCollectionSpaceResponse:
        """Reads a collection's row."""
        collection = names.collection(request.collection)
        async with self._database.transaction(_tenant()) as connection:
            row = await collection_spaces.row_or_none(connection, _tenant(), collection)
        return pb.GetCollectionSpaceResponse(collection_space=_told(row) if row else None)

    async def MeasureSpace(self, request: pb.MeasureSpaceRequest, context: Any) -> pb.MeasureSpaceResponse:
        """Counts what a space lacks."""
        found, most = await filling.measure(self._database, _place(request))
        return pb.MeasureSpaceResponse(
            measure=collection_space_pb2.SpaceMeasure(**found),
            most_chunks_in=_message(most) if most else None,
        )

    async def BeginFill(self, request: pb.BeginFillRequest, context: Any) -> pb.BeginFillResponse:
        """Begins to fill a space."""
        place, searched = _place(request), _space(request.searched)
        run_id = names.checked("run_id", request.run_id, MAX_OWNER_BYTES)
        if not run_id:
            raise InvalidRequest("INVALID_REQUEST", "run_id is missing.")
        for space in (place.space, searched):
            await spaces.make(self._owner, space)
        async with self._database.transaction(_tenant()) as connection:
            ids = switching.ids_of(run_id, identity.caller())
            row = await switching.begin(connection, place, searched, ids)
        return pb.BeginFillResponse(collection_space=_told(row))

    async def ClaimFill(self, request: pb.ClaimFillRequest, context: Any) -> pb.ClaimFillResponse:
        """Takes a fill to work at."""
        owner, seconds = names.checked("owner", request.owner, MAX_OWNER_BYTES), request.lease.ToSeconds()
        if not owner or not 1 <= seconds <= MOST_LEASE_SECONDS:
            raise InvalidRequest(
                "INVALID_REQUEST", f"owner is missing, or lease is not 1 s to {MOST_LEASE_SECONDS:g} s."
            )
        row = await switching.claim(self._owner, owner, seconds)
        if row is None:
            return pb.ClaimFillResponse()
        return pb.ClaimFillResponse(tenant=row["tenant"], collection_space=_told(row))

    async def TakeUnfilled(self, request: pb.TakeUnfilledRequest, context: Any) -> pb.TakeUnfilledResponse:
        """Copies what it can, and lists what is left."""
        found = await filling.unfilled(self._database, _place(request), request.page_token)
        return pb.TakeUnfilledResponse(
            texts=[collection_space_pb2.UnfilledText(**text) for text in found.texts],
            reused=found.reused,
            next_page_token=found.token,
        )

    async def PutTextVectors(
        self, request: pb.PutTextVectorsRequest, context: Any
    ) -> pb.PutTextVectorsResponse:
        """Writes vectors by text."""
        vectors = {one.sha256: one.values for one in request.vectors}
        if not vectors:
            raise InvalidRequest("INVALID_REQUEST", "There are no vectors.")
        return pb.PutTextVectorsResponse(chunks=await filling.put(self._database, _place(request), vectors))

    async def EndFillTurn(self, request: pb.EndFillTurnRequest, context: Any) -> pb.EndFillTurnResponse:
        """Gives a fill back."""
        turn = Turn(
            owner=request.owner,
            complete=request.complete,
            reason=names.checked("reason", request.reason, MAX_OWNER_BYTES),
            message=names.checked("message", request.message, MAX_WHY_BYTES),
            rest_seconds=max(0.0, request.rest.ToMilliseconds() / 1_000),
            backends=names.backends([request.backend] if request.HasField("backend") else []),
        )
        collection = names.collection(request.collection)
        row, lacking = await switching.end_turn(self._database, _tenant(), collection, turn)
        return pb.EndFillTurnResponse(collection_space=_told(row), missing_chunks=lacking)

    async def MoveSearches(self, request: pb.MoveSearchesRequest, context: Any) -> pb.MoveSearchesResponse:
        """Asks for the other space."""
        collection = names.collection(request.collection)
        row = await switching.move(self._database, _tenant(), collection, moving=request.moving)
        return pb.MoveSearchesResponse(collection_space=_told(row))

    async def FinishFill(self, request: pb.FinishFillRequest, context: Any) -> pb.FinishFillResponse:
        """Ends a migration."""
        row = await switching.finish(self._database, _tenant(), names.collection(request.collection))
        self._on_finished()
        return pb.FinishFillResponse(collection_space=_told(row))


def _tenant() -> str:
    return identity.caller().tenant


def _place(request: Any) -> Place:
    return Place(_tenant(), names.collection(request.collection), _space(request.space))


def _space(space: space_pb2.Space) -> Space:
    return Space(space.model, space.dimension, space.revision)


def _message(space: Space) -> space_pb2.Space:
    return space_pb2.Space(model=space.model, dimension=space.dimension, revision=space.revision)


def _told(row: Row) -> collection_space_pb2.CollectionSpace:
    told = collection_space_pb2.CollectionSpace(
        state=f"STATE_{row['state']}",
        space=_message(Space(row["model"], row["dimension"], row["revision"])),
        create_time=timestamp(row["created_at"]),
        change_time=timestamp(row["changed_at"]),
        **{name: row[name] for name in _TOLD},
    )
    if row["other_space_id"] is not None:
        other = Space(row["other_model"], row["other_dimension"], row["other_revision"])
        told.other.CopyFrom(_message(other))
    return told
