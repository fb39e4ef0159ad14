"""The space that a collection is searched in, and that new versions of it are embedded in.

The index has a row for it where `waybill migrate-space` was ever used; else it is the embedder's own. What
was read once is kept: the index refuses another space with the name of the right one, SPACE_MOVED.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import grpc

from services.orchestrator.offers import Offers
from services.orchestrator.peers import Peers, steady
from services.orchestrator.steps.answers import Cut
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedResponse
from waybill.runtime import identity
from waybill.runtime.errors import ServiceError, from_status
from waybill.storage.v1.collection_space_service_pb2 import GetCollectionSpaceRequest

MOVED = "SPACE_MOVED"
# A collection that changes its space more often within one call is left alone.
MOST_MOVES = 4
MOST_KNOWN = 10_000
T = TypeVar("T")


class Spaces:
    """Which space a collection of the caller's is in.

    Args:
        peers: The index.
        offers: What the embedder says of its models.
    """

    def __init__(self, peers: Peers, offers: Offers) -> None:
        self.offers = offers
        self._peers = peers
        # By tenant and collection; None: the embedder's own.
        self._known: dict[tuple[str, str], Space | None] = {}

    async def of(self, collection: str) -> Space:
        """The space of a collection."""
        return await self.own(collection) or await self.offers.space()

    async def own(self, collection: str) -> Space | None:
        """The same, where a row says so."""
        key = identity.caller().tenant, collection
        if key not in self._known:
            ask = GetCollectionSpaceRequest(collection=collection)
            answer = await steady(partial(self._peers.spaces.GetCollectionSpace, ask))
            has_row = answer.HasField("collection_space")
            self._keep(collection, answer.collection_space.space if has_row else None)
        return self._known[key]

    async def offer(self, collection: str) -> EmbedResponse:
        """What the embedder says of the model that a collection is in."""
        return await self.offer_in(await self.of(collection))

    async def offer_in(self, space: Space) -> EmbedResponse:
        """The same of the model of a space."""
        offer = await self.offers.current()
        if space == offer.space:
            return offer
        return await self.offers.asked(await self.offers.request(space))

    async def of_version(self, cut: Cut) -> Space:
        """The space that a version's vectors are in, whatever the embedder serves by now."""
        return Space(**cut.space) if cut.space else await self.offers.space()

    async def following(self, collection: str, operation: Callable[[Space], Awaitable[T]]) -> T:
        """Does something in the collection's space; again where that has changed meanwhile.

        Args:
            collection: Whose space.
            operation: Changes nothing where it fails with SPACE_MOVED.
        """
        for _ in range(MOST_MOVES):
            try:
                return await operation(await self.of(collection))
            except (ServiceError, grpc.aio.AioRpcError) as error:
                if not self.moved(collection, error):
                    raise
        return await operation(await self.of(collection))

    def moved(self, collection: str, error: ServiceError | grpc.aio.AioRpcError) -> Space | None:
        """The space that an error names as the collection's; None for any other error."""
        failure = from_status(error) if isinstance(error, grpc.aio.AioRpcError) else error
        if failure.reason != MOVED:
            return None
        told = failure.metadata
        space = Space(model=told["model"], dimension=int(told["dimension"]), revision=told["revision"])
        self._keep(collection, space)
        return space

    def _keep(self, collection: str, space: Space | None) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[identity.caller().tenant, collection] = space
