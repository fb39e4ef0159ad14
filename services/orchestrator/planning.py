"""Plan: what an ingest of a file would do and cost. It reads, and changes nothing anywhere."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from services.orchestrator import artifacts, quoting, vectors
from services.orchestrator.admission import Arrival, read_header
from services.orchestrator.batch import tiers
from services.orchestrator.chunks.cutting import ChunkSizes
from services.orchestrator.chunks.packing import Packer, nothing_to_cut
from services.orchestrator.degrading import lacks
from services.orchestrator.peers import PATIENCE_SECONDS, Peers
from services.orchestrator.quoting import PriceList, Texts
from services.orchestrator.runs.rows import Row
from services.orchestrator.spaces import Spaces
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.ledger_service_pb2 import ListPricesRequest
from waybill.ledger.v1.plan_pb2 import ListPlansRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan, PlanLine, PlanRequest, PlanResponse
from waybill.parser.v1.preview_pb2 import Preview, PreviewParseRequest
from waybill.runtime.channel import reading, write
from waybill.runtime.clock import Now
from waybill.runtime.errors import InvalidRequest, VendorContract
from waybill.storage.v1.chunk_pb2 import Chunk
from waybill.storage.v1.comparison_pb2 import CompareChunksRequest
from waybill.storage.v1.document_index_service_pb2 import BeginVersionRequest, BeginVersionResponse
from waybill.storage.v1.document_index_service_pb2 import ListDocumentsRequest as ListIndexed
from waybill.vendors.choosing import PARSER, VECTORS_PENDING

# Hashes of one call to the index.
HASHES = 10_000


@dataclass(frozen=True, slots=True)
class Chunks:
    """What a document would be cut into, from the text that is known of it."""

    hashes: Sequence[bytes]
    counts: Sequence[int]
    ranges: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Compared:
    """How these differ from what there is.

    Attributes:
        pending: Whether each has no vector.
        removed: Chunks of the published version that are not among them.
    """

    pending: Sequence[bool]
    removed: int


class Plans:
    """Plans documents.

    Args:
        peers: Who knows what there is, and what it costs.
        spaces: Which model a run would buy vectors of.
        sizes: How it would cut.
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, spaces: Spaces, sizes: ChunkSizes, now: Now) -> None:
        self._peers = peers
        self._spaces = spaces
        self._sizes = sizes
        self._now = now

    async def plan(self, messages: AsyncIterator[PlanRequest]) -> PlanResponse:
        """Plans one document.

        Raises:
            ServiceError: As the ingest or its parse would fail.
        """
        first = await anext(aiter(messages), None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("INVALID_REQUEST", "The first message of a Plan must be its header.")
        arrival, now = _arrival(first.header), self._now()
        day = str(now.date())
        spaces = self._spaces
        answer = PlanResponse(price_day=day, same_content_as=await self._twin(arrival))
        if await spaces.following(arrival.collection, partial(self._is_unchanged, arrival)):
            answer.unchanged = True
            answer.approval.price_day = day
            return answer
        offered = await spaces.offer(arrival.collection)
        preview, chunks = await self._read(arrival, (message.data async for message in messages))
        if preview.text_known and not chunks.counts:
            raise nothing_to_cut()
        compared = await self._compared(arrival, offered.space, chunks, known=preview.text_known)
        choice = tiers.decide(arrival.complete_by, now, len(chunks.counts), offered.batches_offered)
        prices = await self._prices(now.date())
        texts = _texts(preview, chunks, compared, self._sizes)
        lines = quoting.lines(prices, preview, offered.offer, texts, batch=choice.tier == tiers.BATCH)
        _fill(answer, preview, compared, lines)
        return answer

    async def heal(self, row: Row) -> PlanResponse:
        """Plans a heal of a run: at once, since what is healed is late already, and as it is configured.

        Raises:
            ServiceError: As the heal's parse would fail.
        """
        day = await self._price_day(str(row["run_id"]))
        answer = PlanResponse(price_day=str(day))
        if not lacks(row):
            answer.unchanged = True
            answer.approval.price_day = answer.price_day
            return answer
        same = ("collection", "document_key", "filename", "size_bytes", "metadata", "origin")
        arrival = Arrival(
            **{name: row[name] for name in same},
            sha256=row["source_sha256"],
            request_id=None,
            complete_by=None,
        )
        offered = await self._spaces.offer(arrival.collection)
        source = artifacts.pieces(self._peers.objects, row["source_key"], PATIENCE_SECONDS)
        preview, chunks = await self._read(arrival, source)
        if row["reason"] == VECTORS_PENDING:
            compared = Compared(await self._without_vector(row, len(chunks.counts), offered.space), 0)
        else:
            compared = await self._compared(arrival, offered.space, chunks, known=preview.text_known)
        texts = _texts(preview, chunks, compared, self._sizes)
        lines = quoting.lines(await self._prices(day), preview, offered.offer, texts, batch=False)
        _fill(answer, preview, compared, lines[:1])
        return answer

    async def _price_day(self, run_id: str) -> datetime.date:
        """The day whose prices hold for a run: its plan's, else today."""
        listed = await self._peers.ledger.ListPlans(ListPlansRequest(run_ids=[run_id]))
        of_plan = [datetime.date.fromisoformat(plan.price_day) for plan in listed.plans]
        return of_plan[0] if of_plan else self._now().date()

    async def _prices(self, day: datetime.date) -> PriceList:
        listed = await self._peers.ledger.ListPrices(ListPricesRequest(day=str(day)))
        return PriceList(day, listed.prices)

    async def _without_vector(self, row: Row, chunks: int, space: Space) -> Sequence[bool]:
        """Of each chunk of a published version, whether it has no vector: no other version's are taken."""
        pages = vectors.pending(self._peers.index, row["version_id"], 0, 0, space)
        lacking = {chunk.ordinal async for page in pages for chunk in page}
        return [ordinal in lacking for ordinal in range(chunks)]

    async def _is_unchanged(self, arrival: Arrival, space: Space) -> bool:
        request = BeginVersionRequest(
            collection=arrival.collection,
            document_key=arrival.document_key,
            source_sha256=arrival.sha256,
            recipe=self._sizes.recipe,
            space=space,
            validate_only=True,
        )
        begun = await self._peers.index.BeginVersion(request)
        return bool(begun.outcome == BeginVersionResponse.OUTCOME_UNCHANGED)

    async def _twin(self, arrival: Arrival) -> str:
        """Another document of the same content; empty where there is none."""
        request = ListIndexed(collection=arrival.collection, source_sha256=arrival.sha256, page_size=2)
        listed = (await self._peers.index.ListDocuments(request)).documents
        return next((one.document_key for one in listed if one.document_key != arrival.document_key), "")

    async def _read(self, arrival: Arrival, pieces: AsyncIterator[bytes]) -> tuple[Preview, Chunks]:
        """What a parse would buy, and the chunks of what is known of its text."""
        call = self._peers.parser.PreviewParse()
        async with reading(call):
            mode = await self._spaces.offers.modes.of(PARSER)
            await write(call, _requests(arrival, mode, pieces))
            preview, cutting = Preview(), _Cutting(self._sizes)
            rest = b""
            async for answer in call:
                if answer.WhichOneof("part") == "preview":
                    preview = answer.preview
                    continue
                *whole, rest = (rest + answer.lines).split(b"\n")
                await cutting.add(whole)
        if rest or not preview.vendor:
            raise VendorContract("PAGES_INCOMPLETE", "The parser's answer ended early. Repeat it.")
        if preview.result_key:
            async for stored in artifacts.lines(self._peers.objects, preview.result_key, PATIENCE_SECONDS):
                await cutting.add(stored)
        return preview, cutting.done()

    async def _compared(self, arrival: Arrival, space: Space, chunks: Chunks, *, known: bool) -> Compared:
        """What of the chunks has a vector; none has where their text is only an estimate."""
        distinct = list(dict.fromkeys(chunks.hashes)) if known else []
        embedded: dict[bytes, bool] = {}
        here = 0
        for start in range(0, max(1, len(distinct)), HASHES):
            asked = distinct[start : start + HASHES]
            answer = await self._peers.index.CompareChunks(
                CompareChunksRequest(
                    collection=arrival.collection,
                    document_key=arrival.document_key,
                    space=space,
                    sha256=asked,
                )
            )
            embedded.update(zip(asked, answer.embedded, strict=True))
            here += answer.published_here
        pending = [not embedded.get(each, False) for each in chunks.hashes]
        return Compared(pending, answer.published - here)


class _Cutting:
    """Cuts pages as they come, and keeps of the chunks what decides their price."""

    def __init__(self, sizes: ChunkSizes) -> None:
        self._packer = Packer(sizes)
        self._hashes: list[bytes] = []
        self._counts: list[int] = []

    async def add(self, lines: Sequence[bytes]) -> None:
        """The next whole lines of an artifact."""
        await asyncio.to_thread(lambda: self._note(self._packer.add(artifacts.pages(lines))))

    def done(self) -> Chunks:
        """All chunks."""
        self._note(self._packer.rest())
        return Chunks(self._hashes, self._counts, self._packer.batches)

    def _note(self, messages: Sequence[Sequence[Chunk]]) -> None:
        for chunk in (chunk for message in messages for chunk in message):
            self._hashes.append(bytes.fromhex(chunk.sha256))
            self._counts.append(chunk.token_count)


def _arrival(header: PlanRequest.Header) -> Arrival:
    """The header checked as that of an Ingest is. Raises as `read_header`."""
    same = ("collection", "document_key", "filename", "size_bytes", "sha256")
    ingest = IngestRequest.Header(**{name: getattr(header, name) for name in same})
    if header.HasField("complete_by"):
        ingest.complete_by.CopyFrom(header.complete_by)
    return read_header(ingest)


async def _requests(
    arrival: Arrival, mode: Mode, pieces: AsyncIterator[bytes]
) -> AsyncIterator[PreviewParseRequest]:
    yield PreviewParseRequest(
        header=PreviewParseRequest.Header(
            source_sha256=arrival.sha256,
            filename=arrival.filename,
            size_bytes=arrival.size_bytes,
            mode=mode,
        )
    )
    async for piece in pieces:
        yield PreviewParseRequest(data=piece)


def _fill(answer: PlanResponse, preview: Preview, compared: Compared, lines: Sequence[PlanLine]) -> None:
    answer.parse_paid = preview.paid
    answer.pages = preview.reading.pages or preview.vendor_count.expected
    answer.format = preview.reading.format
    answer.chunks_new = sum(compared.pending)
    answer.chunks_kept = len(compared.pending) - answer.chunks_new
    answer.chunks_removed = compared.removed
    answer.text_known = preview.text_known
    answer.lines.extend(lines)
    answer.approval.CopyFrom(_approval(answer.price_day, lines[0]))


def _texts(preview: Preview, chunks: Chunks, compared: Compared, sizes: ChunkSizes) -> Texts:
    # Of a page that our readers have no text of, a vendor may make a chunk.
    without = len(preview.reading.pages_without_text) if preview.reading.pages else preview.count.expected
    return Texts(
        counts=chunks.counts,
        pending=compared.pending,
        ranges=chunks.ranges,
        known=preview.text_known,
        more_tokens=without * sizes.max_tokens,
        chunk_tokens=sizes.max_tokens,
    )


def _approval(day: str, line: PlanLine) -> ApprovedPlan:
    parts = ((line.parse_kind, line.most_parse_nano_usd), (line.embed_kind, line.most_embed_nano_usd))
    return ApprovedPlan(
        price_day=day,
        nano_usd=sum(most for kind, most in parts if kind == CostKind.COST_KIND_REAL),
        simulated_nano_usd=sum(most for kind, most in parts if kind == CostKind.COST_KIND_SIMULATED),
    )
