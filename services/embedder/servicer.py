"""EmbedderService: request → embedding → response messages under the size limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from services.embedder.embedding import EmbeddedBatch, Embeddings
from waybill.embedder.v1 import embedder_service_pb2_grpc
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedding_pb2 import Embedding, Usage
from waybill.runtime.errors import Precondition

MESSAGE_BYTES = 1024 * 1024


class EmbedderServicer(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """The embedder's RPCs."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    async def Embed(self, request: EmbedRequest, context: Any) -> AsyncIterator[EmbedResponse]:  # noqa: N802
        """Streams the vectors of the request's texts."""
        space = self._embeddings.space
        if request.HasField("space") and request.space != space:
            raise Precondition(
                "SPACE_MISMATCH",
                f"Served is {space.model} with {space.dimension} dimensions; ask for that, or for none.",
                {"model": space.model, "dimension": str(space.dimension), "revision": space.revision},
            )
        yield EmbedResponse(space=space)
        usage = Usage()
        async for batch in self._embeddings.embed(request.texts):
            usage.tokens += batch.tokens
            usage.entry_ids.append(batch.entry_id)
            for response in _responses(batch, space.dimension):
                yield response
        if request.texts:
            yield EmbedResponse(usage=usage)


def _responses(batch: EmbeddedBatch, dimension: int) -> list[EmbedResponse]:
    size = max(1, MESSAGE_BYTES // (dimension * 4))
    rows = np.ascontiguousarray(batch.vectors, dtype="<f4")
    return [
        EmbedResponse(
            embeddings=[
                Embedding(index=batch.start + place, values=rows[place].tobytes())
                for place in range(start, min(start + size, len(rows)))
            ]
        )
        for start in range(0, len(rows), size)
    ]
