"""One try at a parse job, made so that a kill at any point costs time and never money or a result.

One attempt, in the order that the rows and objects of a dead process can be read back from:

    1  entry id on the job row      so that an attempt is known before it can cost anything
    2  hold
    3  parse begun
    4  parse id on the job row      where the engine keeps parses
    5  parse ended, pages here
    6  artifact stored              the result; from here on the attempt counts as done
    7  pages on the job row         from here on a cancel comes too late
    8  settle
    9  job row SUCCEEDED            only ever after a settle that the ledger has confirmed

A job that is taken over (or tried again) with an entry id on its row was cut off in between. If the
artifact is there, the steps after 6 are left to do, and repeating them is harmless. If not, the engine is
asked for the parse, by its id or by the entry's: one that it has goes on; if it surely has none, the entry
is released and a new attempt begins.

Step 6 is no doing of the engine: it is repeated while this process has the pages, and if it fails for good
the attempt is settled all the same.

A cancelled job with an entry id on its row was cut off before step 7: its parse is cancelled, its artifact
deleted, its entry ended as the engine charges, and only then is the id taken off the row.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import structlog
from opentelemetry import trace

from services.parser.backends.port import HEAD_BYTES, Order, Parse, Parser, Source, Stage
from services.parser.documents.limits import Limits
from services.parser.jobs import Job, Jobs, JobState, Superseded
from services.parser.objects import Objects
from services.parser.pages import Artifact, Reading, load_reading
from services.parser.refusals import refusal
from waybill.metering import Attempt, Meter, Purchase, refused_for_nothing
from waybill.runtime import identity
from waybill.runtime.errors import Conflict, Deadline, NotFound, Precondition, ServiceError, Unavailable
from waybill.runtime.telemetry import remote_parent

CUT_OFF = "the parse ended before its result was stored"
CANCELLED = "the parse was cancelled"
PAGES_TYPE = "application/jsonl"
# A neighbour that restarts is back in seconds; one that stays away for five minutes fails the job.
TRIES = 64
LONGEST_PAUSE_SECONDS = 5.0
Pause = Callable[[float], Awaitable[None]]
T = TypeVar("T")
log = structlog.get_logger()


class Work:
    """What this process does for one job, and how that is stopped.

    A stop cuts off only those parts that leave nothing behind (waiting, reading, parsing). A hold or a
    PutObject on its way is let through: cut off, it might still take effect after it has been tidied away.

    Attributes:
        job: As it was claimed.
        task: Ends with the work.
        stopped: Whether it is to end.
    """

    task: asyncio.Task[None]

    def __init__(self, job: Job, pause: Pause) -> None:
        self.job = job
        self.stopped = False
        self._pause = pause
        self._part: asyncio.Future[Any] | None = None

    def stop(self) -> None:
        """Cuts off the part under way, or the next one that may be."""
        if not self.stopped and self._part is not None:
            self._part.cancel()
        self.stopped = True

    async def stoppable(self, part: Callable[[], Awaitable[T]]) -> T:
        """Does a part that a stop may cut off; it has ended when this returns. Raises Superseded."""
        if self.stopped:
            raise Superseded
        self._part = running = asyncio.ensure_future(part())
        try:
            return await running
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.stopped and task is not None and not task.cancelling():
                raise Superseded from None
            raise
        finally:
            self._part = None

    async def patiently(self, part: Callable[[int], Awaitable[T]]) -> T:
        """Repeats a part, which is told the try's number from 1 to TRIES, while a neighbour is away."""
        for number in range(1, TRIES + 1):
            try:
                return await part(number)
            except (Unavailable, Deadline) as error:
                if number == TRIES:
                    raise
                log.info("parse job waits", job_id=str(self.job.job_id), reason=error.reason)
            pause = partial(self._pause, min(0.05 * 2**number, LONGEST_PAUSE_SECONDS))
            with suppress(Superseded):  # stopped: clear at once what is left
                await (pause() if self.stopped else self.stoppable(pause))
        raise AssertionError("unreachable: the last try raises")


