"""What a parse would buy: a document that is read here, stored nowhere, and paid by nobody."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from services.parser.backends import counting
from services.parser.backends.port import NOTHING, Bought, Parser, Preview, Source
from services.parser.documents.limits import Limits
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs
from services.parser.objects import copied
from services.parser.pages import Artifact, Reading
from services.parser.refusals import refusal
from waybill.common.v1 import reading_pb2
from waybill.parser.v1 import preview_pb2 as pb
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.fair import Places

# Documents that are read for plans at a time; each has a place that no parse job needs.
AT_A_TIME = 1
PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to preview.

    Attributes:
        sha256: Of the bytes that follow.
        filename: See Source.
        size_bytes: How many follow.
    """

    sha256: str
    filename: str
    size_bytes: int


class Previews:
    """Reads documents for plans.

    Args:
        jobs: Where it stands what was parsed before.
        engine: What would parse.
        limits: Most bytes of a file.
    """

    def __init__(self, jobs: Jobs, engine: Parser, limits: Limits) -> None:
        self._jobs = jobs
        self._engine = engine
        self._able = engine.capabilities
        self._limits = limits
        self._places = Places(AT_A_TIME)

    async def of(
        self, wanted: Wanted, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[pb.PreviewParseResponse]:
        """The preview, then the pages, where the run would not find them stored.

        Raises:
            ServiceError: As the parse of the file would fail.
        """
        tenant = identity.caller().tenant
        if wanted.size_bytes > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {wanted.size_bytes:,} bytes.")
        living = await self._jobs.living(tenant, wanted.sha256)
        with tempfile.TemporaryFile() as file:
            source = Source(file, wanted.filename)
            if done := self._done(living):
                yield self._message(source, living, self._of_job(done), done.reading, done.result_key)
                return
            await _fetch(wanted, pieces, file, self._limits.source_bytes)
            with Artifact.open() as artifact:
                async with self._places.turn(tenant):
                    found = await self._engine.preview(source, artifact)
                yield self._message(source, living, found, artifact.reading or Reading())
                if artifact.reading is not None:
                    async for lines in _read(artifact.file):
                        yield pb.PreviewParseResponse(lines=lines)

    def _mine(self, job: Job) -> bool:
        """Whether a run that parses as it is configured would be given this job."""
        tier = self._able.default_tier
        return (job.tier, job.revision) == (tier, self._able.revision_of(tier))

    def _done(self, living: Sequence[Job]) -> Job | None:
        return next((job for job in living if self._mine(job) and job.state is JobState.SUCCEEDED), None)

    def _of_job(self, job: Job) -> Preview:
        if self._able.would_buy_of:
            vendor = counting.of_reading(job.reading)
        else:
            pages = job.page_count if job.expected_pages else 0
            vendor = Bought(pages, job.expected_pages, exact=pages == job.expected_pages)
        return Preview(NOTHING, vendor, text_known=True)

    def _message(
        self, source: Source, living: Sequence[Job], found: Preview, reading: Reading, result_key: str = ""
    ) -> pb.PreviewParseResponse:
        paid = any(map(self._mine, living))
        revisions = self._able.tier_revisions
        return pb.PreviewParseResponse(
            preview=pb.Preview(
                vendor=self._able.vendor,
                cost_kind=self._able.cost_kind,
                model=self._engine.priced_as(source, self._able.default_tier),
                count=_count(NOTHING if paid else found.here),
                vendor_count=_count(found.at_vendor),
                paid=paid,
                result_key=result_key,
                text_known=found.text_known,
                reading=reading_pb2.Reading(**dataclasses.asdict(reading)),
                paid_tiers=sorted(job.tier for job in living if revisions.get(job.tier) == job.revision),
            )
        )


async def _fetch(wanted: Wanted, pieces: AsyncIterator[bytes], into: BinaryIO, limit_bytes: int) -> None:
    """Copies what comes into a file. Raises as `Objects.fetch`."""
    if await copied(pieces, into, limit_bytes) != wanted.sha256:
        raise InvalidRequest(
            "CHECKSUM_MISMATCH", "What came does not have the SHA-256 that was named. Send the file again."
        )


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


def _count(bought: Bought) -> pb.Preview.Count:
    return pb.Preview.Count(expected=bought.expected, most=bought.most, exact=bought.exact)
