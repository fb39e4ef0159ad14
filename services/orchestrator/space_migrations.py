"""Another embedding model for a collection: plan, begin, try, switch, and back."""

from __future__ import annotations

import os
from functools import partial

from services.orchestrator.peers import Peers, steady
from services.orchestrator.quoting import PriceList
from services.orchestrator.runs.rows import new_run_id, unix_ms
from services.orchestrator.searches import DEFAULT_LIMIT, MAX_LIMIT, MAX_QUERY_BYTES, Searches
from services.orchestrator.space_fills import SpaceFills
from services.orchestrator.spaces import Spaces
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.ledger_service_pb2 import ListPricesRequest
from waybill.limits import DEFAULT_COLLECTION
from waybill.money import cost_nano_usd
from waybill.orchestrator.v1.space_migration_pb2 import FillPlan, SpaceTrial
from waybill.orchestrator.v1.space_migration_service_pb2 import TrySpacesRequest
from waybill.runtime.audit import Audit
from waybill.runtime.clock import Now
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.collection_space_pb2 import CollectionSpace
from waybill.storage.v1.collection_space_service_pb2 import (
    BeginFillRequest,
    FinishFillRequest,
    GetCollectionSpaceRequest,
    MeasureSpaceRequest,
    MoveSearchesRequest,
)


