"""A version of a document, which begins with its first chunks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from services.orchestrator.peers import steady
from waybill.common.v1.space_pb2 import Space
from waybill.storage.v1.chunk_pb2 import Chunk
from waybill.storage.v1.document_index_service_pb2 import (
    BeginVersionRequest,
    BeginVersionResponse,
    PutChunksRequest,
)

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceAsyncStub


class NewVersion:
    """A version that is being filled.

    Attributes:
        begun: What the index said as it began; empty before.
        pending: Of the chunks that were put last, those without a vector.
        kept_tokens: Of the chunks that had a vector when they were put.
    """

    def __init__(self, index: DocumentIndexServiceAsyncStub, wanted: BeginVersionRequest) -> None:
        self.begun = BeginVersionResponse()
        self.pending: Sequence[Chunk] = ()
        self.kept_tokens = 0
        self._index = index
        self._wanted = wanted

    @property
    def space(self) -> Space:
        """That its vectors are in: of a version that the run has published, its own."""
        return self.begun.space if self.begun.HasField("space") else self._wanted.space

    @property
    def settled(self) -> bool:
        """Whether it takes no chunks: the same, or this very version, is published."""
        kind = BeginVersionResponse
        return self.begun.outcome in (kind.OUTCOME_UNCHANGED, kind.OUTCOME_PUBLISHED)

    @property
    def lacking(self) -> bool:
        """Whether something is to be written to it: its chunks, or vectors that it was published without."""
        return not self.settled or self.begun.pending_vectors > 0

    async def put(self, messages: Sequence[Sequence[Chunk]]) -> None:
        """Writes chunks, one message at a time; again is harmless. Of a settled version none."""
        for chunks in messages:
            if self.settled:
                return
            request = PutChunksRequest(version_id=self.begun.version_id, chunks=chunks)
            if not self.begun.version_id:
                request.begin.CopyFrom(self._wanted)
            answer = await steady(partial(self._index.PutChunks, request))
            if answer.HasField("begun"):
                self.begun = answer.begun
            pending = set(answer.pending_ordinals)
            self.pending = [chunk for chunk in chunks if chunk.ordinal in pending]
            if not self.settled:
                kept = (chunk.token_count for chunk in chunks if chunk.ordinal not in pending)
                self.kept_tokens += sum(kept)
