"""Chunks without a vector, and vectors for them: what an embedding reads from the index and writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from services.orchestrator.chunks.packing import MESSAGE_BYTES
from services.orchestrator.peers import steady
from waybill.common.v1.space_pb2 import Space
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector
from waybill.storage.v1.document_index_service_pb2 import (
    ListChunksRequest,
    PublishVersionRequest,
    PutVectorsRequest,
)

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceAsyncStub


async def pending(
    index: DocumentIndexServiceAsyncStub, version_id: str, start: int, end: int, space: Space | None = None
) -> AsyncIterator[Sequence[Chunk]]:
    """The chunks from `start` to before `end` that have no vector, in order, a message of them at a time.

    Args:
        index: Has them.
        version_id: Of this version.
        start: Ordinal of the first.
        end: The one behind the last; 0: all the rest.
        space: Where they have none; the version's where it is not named.
    """
    request = ListChunksRequest(
        version_id=version_id, start_ordinal=start, end_ordinal=end, pending_only=True, space=space
    )
    while True:
        page = await steady(lambda: index.ListChunks(request))
        if page.chunks:
            yield page.chunks
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def put(
    index: DocumentIndexServiceAsyncStub, version_id: str, space: Space, vectors: Sequence[ChunkVector]
) -> None:
    """Writes vectors; again is harmless."""
    for request in _requests(version_id, space, vectors):
        await steady(partial(index.PutVectors, request))


async def publish(
    index: DocumentIndexServiceAsyncStub,
    wanted: PublishVersionRequest,
    space: Space,
    vectors: Sequence[ChunkVector],
) -> None:
    """Writes the last vectors of a version and publishes it; again is harmless."""
    requests = list(_requests(wanted.version_id, space, vectors))
    if not requests:
        await steady(partial(index.PublishVersion, wanted))
        return
    requests[-1].publish.CopyFrom(wanted)
    for request in requests:
        await steady(partial(index.PutVectors, request))


def _requests(version_id: str, space: Space, vectors: Sequence[ChunkVector]) -> Iterator[PutVectorsRequest]:
    per_message = max(1, MESSAGE_BYTES // (space.dimension * 4 + 16))
    for start in range(0, len(vectors), per_message):
        yield PutVectorsRequest(
            version_id=version_id, space=space, vectors=vectors[start : start + per_message]
        )