class SpaceMigrations:
    """Migrations of the caller's collections.

    Args:
        peers: Who knows what there is, and what it costs.
        spaces: Which space a collection is in.
        searches: Embeds questions.
        fills: Woken where there is something to fill.
        audit: Told who did what.
        now: The time, in UTC.
    """

    def __init__(
        self,
        peers: Peers,
        spaces: Spaces,
        searches: Searches,
        fills: SpaceFills,
        audit: Audit,
        now: Now,
    ) -> None:
        self._peers = peers
        self._spaces = spaces
        self._searches = searches
        self._fills = fills
        self._audit = audit
        self._now = now

    async def plan(self, collection: str, model: str, dimension: int) -> tuple[FillPlan, Space]:
        """What it takes to go to a model; and the space that is searched now.

        Raises:
            InvalidRequest: INVALID_REQUEST.
            Precondition: SPACE_MISMATCH, PACKAGE_MISSING, SPACE_SEARCHED, PRICE_UNKNOWN.
        """
        if not model or dimension < 0:
            raise InvalidRequest("INVALID_REQUEST", "Name a model; dimension is 0 or its vectors' length.")
        plan = await self._filling(collection, EmbedRequest(model=model, dimension=dimension))
        searched = await self._searched(collection, plan.space)
        if searched == plan.space:
            raise Precondition(
                "SPACE_SEARCHED",
                f"The collection is searched in the space of {model} already. Name another one.",
            )
        return plan, searched

    async def start(self, collection: str, space: Space) -> CollectionSpace:
        """Begins to fill a space. Raises what the index does, and SPACE_MISMATCH."""
        await self._spaces.offers.asked(EmbedRequest(space=space))
        begin = BeginFillRequest(
            collection=collection,
            space=space,
            searched=await self._searched(collection, space),
            run_id=new_run_id(unix_ms(self._now()), os.urandom(10)),
        )
        with self._audit.noted("space.fill", collection or DEFAULT_COLLECTION, {"to": space.model}):
            begun = (await steady(partial(self._peers.spaces.BeginFill, begin))).collection_space
        self._fills.wake()
        return begun

    async def get(self, collection: str) -> tuple[CollectionSpace, FillPlan | None]:
        """Where it stands, and what the other space lacks; None where that cannot be told, with the reason.

        Raises:
            NotFound: MIGRATION_NOT_FOUND.
        """
        ask = GetCollectionSpaceRequest(collection=collection)
        answer = await steady(partial(self._peers.spaces.GetCollectionSpace, ask))
        if not answer.HasField("collection_space"):
            raise NotFound(
                "MIGRATION_NOT_FOUND",
                "No migration was begun for this collection. `waybill migrate-space --to MODEL` begins one.",
            )
        found = answer.collection_space
        if not found.HasField("other"):
            return found, None
        try:
            return found, await self._filling(collection, EmbedRequest(space=found.other))
        except Precondition as error:
            # EMBEDDER_ALSO is gone before the end: where the migration stands is told in any case.
            found.reason, found.message = error.reason, error.message
            return found, None

    async def move(self, collection: str, *, back: bool) -> CollectionSpace:
        """Lets searches change over, or go back; see the contract. Raises SPACE_MISMATCH, too."""
        before, _ = await self.get(collection)
        switched = before.state == CollectionSpace.STATE_SWITCHED
        # What has not happened yet is taken back; what has happened already is not asked for again.
        moving = switched if back else not switched
        if moving:
            # Nothing changes over to a space in which no question can be embedded.
            await self._spaces.offers.asked(EmbedRequest(space=before.other))
        action = "space.roll_back" if back else "space.switch"
        with self._audit.noted(action, before.collection, {"space": before.other.model}):
            request = MoveSearchesRequest(collection=collection, moving=moving)
            moved = (await steady(partial(self._peers.spaces.MoveSearches, request))).collection_space
        self._fills.wake()
        return moved

    async def finish(self, collection: str) -> CollectionSpace:
        """Ends a migration."""
        with self._audit.noted("space.finish", collection or DEFAULT_COLLECTION):
            request = FinishFillRequest(collection=collection)
            return (await steady(partial(self._peers.spaces.FinishFill, request))).collection_space

    async def tried(self, request: TrySpacesRequest) -> tuple[SpaceTrial, SpaceTrial]:
        """A question's answers in the space that is searched, and in the one beside it."""
        query, limit = request.query.strip(), request.limit or DEFAULT_LIMIT
        if not query or len(query.encode()) > MAX_QUERY_BYTES or not 1 <= limit <= MAX_LIMIT:
            raise InvalidRequest(
                "INVALID_REQUEST", f"Ask with 1 to {MAX_QUERY_BYTES} bytes, for 1 to {MAX_LIMIT} hits."
            )
        ask = GetCollectionSpaceRequest(collection=request.collection)
        answer = await steady(partial(self._peers.spaces.GetCollectionSpace, ask))
        found = answer.collection_space
        if not found.HasField("other"):
            raise NotFound("MIGRATION_NOT_FOUND", "The collection has no second space to be tried.")
        return (
            await self._tried(found.collection, query, limit, found.space),
            await self._tried(found.collection, query, limit, found.other),
        )

    async def _tried(self, collection: str, query: str, limit: int, space: Space) -> SpaceTrial:
        vector = await self._searches.vector(query, collection, space)
        modes = index.SearchRequest

        async def asked(mode: index.SearchRequest.Mode, *, exact: bool = False) -> index.SearchResponse:
            search = index.SearchRequest(
                collection=collection, query=query, vector=vector, space=space, mode=mode, limit=limit,
                beside=True, exact=exact,
            )  # fmt: skip
            return await steady(partial(self._peers.index.Search, search))

        hybrid = await asked(modes.MODE_HYBRID)
        nearest = await asked(modes.MODE_VECTOR)
        exact = await asked(modes.MODE_VECTOR, exact=True)
        return SpaceTrial(
            space=space, hybrid=hybrid.hits, nearest=nearest.hits, exact=exact.hits, coverage=hybrid.coverage
        )

    async def _searched(self, collection: str, space: Space) -> Space:
        """Where the collection is searched: by its row, else where most of it is, else the embedder's own."""
        if own := await self._spaces.own(collection or DEFAULT_COLLECTION):
            return own
        ask = MeasureSpaceRequest(collection=collection, space=space)
        measured = await steady(partial(self._peers.spaces.MeasureSpace, ask))
        if measured.HasField("most_chunks_in"):
            return measured.most_chunks_in
        return await self._spaces.of(collection or DEFAULT_COLLECTION)

    async def _filling(self, collection: str, model: EmbedRequest) -> FillPlan:
        served = await self._spaces.offers.asked(model)
        offer, today = served.offer, self._now().date()
        ask = MeasureSpaceRequest(collection=collection, space=served.space)
        measured = await steady(partial(self._peers.spaces.MeasureSpace, ask))
        listed = await steady(partial(self._peers.ledger.ListPrices, ListPricesRequest(day=str(today))))
        price = PriceList(today, listed.prices).find(offer.vendor, offer.model, "token")
        return FillPlan(
            space=served.space,
            measure=measured.measure,
            vendor=offer.vendor,
            model=offer.model,
            kind=offer.kind,
            nano_usd_per_million=price,
            nano_usd=cost_nano_usd(price, measured.measure.tokens_to_embed),
            price_day=str(today),
        )
