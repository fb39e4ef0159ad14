"""A question: embedded, and asked of the index."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import grpc

from services.orchestrator.degrading import GoesOnWithout
from services.orchestrator.peers import Peers, steady
from services.orchestrator.spaces import Spaces
from waybill.common.v1.space_pb2 import Space
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.runtime import identity
from waybill.runtime.channel import reading
from waybill.runtime.errors import InvalidRequest, from_status
from waybill.storage.v1 import document_index_service_pb2 as index

MAX_QUERY_BYTES, DEFAULT_LIMIT, MAX_LIMIT = 8_000, 10, 100


class Searches:
    """Answers questions from what is published."""

    def __init__(self, spaces: Spaces, peers: Peers) -> None:
        self._spaces = spaces
        self._peers = peers

    async def search(self, request: SearchRequest) -> tuple[index.SearchResponse, str]:
        """Finds passages by vector and by text; and why by text alone, in a sentence, where that is so.

        Raises:
            InvalidRequest: INVALID_REQUEST.
        """
        query, limit = request.query.strip(), request.limit or DEFAULT_LIMIT
        if not query or len(query.encode()) > MAX_QUERY_BYTES or not 1 <= limit <= MAX_LIMIT:
            raise InvalidRequest(
                "INVALID_REQUEST", f"Ask with 1 to {MAX_QUERY_BYTES} bytes, for 1 to {MAX_LIMIT} hits."
            )
        request.query, request.limit = query, limit
        request.collection = request.collection or DEFAULT_COLLECTION
        async with self._spaces.offers.modes.standing():
            return await self._spaces.following(request.collection, partial(self._search, request))

    async def _search(self, request: SearchRequest, space: Space) -> tuple[index.SearchResponse, str]:
        vector, without = b"", ""
        try:
            vector = await self.vector(request.query, request.collection, space)
        except GoesOnWithout as vendor:
            without = f"The question was asked by its words alone. {vendor.message}"
        asked = index.SearchRequest(
            collection=request.collection,
            query=request.query,
            vector=vector,
            space=space,
            mode=index.SearchRequest.MODE_TEXT if without else index.SearchRequest.MODE_HYBRID,
            limit=request.limit,
            document_keys=request.document_keys,
            metadata=request.metadata,
            first_page=request.first_page,
            last_page=request.last_page,
        )
        # The question's vector is paid for: a restart of storage does not lose it.
        return await steady(lambda: self._peers.index.Search(asked)), without

    async def vector(self, query: str, collection: str, space: Space) -> bytes:
        """A question's vector in a space. Raises GoesOnWithout: words must do without."""
        vector = b""
        asking = await self._spaces.offers.request(space, [query])
        with identity.acting_as(replace(identity.caller(), collection=collection)):
            embedding = self._peers.embedder.Embed(asking)
        try:
            async with reading(embedding) as answers:
                async for answer in answers:
                    vector += b"".join(one.values for one in answer.embeddings)
        except grpc.aio.AioRpcError as error:
            await self._spaces.offers.check_goes_on(from_status(error))
            raise
        return vector
