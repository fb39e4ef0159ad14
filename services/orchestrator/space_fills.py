"""Fills second spaces of collections, turn by turn and tenant by tenant, whatever dies in between.

The index keeps the fills and their leases; what is missing is asked of it anew each time. A turn that breaks
off has lost the embedding requests under way, and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog
from google.protobuf.duration_pb2 import Duration

from services.orchestrator.chunks.packing import MESSAGE_BYTES
from services.orchestrator.offers import Offers
from services.orchestrator.peers import Peers, steady
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.limits import CALL_TEXTS, REQUEST_TOKENS
from waybill.packing import packed
from waybill.runtime import identity
from waybill.runtime.audit import Audit
from waybill.runtime.channel import reading
from waybill.runtime.errors import ServiceError, VendorContract
from waybill.runtime.loops import repeating
from waybill.storage.v1.collection_space_pb2 import CollectionSpace, TextVector, UnfilledText
from waybill.storage.v1.collection_space_service_pb2 import (
    ClaimFillRequest,
    EndFillTurnRequest,
    PutTextVectorsRequest,
    TakeUnfilledRequest,
)

LOOK_SECONDS = 2.0
# After so long another tenant's fill has its turn. A turn's last requests may wait for a vendor.
TURN_SECONDS, LEASE_SECONDS = 20.0, 400
# Where a budget or a vendor refuses.
REST_SECONDS = 30
REQUESTS_IN_FLIGHT = 4
EMBED_SECONDS = 300.0
log = structlog.get_logger()


class SpaceFills:
    """One a process, for all tenants.

    Args:
        peers: The index, and the embedder.
        offers: What the embedder says of its models.
        owner: The process, by a name that stays over its restart: it goes on with its own turns at once.
        audit: Told when searches have changed over.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        peers: Peers,
        offers: Offers,
        owner: str,
        audit: Audit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._offers = offers
        self._owner = owner
        self._audit = audit
        self._clock = clock
        self._woken = asyncio.Event()
        self._in_flight = asyncio.Semaphore(REQUESTS_IN_FLIGHT)

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Fills until the block is left."""
        return repeating("fills of second spaces", self.look, LOOK_SECONDS, self._woken)

    async def look(self) -> None:
        """Takes turns until nothing is to be filled now."""
        while await self._turn():
            pass

    async def _turn(self) -> bool:
        claim = ClaimFillRequest(owner=self._owner, lease=Duration(seconds=LEASE_SECONDS))
        claimed = await steady(partial(self._peers.spaces.ClaimFill, claim))
        if not claimed.tenant:
            return False
        fill = claimed.collection_space
        who = identity.Caller(
            claimed.tenant,
            fill.correlation_id,
            run_id=fill.run_id,
            collection=fill.collection,
            subject=fill.subject,
            credential_id=fill.credential_id,
        )
        with identity.acting_as(who):
            ending = await self._fill(fill)
            ended = await steady(partial(self._peers.spaces.EndFillTurn, ending))
            if ended.collection_space.space != fill.space:
                detail = {"from": str(fill.space.model), "to": str(ended.collection_space.space.model)}
                self._audit.note("space.moved", fill.collection, detail=detail)
        return True

    async def _fill(self, fill: CollectionSpace) -> EndFillTurnRequest:
        """Works at a fill for a while; answers how it went."""
        ending = EndFillTurnRequest(collection=fill.collection, owner=self._owner)
        take = TakeUnfilledRequest(collection=fill.collection, space=fill.other)
        ends_at = self._clock() + TURN_SECONDS
        try:
            while not ending.complete and self._clock() < ends_at:
                page = await steady(partial(self._peers.spaces.TakeUnfilled, take))
                await self._buy(fill, page.texts)
                take.page_token = page.next_page_token
                if not page.next_page_token:
                    ask = partial(self._offers.asked, await self._offers.request(fill.other), EMBED_SECONDS)
                    ending.backend.CopyFrom((await steady(ask)).choice)
                    ending.complete = True
        except ServiceError as error:
            log.warning("a space is filled later", reason=error.reason, run_id=fill.run_id)
            ending.reason, ending.message = error.reason, error.message
            ending.rest.FromSeconds(REST_SECONDS)
        return ending

    async def _buy(self, fill: CollectionSpace, texts: Sequence[UnfilledText]) -> None:
        """Embeds texts, several requests side by side; all have ended when it does."""
        requests = packed([text.token_count for text in texts], CALL_TEXTS, REQUEST_TOKENS)
        works = [self._request(fill, texts[one.start : one.end]) for one in requests]
        for outcome in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _request(self, fill: CollectionSpace, texts: Sequence[UnfilledText]) -> None:
        async with self._in_flight:
            values = await steady(partial(self._vectors, fill.other, [text.text for text in texts]), also=())
            named = [
                TextVector(sha256=text.sha256, values=one) for text, one in zip(texts, values, strict=True)
            ]
            at_once = max(1, MESSAGE_BYTES // (fill.other.dimension * 4 + 80))
            for start in range(0, len(named), at_once):
                put = PutTextVectorsRequest(
                    collection=fill.collection, space=fill.other, vectors=named[start : start + at_once]
                )
                await steady(partial(self._peers.spaces.PutTextVectors, put))

    async def _vectors(self, space: Space, texts: Sequence[str]) -> list[bytes]:
        request = EmbedRequest(texts=texts, space=space)
        async with reading(self._peers.embedder.Embed(request, timeout=EMBED_SECONDS)) as answers:
            values = [one.values async for answer in answers for one in answer.embeddings]
        if len(values) != len(texts):
            raise VendorContract(
                "EMBEDDING_INVALID", "The embedder's answer ended early. Nothing was stored."
            )
        return values
