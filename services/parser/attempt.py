"""One try at a parse job, made so that a kill at any point costs time and never money or a result.

One attempt, in the order that the rows and objects of a dead process can be read back from:

    1  entry id on the job row      so that an attempt is known before it can cost anything
    2  hold
    3  parse
    4  artifact stored              the result; from here on the attempt counts as done
    5  pages on the job row         from here on a cancel comes too late
    6  settle
    7  job row SUCCEEDED            only ever after a settle that the ledger has confirmed

A job that is taken over (or tried again) with an entry id on its row was cut off in between. If the
artifact is there, the steps after 4 are left to do, and repeating them is harmless. If not, the engine
keeps nothing of an unfinished parse, so the entry is released and a new attempt begins.

A cancelled job with an entry id on its row was cut off before step 5: its artifact is deleted, its entry
released, and only then is the id taken off the row.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import structlog
from opentelemetry import trace

from services.parser.backends.port import Parser, Source
from services.parser.documents.limits import Limits
from services.parser.jobs import Job, JobStore, Superseded
from services.parser.objects import Objects
from services.parser.pages import Artifact, Reading, load_reading
from services.parser.refusals import refusal
from services.parser.work import Work
from waybill.metering import Meter, Purchase
from waybill.runtime import identity
from waybill.runtime.errors import Conflict, Deadline, NotFound, ServiceError, Unavailable
from waybill.runtime.telemetry import remote_parent

CUT_OFF = "the parse ended before its result was stored"
CANCELLED = "the parse was cancelled"
PAGES_TYPE = "application/jsonl"
log = structlog.get_logger()


class Attempts:
    """What is done for one job at a time; `Runner` describes the arguments."""

    def __init__(
        self, store: JobStore, objects: Objects, engine: Parser, meter: Meter, limits: Limits
    ) -> None:
        self._store = store
        self._objects = objects
        self._engine = engine
        self._meter = meter
        self._limits = limits

    async def advance(self, tenant: str, job_id: uuid.UUID, work: Work, *, last: bool) -> None:
        """Takes a job and brings it to its end, or clears what is left of a cancelled one.

        Raises:
            Unavailable, Deadline: A neighbour is away; when it is the last try, the job has FAILED.
        """
        job = await self._store.claim(tenant, job_id)
        if job is not None:
            work.tell()
            with suppress(Superseded), _on_behalf_of(job):
                await self._work_on(job, work, last=last)
                return
        job = await self._store.get(tenant, job_id)
        if not job.state.final:
            log.warning("parse job taken over by another process", job_id=str(job_id))
        elif job.open:
            with _on_behalf_of(job):
                await self._clear(job)

    async def _clear(self, job: Job) -> None:
        """Leaves nothing of a cancelled job: a local engine keeps nothing of it either."""
        await self._objects.delete(job.artifact_key)
        try:
            await self._meter.release(job.entry_id, CANCELLED)
        except NotFound:
            pass  # cut off between steps 1 and 2: nothing was held
        except Conflict as conflict:
            log.warning("entry had ended", entry_id=job.entry_id, reason=conflict.reason)
        await self._store.cleared(job)

    async def _work_on(self, job: Job, work: Work, *, last: bool) -> None:
        try:
            reading = await self._earlier_result(job) or await self._attempt(job, work)
        except (Unavailable, Deadline) as error:
            if not last:
                raise
            await self._store.fail(job, error.reason, error.message)
        except ServiceError as error:
            await self._store.fail(job, error.reason, error.message)
        except Superseded:
            raise
        except OSError as error:
            raise Unavailable(
                "DISK_UNUSABLE",
                f"The parser cannot write its temporary files ({error.strerror}). Make room on its disk.",
            ) from error
        except Exception:
            log.exception("parse failed", job_id=str(job.job_id))
            crash = refusal("PARSER_CRASHED")
            await self._store.fail(job, crash.reason, crash.message)
        else:
            await self._store.succeed(job, reading)

    async def _earlier_result(self, job: Job) -> Reading | None:
        """Ends the attempt that was cut off; how its document was read, where it had come so far."""
        if not job.entry_id:
            return None
        last_line = await self._objects.last_line(job.artifact_key)
        reading = None if last_line is None else load_reading(last_line)
        try:
            if reading is None:
                await self._meter.release(job.entry_id, CUT_OFF)
            else:
                await self._store.result_stored(job, reading)
                await self._meter.settle(job.entry_id, reading.paid_pages)
        except NotFound:
            return None  # cut off between steps 1 and 2: nothing was held
        except Conflict as conflict:
            # It ended otherwise (given up by policy, say): then this parse has not been paid for.
            log.warning("entry had ended", entry_id=job.entry_id, reason=conflict.reason)
            return None
        return reading

    async def _attempt(self, job: Job, work: Work) -> Reading:
        if job.poisonous:
            raise refusal("POISON")
        # Neither file has a name, so a kill leaves nothing on disk.
        with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
            source = Source(file, job.filename)
            expected = await work.stoppable(partial(self._count, job, source, artifact))
            entry_id = str(uuid.uuid4())
            await self._store.attach_entry(job, entry_id)
            async with self._meter.attempt(self._purchase(job, expected), entry_id) as attempt:
                await work.stoppable(partial(self._engine.parse, source, job.tier, artifact))
                reading = artifact.whole()
                await self._objects.put(job.artifact_key, artifact.file, PAGES_TYPE)
                await self._store.result_stored(job, reading)
                attempt.settle(reading.paid_pages)
            return reading

    async def _count(self, job: Job, source: Source, artifact: Artifact) -> int:
        """Brings the source here and counts the pages that its parse would buy."""
        await self._objects.fetch(job.source_key, job.source_sha256, source.file, self._limits.source_bytes)
        return await self._engine.count_pages(source, artifact)

    def _purchase(self, job: Job, pages: int) -> Purchase:
        able = self._engine.capabilities
        return Purchase(job.spend_key, "parse", able.vendor, job.tier, "page", pages, able.cost_kind)


@contextmanager
def _on_behalf_of(job: Job) -> Iterator[None]:
    """Calls and spans go to the caller who first asked for the job, also in a later process."""
    _, trace_id, span_id, _ = job.traceparent.split("-")
    parent = remote_parent(trace_id, span_id)
    with (
        identity.acting_as(job.caller),
        trace.use_span(trace.get_current_span(parent), record_exception=False, set_status_on_exception=False),
    ):
        yield
