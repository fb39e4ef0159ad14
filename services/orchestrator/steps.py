"""What each step does: it moves references, and calls one service or two. Every step may run again."""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from psycopg.types.json import Jsonb

from services.orchestrator import artifacts, avoiding, degrading, vectors
from services.orchestrator.batch import tiers
from services.orchestrator.chunks.cutting import DEFAULT_SIZES, ChunkSizes, embedded_text
from services.orchestrator.chunks.packing import Packer, nothing_to_cut
from services.orchestrator.degrading import GoesOnWithout
from services.orchestrator.peers import PATIENCE_SECONDS, Peers, steady
from services.orchestrator.runs.outcomes import Noted, RunWaits
from services.orchestrator.runs.parts import part
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import PARSE, Waits
from services.orchestrator.spaces import Spaces
from services.orchestrator.versions import NewVersion
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    CreateParseJobRequest,
    GetParseJobRequest,
)
from waybill.purchases import LOCAL
from waybill.runtime import deadline, semconv
from waybill.runtime.channel import reading
from waybill.runtime.errors import (
    Deadline,
    InvalidRequest,
    NotFound,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
    from_status,
)
from waybill.runtime.fair import Places
from waybill.runtime.retry import insist
from waybill.runtime.wire import moment, timestamp
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector
from waybill.vendors.choosing import EMBEDDER

# Calls that embed, of all runs: the vendor's latency is waited for side by side. And calls that write
# vectors, which is work: more of them at a time are no faster.
EMBEDDINGS_IN_FLIGHT = 8
WRITES_IN_FLIGHT = 3
BATCHES_IN_MEMORY = EMBEDDINGS_IN_FLIGHT + WRITES_IN_FLIGHT
JOB_WAIT = Duration(seconds=20)
CANCEL_SECONDS = 2.0
UNFINISHED = (ParseJob.STATE_QUEUED, ParseJob.STATE_RUNNING)
# After so long the embedder is asked again which model it serves, and hardly waited for.
OFFER_SECONDS, ASK_SECONDS = 5.0, 1.0
EMBED_SECONDS = 300.0


@dataclass(frozen=True)
class Parsed:
    """Where the pages are, and what of the document they lack: a sentence, empty where they lack nothing.

    Attributes:
        locally: A sentence, where the vendor's engine was to read it and did not.
    """

    result_key: str
    pages: int
    missing: str = ""
    locally: str = ""


@dataclass(frozen=True)
class Cut:
    """The version that was begun, and which of its chunks go into which embedding request.

    Attributes:
        batches: (first ordinal, end exclusive) of each request.
        tier: How they are to be embedded.
        edition: When the content came, among others of the document.
        unchanged: Another run had published the same; the version is that one's.
        published: Nothing is left to do: it was one request, embedded and published as soon as it was cut.
        lacking: What it was published without, in sentences; empty where that is nothing.
        space: That the version's vectors are in, by the fields of a Space; none where an older release cut.
    """

    version_id: str
    document_id: str
    chunks: int
    batches: Sequence[tuple[int, int]]
    tier: str = tiers.SYNCHRONOUS
    edition: int = 0
    unchanged: bool = False
    published: bool = False
    lacking: str = ""
    space: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Embedded:
    """What an embedding came to: so many chunks, or why there are no vectors, in a sentence."""

    chunks: int
    without: str = ""


@dataclass(frozen=True)
class Published:
    """The document's id, and what its version lacks, in sentences; empty where nothing."""

    document_id: str
    lacking: str = ""