class PlaceNeeded(Exception):
    """The document is not as light as its name had it."""


class Attempts:
    """What is done for one job at a time; `Runner` describes the arguments."""

    def __init__(self, jobs: Jobs, objects: Objects, engine: Parser, meter: Meter, limits: Limits) -> None:
        self._jobs = jobs
        self._objects = objects
        self._engine = engine
        self._meter = meter
        self._limits = limits

    async def advance(self, job: Job, work: Work, *, last: bool) -> Job | None:
        """Brings a claimed job to its end, or clears what is left of a cancelled one.

        Returns:
            The job as it is then; None when another process has it.

        Raises:
            Unavailable, Deadline: A neighbour is away; when it is the last try, the job has FAILED.
        """
        with _on_behalf_of(job):
            if job.state is not JobState.CANCELLED:
                with suppress(Superseded):
                    return await self._work_on(job, work, last=last)
            left = await self._jobs.claim(job.caller.tenant, job.job_id)
            if left is not None and left.state is JobState.CANCELLED:
                return await self._clear(left)
        log.warning("parse job taken over by another process", job_id=str(job.job_id))
        return None

    async def _clear(self, job: Job) -> Job:
        """Leaves nothing of a cancelled job, here or at the engine."""
        if job.entry_id:
            parse = await self._parse_of(job)
            if parse is not None and parse.stage is Stage.RUNNING:
                parse = await self._engine.cancel(parse.id)
            await self._objects.delete(job.artifact_key)
            await self._end(job, 0 if parse is None else parse.charged_pages, CANCELLED)
            await self._forget(parse)
        return await self._jobs.cleared(job)

    async def _work_on(self, job: Job, work: Work, *, last: bool) -> Job:
        try:
            earlier = await self._earlier_result(job) or await self._earlier_parse(job, work)
            reading = earlier or await self._attempt(job, work)
        except (Unavailable, Deadline) as error:
            if not last:
                raise
            return await self._jobs.fail(job, error.reason, error.message)
        except ServiceError as error:
            return await self._jobs.fail(job, error.reason, error.message)
        except Superseded:
            raise
        except PlaceNeeded:
            return await self._jobs.queue_again(job)
        except OSError as error:
            raise Unavailable(
                "DISK_UNUSABLE",
                f"The parser cannot write its temporary files ({error.strerror}). Make room on its disk.",
            ) from error
        except Exception:
            # A bug of ours: the job must end, and the log has where.
            log.exception("parse failed", job_id=str(job.job_id))
            crash = refusal("PARSER_CRASHED")
            return await self._jobs.fail(job, crash.reason, crash.message)
        return await self._jobs.succeed(job, reading)

    async def _earlier_result(self, job: Job) -> Reading | None:
        """How an attempt that was cut off had read its document, if it had stored that; settles it."""
        last_line = await self._objects.last_line(job.artifact_key) if job.entry_id else None
        if last_line is None:
            return None
        reading = load_reading(last_line)
        await self._jobs.result_stored(job, reading)
        return reading if await self._end(job, reading.paid_pages, CUT_OFF) else None

    async def _earlier_parse(self, job: Job, work: Work) -> Reading | None:
        """Brings in the parse of an attempt that was cut off; releases one for which the engine has none."""
        if not job.entry_id:
            return None
        parse = await work.stoppable(partial(self._parse_of, job))
        if parse is None:
            await self._end(job, 0, CUT_OFF)
            return None
        attempt = Attempt(job.entry_id, 0)
        try:
            with Artifact.open() as artifact:
                reading = await self._bring_in(job, work, parse, artifact, attempt)
        except ServiceError as error:
            if refused_for_nothing(error, self._engine.capabilities.vendor):
                attempt.settle(0)
            raise
        finally:
            if attempt.quantity is not None:
                await self._end(job, attempt.quantity, CUT_OFF)
        await self._forget(parse)
        return reading

    async def _parse_of(self, job: Job) -> Parse | None:
        """What the engine has of an attempt that was cut off; None: surely nothing."""
        if not job.parse_id:
            return await self._engine.find(Order(job.entry_id, job.tier, job.created_at))
        try:
            return await self._engine.look(job.parse_id)
        except NotFound:
            return Parse(job.parse_id, Stage.ENDED)

    async def _end(self, job: Job, pages: int | None, reason: str) -> bool:
        """Ends an entry as the engine charges; None: nobody knows. False where it had ended otherwise."""
        try:
            if pages is None:
                await self._meter.doubt(job.entry_id, reason)
            elif pages:
                await self._meter.settle(job.entry_id, pages)
            else:
                await self._meter.release(job.entry_id, reason)
        except NotFound:
            return False  # cut off between steps 1 and 2: nothing was held
        except Conflict as conflict:
            # Given up by policy, say: then this parse has not been paid for.
            log.warning("entry had ended", entry_id=job.entry_id, reason=conflict.reason)
            return False
        return True

    async def _forget(self, parse: Parse | None) -> None:
        """Leaves nothing at the engine, if that can be had now; the job does not wait for it."""
        if parse is not None and parse.id:
            try:
                await self._engine.forget(parse.id)
            except ServiceError as error:
                log.warning("a parse is left with its engine", parse_id=parse.id, reason=error.reason)

    async def _attempt(self, job: Job, work: Work) -> Reading:
        if job.poisonous:
            raise refusal("POISON")
        # Neither file has a name, so a kill leaves nothing on disk.
        with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
            source = Source(file, job.filename)
            expected = await work.stoppable(partial(self._count, job, source, artifact))
            entry_id = str(uuid.uuid4())
            await self._jobs.attach_entry(job, entry_id)
            order = Order(entry_id, job.tier, job.created_at, expected)
            async with self._meter.attempt(self._purchase(job, expected), entry_id) as attempt:
                parse = await work.stoppable(partial(self._engine.begin, source, order, artifact))
                if parse.id:
                    await self._jobs.attach_parse(job, parse.id)
                reading = await self._bring_in(job, work, parse, artifact, attempt)
        await self._forget(parse)
        return reading

    async def _bring_in(
        self, job: Job, work: Work, parse: Parse, artifact: Artifact, attempt: Attempt
    ) -> Reading:
        """Waits for a parse, and stores its pages. Raises Precondition RESULT_NOT_STORED: paid for."""
        while parse.stage is Stage.RUNNING:
            parse = await work.stoppable(partial(self._engine.look, parse.id))
        if parse.id:
            await work.stoppable(partial(self._engine.collect, parse.id, artifact))
        reading = artifact.whole()

        async def store(_: int) -> None:
            await self._objects.put(job.artifact_key, artifact.file, PAGES_TYPE)
            await self._jobs.result_stored(job, reading)

        try:
            await work.patiently(store)
        except ServiceError as error:
            attempt.settle(reading.paid_pages)
            raise Precondition(
                "RESULT_NOT_STORED",
                f"The document was parsed, and is paid for, but its result was not stored: {error.message} "
                "Mend that and ingest it again.",
            ) from error
        attempt.settle(reading.paid_pages)
        return reading

    async def _count(self, job: Job, source: Source, artifact: Artifact) -> int:
        """Brings the source here and counts the pages that its parse would buy. Raises PlaceNeeded."""
        await self._objects.fetch(job.source_key, job.source_sha256, source.file, self._limits.source_bytes)
        head = os.pread(source.file.fileno(), HEAD_BYTES, 0)
        if job.light and not self._engine.is_light(job.filename, source.file.tell(), head):
            raise PlaceNeeded
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
