"""A batch job's lines, one vendor request each, and the names by which job and lines are known again."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import uuid
from collections.abc import AsyncIterator, Sequence

from services.embedder.backends.port import Capabilities, VendorBatch
from services.embedder.embedding import Request, check, pack, too_many
from waybill import tokens
from waybill.limits import BATCH_JOB_TEXTS
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest

JOB, TENANT, LINES = "waybill_job", "waybill_tenant", "waybill_lines"
_CUSTOM_ID = re.compile(r"([0-9a-f-]{36}):(\d{1,10}):([1-9]\d{0,4}):(\d{1,7})")


@dataclasses.dataclass(frozen=True)
class JobName:
    """See the contract's BatchJobName.

    Attributes:
        job_key: A UUID.
        vendor_id: Empty where it is not known.
        since: Seconds since the epoch; None where the key was surely not sent before.
    """

    job_key: str
    vendor_id: str = ""
    since: float | None = None


def metadata(name: JobName, lines: int) -> dict[str, str]:
    """What the vendor keeps with the caller's job of so many lines."""
    who = identity.caller()
    named = {
        JOB: name.job_key,
        TENANT: who.tenant,
        "waybill_run": who.run_id,
        "waybill_correlation": who.correlation_id,
        LINES: str(lines),
    }
    return {key: value for key, value in named.items() if value}


def belongs(name: JobName, batch: VendorBatch) -> bool:
    """Whether a batch is the caller's, and of this key."""
    wanted = {JOB: name.job_key, TENANT: identity.caller().tenant}
    return all(batch.metadata.get(key) == value for key, value in wanted.items())


def lines_of(batch: VendorBatch) -> int:
    """How many lines it has, of one that belongs to a job."""
    return int(batch.metadata[LINES])


@dataclasses.dataclass(frozen=True)
class LineName:
    """A line's custom_id, all that is known of the line when its answer comes back.

    Attributes:
        entry_id: Of the ledger.
        start: The caller's number of its first text.
        texts: How many it has.
        tokens: Of all of them, as counted here.
    """

    entry_id: str
    start: int
    texts: int
    tokens: int

    @classmethod
    def parse(cls, custom_id: str) -> LineName | None:
        """None for what is no name of ours."""
        match = _CUSTOM_ID.fullmatch(custom_id)
        return cls(match[1], int(match[2]), int(match[3]), int(match[4])) if match else None

    def __str__(self) -> str:
        return f"{self.entry_id}:{self.start}:{self.texts}:{self.tokens}"


def entry_id(job_key: str, number: int) -> str:
    """The ledger entry of a job's line of that number, from 0."""
    return str(uuid.uuid5(uuid.UUID(job_key), str(number)))


async def packed(
    limits: Capabilities, parts: AsyncIterator[tuple[int, Sequence[str]]]
) -> AsyncIterator[Request]:
    """Packs a job's texts into vendor requests as they come; none spans a gap in their numbers.

    Args:
        limits: Of the backend.
        parts: The number of a first text, and the texts from there on.

    Raises:
        InvalidRequest: TEXT_EMPTY, TEXT_TOO_LONG, TOO_MANY_TEXTS, INVALID_REQUEST.
    """
    first, total = 0, 0
    texts: list[str] = []
    counts: list[int] = []
    async for start, more in parts:
        found = await asyncio.to_thread(tokens.count, more, limits.counted_as)
        check(limits, more, found, start)
        total += len(more)
        if total > BATCH_JOB_TEXTS:
            raise too_many(total, BATCH_JOB_TEXTS)
        if start < first + len(texts):
            raise InvalidRequest("INVALID_REQUEST", "The numbers of a job's texts must grow.")
        if start > first + len(texts):
            for request in pack(limits, texts, counts):
                yield _numbered(request, first)
            first, texts, counts = start, [], []
        texts += more
        counts += found
        *full, last = pack(limits, texts, counts)
        for request in full:
            yield _numbered(request, first)
        # The last one may still take texts of the next part.
        first, texts, counts = first + last.start, list(last.texts), counts[last.start :]
    for request in pack(limits, texts, counts):
        yield _numbered(request, first)


def _numbered(request: Request, first: int) -> Request:
    return dataclasses.replace(request, start=first + request.start)
