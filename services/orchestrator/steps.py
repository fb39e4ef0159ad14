"""What each step does: it moves references, and calls one service or two. Every step may run again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from services.orchestrator import documents
from services.orchestrator.chunking import RECIPE, embedded_text
from services.orchestrator.filling import MESSAGE_BYTES, Filling
from services.orchestrator.peers import Peers
from services.orchestrator.run_rows import RunRef
from services.orchestrator.runs import Runs
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    CreateParseJobRequest,
    GetParseJobRequest,
)
from waybill.runtime import deadline, identity
from waybill.runtime.channel import reading
from waybill.runtime.errors import InvalidRequest, VendorContract
from waybill.runtime.retry import insist
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector

T = TypeVar("T")
BATCHES_IN_FLIGHT = 4
# How long a step waits for a service that restarts before the run fails.
PATIENCE_SECONDS = 600.0
JOB_WAIT_SECONDS = 20
EMBED_SECONDS = 300.0


@dataclass(frozen=True)
class Parsed:
    """Where the pages are."""

    result_key: str
    pages: int


@dataclass(frozen=True)
class Cut:
    """The version that was begun, and which of its chunks go into which embedding request.

    Attributes:
        batches: (first ordinal, end exclusive) of each request.
    """

    version_id: str
    document_id: str
    chunks: int
    batches: Sequence[tuple[int, int]]


class Steps:
    """The steps' bodies."""

    def __init__(self, peers: Peers, runs: Runs) -> None:
        self._peers = peers
        self._runs = runs
        self._space: Space | None = None
        self._embedding = asyncio.Semaphore(BATCHES_IN_FLIGHT)

    async def space(self) -> Space:
        """The space that the embedder serves; asked once."""
        if self._space is None:
            async with reading(self._peers.embedder.Embed(EmbedRequest())) as answers:
                async for answer in answers:
                    self._space = answer.space
        if self._space is None:
            raise VendorContract("SPACE_UNKNOWN", "The embedder named no space. Look at its log.")
        return self._space

    async def parse(self, run: RunRef) -> Parsed:
        """Has the stored source parsed; the same content is never parsed twice for a tenant."""
        row = await self._runs.find(run)
        request = CreateParseJobRequest(
            source_key=row["source_key"], source_sha256=row["source_sha256"], filename=row["filename"]
        )
        job = await self._ended(request)
        if job.state != ParseJob.STATE_SUCCEEDED:
            raise InvalidRequest(job.reason or "PARSE_FAILED", job.message)
        await self._runs.change(run, pages=job.page_count)
        return Parsed(job.result_key, job.page_count)

    async def chunk(self, run: RunRef, parsed: Parsed) -> Cut:
        """Cuts the pages and writes the chunks, without vectors, under an unpublished version."""
        row = await self._runs.find(run)
        space = await _steady(self.space)
        begin = index.BeginVersionRequest(
            collection=row["collection"],
            document_key=row["document_key"],
            source_sha256=row["source_sha256"],
            recipe=RECIPE,
            space=space,
            run_id=run.run_id,
        )
        begun = await _steady(lambda: self._peers.index.BeginVersion(begin))
        filling = await self._fill(begun.version_id, parsed)
        await self._runs.change(
            run, chunks=filling.chunks, document_id=begun.document_id, version_id=begun.version_id
        )
        return Cut(begun.version_id, begun.document_id, filling.chunks, filling.batches)

    async def embed(self, run: RunRef, cut: Cut, batch: tuple[int, int]) -> int:
        """Embeds a range of chunks that have no vector yet and writes the vectors; answers how many."""
        async with self._embedding:
            chunks = [chunk async for chunk in self._pending(cut.version_id, batch)]
            if chunks:
                vectors = await _steady(lambda: self._vectors(chunks))
                for request in _vector_requests(cut.version_id, await self.space(), vectors):
                    await _steady(partial(self._peers.index.PutVectors, request))
            await self._runs.change(run, embedded_chunks=batch[1])
            return len(chunks)

    async def publish(self, run: RunRef, cut: Cut) -> str:
        """Makes the version the one that searches see; answers the document's id."""
        request = index.PublishVersionRequest(version_id=cut.version_id, chunk_count=cut.chunks)
        response = await _steady(lambda: self._peers.index.PublishVersion(request))
        return response.document_id

    async def stop(self, run: RunRef) -> None:
        """Cancels the run's parse jobs; answers once they have stopped."""
        row = await self._runs.find(run)
        with identity.acting_as(identity.Caller(run.tenant, row["correlation_id"], run.run_id)):
            await _steady(
                partial(self._peers.parser.CancelParseJob, CancelParseJobRequest(run_id=run.run_id))
            )

    async def _ended(self, request: CreateParseJobRequest) -> ParseJob:
        job = (await _steady(lambda: self._peers.parser.CreateParseJob(request))).job
        while job.state in (ParseJob.STATE_QUEUED, ParseJob.STATE_RUNNING):
            read = GetParseJobRequest(job_id=job.job_id, wait=Duration(seconds=JOB_WAIT_SECONDS))
            job = (await _steady(partial(self._peers.parser.GetParseJob, read))).job
        if job.state == ParseJob.STATE_CANCELLED:
            # It was made for another run of the same content, which was cancelled: this one was not.
            return await self._ended(request)
        return job

    async def _fill(self, version_id: str, parsed: Parsed) -> Filling:
        """Puts a document's chunks as its pages come; in memory are one range and one request."""
        filling = Filling(version_id)
        async for lines in documents.lines(self._peers.objects, parsed.result_key, PATIENCE_SECONDS):
            await self._put(await asyncio.to_thread(filling.add, map(documents.page, lines)))
        await self._put(filling.rest())
        if not filling.chunks:
            raise InvalidRequest("DOCUMENT_EMPTY", "The document has no text. Scans need a parser with OCR.")
        return filling

    async def _put(self, requests: Sequence[index.PutChunksRequest]) -> None:
        for request in requests:
            await _steady(partial(self._peers.index.PutChunks, request))

    async def _pending(self, version_id: str, batch: tuple[int, int]) -> AsyncIterator[Chunk]:
        request = index.ListChunksRequest(
            version_id=version_id, start_ordinal=batch[0], end_ordinal=batch[1], pending_only=True
        )
        while True:
            page = await _steady(lambda: self._peers.index.ListChunks(request))
            for chunk in page.chunks:
                yield chunk
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _vectors(self, chunks: Sequence[Chunk]) -> list[ChunkVector]:
        texts = [embedded_text(chunk.heading, chunk.text) for chunk in chunks]
        request = EmbedRequest(texts=texts, space=await self.space())
        vectors: list[ChunkVector] = []
        # A vendor's rate limit is waited for in the embedder.
        seconds = deadline.remaining_seconds(EMBED_SECONDS)
        async with reading(self._peers.embedder.Embed(request, timeout=seconds)) as answers:
            async for answer in answers:
                vectors += [
                    ChunkVector(ordinal=chunks[one.index].ordinal, values=one.values)
                    for one in answer.embeddings
                ]
        if len(vectors) != len(chunks):
            raise VendorContract(
                "EMBEDDING_INVALID", "The embedder's answer ended early. Nothing was stored."
            )
        return vectors


async def _steady(operation: Callable[[], Awaitable[T]]) -> T:
    """A call that waits out a restart of its service."""
    return await insist(operation, seconds=deadline.remaining_seconds(PATIENCE_SECONDS) or 0.0)


def _vector_requests(
    version_id: str, space: Space, vectors: Sequence[ChunkVector]
) -> Iterator[index.PutVectorsRequest]:
    per_message = max(1, MESSAGE_BYTES // (space.dimension * 4 + 16))
    for start in range(0, len(vectors), per_message):
        yield index.PutVectorsRequest(
            version_id=version_id, space=space, vectors=vectors[start : start + per_message]
        )