class Steps:
    """The steps' bodies.

    Attributes:
        spaces: Which space a collection is in.
    """

    def __init__(
        self,
        peers: Peers,
        waits: Waits,
        sizes: ChunkSizes = DEFAULT_SIZES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peers = peers
        self._waits = waits
        self._sizes = sizes
        self._clock = clock
        self._offer, self._offer_ends = EmbedResponse(), -math.inf
        self._in_memory = Places(BATCHES_IN_MEMORY)
        self._embedding = asyncio.Semaphore(EMBEDDINGS_IN_FLIGHT)
        self._writing = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self.spaces = Spaces(peers, self.offered)

    @property
    def sizes(self) -> ChunkSizes:
        """How documents are cut."""
        return self._sizes

    @property
    def recipe(self) -> str:
        """The name of that."""
        return self._sizes.recipe

    async def space(self) -> Space:
        """The space that the embedder serves now."""
        return (await self.offered()).space

    async def embedder_mode(self) -> Mode:
        """How the embedder's backend is chosen now."""
        return (await self.offered()).choice.mode

    async def space_of(self, cut: Cut) -> Space:
        """The space that a version's vectors are in, whatever the embedder serves by now."""
        return Space(**cut.space) if cut.space else await self.space()

    async def parse(self, row: Row) -> Noted[Parsed]:
        """Has the stored source parsed; the same content is never parsed twice for a tenant."""
        job, choice = await self._parsed(row)
        if job.blocked_on:
            raise Quota(job.reason, job.message, {semconv.BLOCKED_ON: job.blocked_on})
        if job.state != ParseJob.STATE_SUCCEEDED:
            raise InvalidRequest(job.reason or "PARSE_FAILED", job.message)
        if job.run_id != str(row["run_id"]):
            await avoiding.found(self._peers, job.run_id, ["parse"])
        reading = Jsonb(MessageToDict(job.reading, preserving_proto_field_name=True))
        locally = degrading.parsed_locally(choice)
        parsed = Parsed(job.result_key, job.page_count, degrading.missing(job.reading), locally)
        columns = {"pages": job.page_count, "reading": reading, "backends": degrading.backends(choice)}
        return Noted(parsed, columns)

    async def chunk(self, parsed: Parsed, row: Row) -> Noted[Cut]:
        """Cuts the pages and writes the chunks, without vectors, under an unpublished version.

        Where the same is published already, there is nothing to cut: the version is that one. What is one
        request is embedded and published at once, as parts of this step: that saves calls and transactions.
        """
        now = datetime.datetime.now(datetime.UTC)
        version, packer = await self.spaces.following(
            row["collection"], partial(self._version, parsed, row, now)
        )
        offer = await steady(partial(self.spaces.offer, row["collection"]))
        begun, kind = version.begun, index.BeginVersionResponse
        cut = Cut(
            version_id=begun.version_id,
            document_id=begun.document_id,
            chunks=packer.chunks if version.lacking else begun.chunk_count,
            batches=packer.batches if version.lacking else (),
            edition=row["edition"],
            unchanged=begun.outcome == kind.OUTCOME_UNCHANGED,
            published=begun.outcome == kind.OUTCOME_PUBLISHED and not version.lacking,
            space=MessageToDict(version.space, preserving_proto_field_name=True),
        )
        decision = tiers.Decision("", "")
        if not cut.unchanged:
            decision = tiers.decide(row["complete_by"], now, cut.chunks, offer.batches_offered)
            cut = replace(cut, tier=decision.tier)
        # Before anything is embedded: what has a vector by now is nothing that this run has bought.
        if cut.unchanged:
            await avoiding.found(self._peers, begun.run_id, ["embed"])
        else:
            await avoiding.vectors_kept(self._peers, offer.offer, version.kept_tokens)
        without: GoesOnWithout | None = None
        if len(cut.batches) == 1 and cut.tier == tiers.SYNCHRONOUS and not version.settled:
            try:
                # A request is never more than a message, so that all of it was put last.
                without = await self._embed_and_publish(cut, version.pending, row)
                lacking = degrading.pending(len(version.pending), without.message) if without else ""
                cut = replace(cut, published=True, lacking=lacking)
            except ServiceError as error:
                if not self.spaces.moved(row["collection"], error):
                    raise
                # Its own steps embed and publish it, in the space that its collection is in by now.
        vectors_pending = len(version.pending) if without else 0
        columns = {
            "chunks": cut.chunks,
            "embedded_chunks": cut.chunks - vectors_pending if cut.published else 0,
            "backends": degrading.backends(without.choice if without else offer.choice),
            "document_id": cut.document_id,
            "version_id": cut.version_id,
            "tier": decision.tier,
            "tier_reason": decision.reason,
        }
        return Noted(cut, columns)

    async def embed(self, cut: Cut, batch: tuple[int, int], row: Row) -> Noted[Embedded]:
        """Embeds a range of chunks that have no vector yet and writes the vectors."""
        return await self._embed(cut, batch, await self._space_now(cut, row), row)

    async def _space_now(self, cut: Cut, row: Row) -> Space:
        """The space that the version is to be in: the one that its collection was moved to, or its own."""
        return await self.spaces.own(row["collection"]) or await self.space_of(cut)

    async def _embed(self, cut: Cut, batch: tuple[int, int], space: Space, row: Row) -> Noted[Embedded]:
        # A long document, or a tenant with many, stands before nobody else.
        async with self._in_memory.turn(row["tenant"], str(row["run_id"])):
            async with self._embedding:
                pages = vectors.pending(self._peers.index, cut.version_id, *batch, space)
                chunks = [chunk async for page in pages for chunk in page]
                try:
                    bought = await steady(lambda: self._vectors(space, chunks)) if chunks else []
                except GoesOnWithout as vendor:
                    columns = {"backends": degrading.backends(vendor.choice)}
                    return Noted(Embedded(0, vendor.message), columns)
            async with self._writing:
                if bought:
                    await vectors.put(self._peers.index, cut.version_id, space, bought)
        return Noted(Embedded(len(chunks)), {"embedded_chunks": batch[1]})

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
            if space != await self.space_of(cut):
                for batch in cut.batches:
                    why = (await self._embed(cut, batch, space, row)).value.without or why
            wanted = _publication(cut, vectors_pending=bool(why))
            response = await steady(lambda: self._peers.index.PublishVersion(wanted))
            pending = response.pending_vectors
            lacking = degrading.pending(pending, why) if pending else ""
            return Noted(Published(response.document_id, lacking), {"vectors": cut.chunks - pending})

        return await self.spaces.following(row["collection"], published)

    async def _version(
        self, parsed: Parsed, row: Row, now: datetime.datetime, space: Space
    ) -> tuple[NewVersion, Packer]:
        """A version with its chunks."""
        begin = index.BeginVersionRequest(
            collection=row["collection"],
            document_key=row["document_key"],
            source_sha256=row["source_sha256"],
            recipe=self.recipe + (degrading.WITHOUT_VENDOR if parsed.locally else ""),
            space=space,
            run_id=str(row["run_id"]),
            keep_until=timestamp(tiers.keep_until(row["complete_by"], now)),
            metadata=row["metadata"],
            origin=row["origin"],
        )
        version = NewVersion(self._peers.index, begin)
        return version, await self._fill(version, parsed)

    async def stop(self, run: RunRef) -> None:
        """Cancels the run's parse jobs; answers once they have stopped."""
        await steady(partial(self._peers.parser.CancelParseJob, CancelParseJobRequest(run_id=run.run_id)))

    async def offered(self) -> EmbedResponse:
        """What the embedder says of itself; one that is away is what it was."""
        known, now = self._offer.HasField("space"), self._clock()
        if known and now < self._offer_ends:
            return self._offer
        # Only one asks, and others take what is known meanwhile.
        self._offer_ends = now + OFFER_SECONDS
        try:
            await insist(partial(self._ask, ASK_SECONDS if known else None), seconds=ASK_SECONDS)
        except (Unavailable, Deadline):
            if not known:
                raise
        return self._offer

    async def _ask(self, seconds: float | None) -> None:
        async with reading(self._peers.embedder.Embed(EmbedRequest(), timeout=seconds)) as answers:
            async for answer in answers:
                self._offer = answer
        if not self._offer.HasField("space"):
            raise VendorContract("SPACE_UNKNOWN", "The embedder named no space. Look at its log.")

    async def _parsed(self, row: Row) -> tuple[ParseJob, BackendChoice]:
        """The document's job at its end, and who did it: in hybrid mode we, where the vendor cannot."""
        job = await self._waited_for(row) or await self._begun(row)
        choice = job.choice
        job = await self._ended(job)
        if not degrading.goes_on_locally(job):
            return job, choice if job.backend == LOCAL else job.choice
        if job.state in UNFINISHED and not job.vendor_job_id:
            # It has bought nothing yet. One that the vendor has goes on, and a heal takes it.
            with suppress(Unavailable, Deadline):
                cancel = CancelParseJobRequest(job_id=job.job_id)
                call = partial(self._peers.parser.CancelParseJob, cancel, timeout=CANCEL_SECONDS)
                await insist(call, seconds=CANCEL_SECONDS)
        ours = await self._begun(row, lack=job.choice.reason)
        return await self._ended(ours), job.choice

    async def _waited_for(self, row: Row) -> ParseJob | None:
        """The job that this try has waited for, also where it failed: nothing is bought a second time."""
        run = RunRef(row["tenant"], str(row["run_id"]))
        job_id = await self._waits.waited_for(run, PARSE) if row["wakes"] else ""
        if not job_id:
            return None
        try:
            read = GetParseJobRequest(job_id=job_id)
            job = (await steady(partial(self._peers.parser.GetParseJob, read))).job
        except NotFound:
            return None
        # It was cancelled for another run of the same content.
        return None if job.state == ParseJob.STATE_CANCELLED else job

    async def _begun(self, row: Row, lack: str = "") -> ParseJob:
        """A new job, or the living one for the same content; `lack` says why the vendor cannot do it."""
        request = CreateParseJobRequest(
            source_key=row["source_key"],
            source_sha256=row["source_sha256"],
            filename=row["filename"],
            source_size_bytes=row["size_bytes"],
            wait=JOB_WAIT,
            lack=lack,
        )
        return (await steady(partial(self._peers.parser.CreateParseJob, request))).job

    async def _ended(self, job: ParseJob) -> ParseJob:
        """The job at its end, or once another backend is to do it.

        Raises:
            RunWaits: Its parse goes on at a vendor.
        """
        while job.state in UNFINISHED:
            if degrading.goes_on_locally(job):
                return job
            if job.HasField("look_at"):
                raise RunWaits(PARSE, job.job_id, moment(job.look_at))
            read = GetParseJobRequest(job_id=job.job_id, wait=JOB_WAIT)
            job = (await steady(partial(self._peers.parser.GetParseJob, read))).job
        if job.state == ParseJob.STATE_CANCELLED:
            # For another run of the same content, or for this one: a step that is repeated is told which.
            raise Unavailable("PARSE_CANCELLED", "The parse job was cancelled for a run of the same content.")
        return job

    async def _fill(self, version: NewVersion, parsed: Parsed) -> Packer:
        """Puts a document's chunks as its pages come; in memory are one range and one request."""
        packer = Packer(self._sizes)
        async for lines in artifacts.lines(self._peers.objects, parsed.result_key, PATIENCE_SECONDS):
            await version.put(await asyncio.to_thread(packer.add, artifacts.pages(lines)))
            if not version.lacking:
                return packer
        await version.put(packer.rest())
        if not packer.chunks:
            raise nothing_to_cut()
        return packer

    async def _embed_and_publish(self, cut: Cut, chunks: Sequence[Chunk], row: Row) -> GoesOnWithout | None:
        """Answers why the chunks have no vectors, where they have none."""
        space, without = await self.space_of(cut), None
        bought: list[ChunkVector] = []
        async with AsyncExitStack() as stack:
            async with part("embed 1"):
                await stack.enter_async_context(self._in_memory.turn(row["tenant"], str(row["run_id"])))
                async with self._embedding:
                    try:
                        bought = await steady(lambda: self._vectors(space, chunks)) if chunks else []
                    except GoesOnWithout as vendor:
                        without = vendor
            async with part("publish"), self._writing:
                wanted = _publication(cut, vectors_pending=without is not None)
                await vectors.publish(self._peers.index, wanted, space, bought)
        return without

    async def _vectors(self, space: Space, chunks: Sequence[Chunk]) -> list[ChunkVector]:
        texts = [embedded_text(chunk.heading, chunk.lead, chunk.text) for chunk in chunks]
        request = EmbedRequest(texts=texts, space=space)
        bought: list[ChunkVector] = []
        # A vendor's rate limit is waited for in the embedder.
        seconds = deadline.remaining_seconds(EMBED_SECONDS)
        try:
            async with reading(self._peers.embedder.Embed(request, timeout=seconds)) as answers:
                async for answer in answers:
                    bought += [
                        ChunkVector(ordinal=chunks[one.index].ordinal, values=one.values)
                        for one in answer.embeddings
                    ]
        except grpc.aio.AioRpcError as error:
            degrading.check_goes_on(EMBEDDER, await self.embedder_mode(), from_status(error))
            raise
        if len(bought) != len(chunks):
            raise VendorContract(
                "EMBEDDING_INVALID", "The embedder's answer ended early. Nothing was stored."
            )
        return bought


def _publication(cut: Cut, *, vectors_pending: bool) -> index.PublishVersionRequest:
    return index.PublishVersionRequest(
        version_id=cut.version_id,
        chunk_count=cut.chunks,
        edition=cut.edition,
        vectors_pending=vectors_pending,
    )
