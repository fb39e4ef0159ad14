"""The embed and publish steps: chunks get their vectors, and then the version is what searches see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import grpc
from psycopg.types.json import Jsonb

from services.orchestrator import degrading, vectors
from services.orchestrator.chunks.cutting import embedded_text
from services.orchestrator.degrading import GoesOnWithout
from services.orchestrator.peers import Peers, steady
from services.orchestrator.runs.outcomes import Noted, RunWaits, for_silent
from services.orchestrator.runs.parts import part
from services.orchestrator.runs.rows import Row
from services.orchestrator.spaces import Spaces
from services.orchestrator.steps.answers import Cut, Embedded, Published
from waybill.common.v1.backend_pb2 import BackendChoice
from waybill.common.v1.space_pb2 import Space
from waybill.runtime import deadline
from waybill.runtime.channel import reading
from waybill.runtime.errors import ServiceError, VendorContract, from_status
from waybill.runtime.fair import Places
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector
from waybill.vendors.choosing import EMBEDDER, choices_of, kept

# Calls that embed, of all runs: the vendor's latency is waited for side by side. And calls that write
# vectors, which is work: more of them at a time are no faster.
EMBEDDINGS_IN_FLIGHT = 8
WRITES_IN_FLIGHT = 3
BATCHES_IN_MEMORY = EMBEDDINGS_IN_FLIGHT + WRITES_IN_FLIGHT
EMBED_SECONDS = 300.0
# An embedder that is there names its space at once, before it buys anything.
FIRST_ANSWER_SECONDS = 60.0


class Embedding:
    """Embeds chunks and publishes versions. Each step may run again: vectors that were written are kept."""

    def __init__(
        self, peers: Peers, spaces: Spaces, first_answer_seconds: float = FIRST_ANSWER_SECONDS
    ) -> None:
        self._peers = peers
        self._spaces = spaces
        self._first_answer_seconds = first_answer_seconds
        self._in_memory = Places(BATCHES_IN_MEMORY)
        self._embedding = asyncio.Semaphore(EMBEDDINGS_IN_FLIGHT)
        self._writing = asyncio.Semaphore(WRITES_IN_FLIGHT)

    async def embed(self, cut: Cut, batch: tuple[int, int], row: Row) -> Noted[Embedded]:
        """Embeds a range of chunks that have no vector yet and writes the vectors."""
        return await self._embed(cut, batch, await self._space_now(cut, row), row)

    async def embed_and_publish(
        self, cut: Cut, chunks: Sequence[Chunk], row: Row, choice: BackendChoice
    ) -> tuple[int, GoesOnWithout | None]:
        """Answers how many chunks have no vector, and why, where any has none.

        Args:
            cut: The version.
            chunks: Of it, those without a vector.
            row: The run's.
            choice: Who embeds.
        """
        space = await self._spaces.of_version(cut)
        async with AsyncExitStack() as stack:
            async with part("embed 1"):
                await stack.enter_async_context(self._in_memory.turn(row["tenant"], str(row["run_id"])))
                bought, without = await self._vectors(cut, space, chunks)
            async with part("publish"), self._writing:
                chosen = choices_of(row["backends"] | kept([without.choice if without else choice]))
                wanted = _publication(cut, chosen, vectors_pending=without is not None)
                await vectors.publish(self._peers.index, wanted, space, bought)
        return len(chunks) - len(bought), without

    async def publish(self, cut: Cut, without: str, row: Row) -> Noted[Published]:
        """Makes the version the one that searches see.

        Where its collection was moved to another space since it was cut, it gets vectors of that one first.

        Args:
            cut: The version.
            without: Why chunks may have no vector; empty: each must have one.
            row: The run's.
        """

        async def published(_: Space) -> Noted[Published]:
            why, space = without, await self._space_now(cut, row)
            chosen = row["backends"]
            if space != await self._spaces.of_version(cut):
                chosen = chosen | kept([(await self._spaces.offer_in(space)).choice])
                for batch in cut.batches:
                    embedded = await self._embed(cut, batch, space, row)
                    if embedded.value.without:
                        why, chosen = embedded.value.without, chosen | embedded.columns["backends"].obj
            wanted = _publication(cut, choices_of(chosen), vectors_pending=bool(why))
            response = await steady(lambda: self._peers.index.PublishVersion(wanted))
            pending = response.pending_vectors
            lacking = degrading.pending(pending, why) if pending else ""
            columns = {"vectors": cut.chunks - pending, "backends": Jsonb(chosen)}
            return Noted(Published(response.document_id, lacking), columns)

        return await self._spaces.following(row["collection"], published)

    async def _space_now(self, cut: Cut, row: Row) -> Space:
        """The space that the version is to be in: the one that its collection was moved to, or its own."""
        return await self._spaces.own(row["collection"]) or await self._spaces.of_version(cut)

    async def _embed(self, cut: Cut, batch: tuple[int, int], space: Space, row: Row) -> Noted[Embedded]:
        # A long document, or a tenant with many, stands before nobody else.
        async with self._in_memory.turn(row["tenant"], str(row["run_id"])):
            pages = vectors.pending(self._peers.index, cut.version_id, *batch, space)
            chunks = [chunk async for page in pages for chunk in page]
            bought, without = await self._vectors(cut, space, chunks)
            await self._put(cut, space, bought)
        if without:
            return Noted(
                Embedded(len(bought), without.message), {"backends": degrading.backends(without.choice)}
            )
        return Noted(Embedded(len(chunks)), {"embedded_chunks": batch[1]})

    async def _vectors(
        self, cut: Cut, space: Space, chunks: Sequence[Chunk]
    ) -> tuple[list[ChunkVector], GoesOnWithout | None]:
        """The vectors of chunks, and why some have none, where the run goes on without them.

        A call is several of a vendor's requests, of which the last may fail: what came of the others is paid
        for, and is not bought again.
        """
        bought: list[ChunkVector] = []
        try:
            if chunks:
                async with self._embedding:
                    await steady(partial(self._buy, space, chunks, bought), also=())
        except GoesOnWithout as vendor:
            return bought, vendor
        except (ServiceError, RunWaits):
            await self._put(cut, space, bought)
            raise
        return bought, None

    async def _put(self, cut: Cut, space: Space, bought: Sequence[ChunkVector]) -> None:
        if bought:
            async with self._writing:
                await vectors.put(self._peers.index, cut.version_id, space, bought)

    async def _buy(self, space: Space, chunks: Sequence[Chunk], bought: list[ChunkVector]) -> None:
        """Adds the vectors that are not bought yet, as they come.

        Raises:
            RunWaits: The embedder is silent, and has begun nothing.
        """
        left = chunks[len(bought) :]  # they come in the order of the texts
        texts = [embedded_text(chunk.heading, chunk.lead, chunk.text) for chunk in left]
        request = await self._spaces.offers.request(space, texts)
        # A vendor's rate limit is waited for in the embedder.
        seconds = deadline.remaining_seconds(EMBED_SECONDS)
        try:
            call = self._peers.embedder.Embed(request, timeout=seconds)
            async with reading(call) as answers, asyncio.timeout(self._first_answer_seconds) as first:
                async for answer in answers:
                    first.reschedule(None)
                    bought += [
                        ChunkVector(ordinal=left[one.index].ordinal, values=one.values)
                        for one in answer.embeddings
                    ]
        except TimeoutError:
            raise for_silent([EMBEDDER]) from None
        except grpc.aio.AioRpcError as error:
            await self._spaces.offers.check_goes_on(from_status(error))
            raise
        if len(bought) != len(chunks):
            raise VendorContract("EMBEDDING_INVALID", "The embedder's answer ended early.")


def _publication(
    cut: Cut, backends: Sequence[BackendChoice], *, vectors_pending: bool
) -> index.PublishVersionRequest:
    return index.PublishVersionRequest(
        version_id=cut.version_id,
        chunk_count=cut.chunks,
        edition=cut.edition,
        vectors_pending=vectors_pending,
        backends=backends,
    )
