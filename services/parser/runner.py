"""Works on parse jobs, so that a kill at any point costs time and never money or a result.

One attempt, in the order that the rows and objects of a dead process can be read back from:

    1  entry id on the job row      so that an attempt is known before it can cost anything
    2  hold
    3  parse
    4  artifact stored              the result; from here on the attempt counts as done
    5  settle
    6  job row SUCCEEDED            only ever after a settle that the ledger has confirmed

A job that is taken over (or tried again) with an entry id on its row was cut off in between. If the
artifact is there, steps 5 and 6 are left to do, and repeating them is harmless. If not, the engine
keeps nothing of an unfinished parse, so the entry is released and a new attempt begins.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from opentelemetry import trace

from services.parser.backends.port import Parser, Source
from services.parser.jobs import Job, JobStore, Superseded
from services.parser.limits import Limits
from services.parser.objects import Objects
from services.parser.pages import dump
from services.parser.refusals import refusal
from waybill.metering import Meter, Purchase
from waybill.runtime import identity
from waybill.runtime.errors import Conflict, Deadline, NotFound, ServiceError, Unavailable
from waybill.runtime.telemetry import remote_parent

CUT_OFF = "the parse ended before its result was stored"
PAGES_TYPE = "application/jsonl"
# A neighbour that restarts is back in seconds; one that stays away for five minutes fails the job.
TRIES = 64
LONGEST_PAUSE_SECONDS = 5.0
log = structlog.get_logger()
Key = tuple[str, uuid.UUID]
Pause = Callable[[float], Awaitable[None]]


class Runner:
    """Takes jobs in order, `size` at a time.

    Args:
        store: Where jobs stand.
        objects: Where sources and results are.
        engine: What parses.
        meter: What writes down the price.
        limits: Most bytes of a source.
        pause: Waits between tries of a job.
    """

    def __init__(
        self,
        store: JobStore,
        objects: Objects,
        engine: Parser,
        meter: Meter,
        limits: Limits,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._store = store
        self._objects = objects
        self._engine = engine
        self._meter = meter
        self._limits = limits
        self._pause = pause
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._ends: dict[Key, asyncio.Event] = {}

    @asynccontextmanager
    async def running(self, size: int) -> AsyncIterator[None]:
        """Works until the block is left, beginning with what an earlier process did not finish.

        What is under way then stays RUNNING, for the next process.
        """
        for tenant, job_id in await self._store.unfinished():
            self.ensure(tenant, job_id)
        workers = [asyncio.create_task(self._work()) for _ in range(size)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._meter.drain()

    def ensure(self, tenant: str, job_id: uuid.UUID) -> asyncio.Event:
        """Sees that a job is being worked on; the event is set when it is final."""
        key = (tenant, job_id)
        if key not in self._ends:
            self._ends[key] = asyncio.Event()
            self._queue.put_nowait(key)
        return self._ends[key]

    async def _work(self) -> None:
        while True:
            tenant, job_id = key = await self._queue.get()
            try:
                await self.finish(tenant, job_id)
            except Exception:
                # The database stayed away: the row is unfinished, and whoever asks for it next starts it.
                log.exception("parse job left unfinished", job_id=str(job_id))
            finally:
                self._ends.pop(key).set()

    async def finish(self, tenant: str, job_id: uuid.UUID) -> None:
        """Brings a job to its end, through restarts of the services that it needs."""
        for number in range(1, TRIES + 1):
            try:
                job = await self._store.claim(tenant, job_id)
                if job is not None:
                    with _on_behalf_of(job):
                        await self._advance(job, last=number == TRIES)
                return
            except Superseded:
                log.warning("parse job taken over by another process", job_id=str(job_id))
                return
            except (Unavailable, Deadline) as error:
                if number == TRIES:
                    raise
                log.info("parse job waits", job_id=str(job_id), reason=error.reason)
                await self._pause(min(0.05 * 2**number, LONGEST_PAUSE_SECONDS))

    async def _advance(self, job: Job, *, last: bool) -> None:
        try:
            pages = await self._earlier_result(job) or await self._attempt(job)
        except (Unavailable, Deadline) as error:
            if not last:
                raise
            await self._store.fail(job, error.reason, error.message)
        except ServiceError as error:
            await self._store.fail(job, error.reason, error.message)
        except Superseded:
            raise
        except Exception:
            log.exception("parse failed", job_id=str(job.job_id))
            crash = refusal("PARSER_CRASHED")
            await self._store.fail(job, crash.reason, crash.message)
        else:
            await self._store.succeed(job, pages)

    async def _earlier_result(self, job: Job) -> int | None:
        """Ends the attempt that was cut off; its pages, where it had come as far as its result."""
        if not job.entry_id:
            return None
        pages = await self._objects.count_lines(job.artifact_key)
        try:
            if pages is None:
                await self._meter.release(job.entry_id, CUT_OFF)
            else:
                await self._meter.settle(job.entry_id, pages)
        except NotFound:
            return None  # cut off between steps 1 and 2: nothing was held
        except Conflict as conflict:
            # It ended otherwise (given up by policy, say): then this parse has not been paid for.
            log.warning("entry had ended", entry_id=job.entry_id, reason=conflict.reason)
            return None
        return pages

    async def _attempt(self, job: Job) -> int:
        with tempfile.TemporaryFile() as file:  # has no name, so a kill leaves nothing on disk
            await self._objects.fetch(job.source_key, job.source_sha256, file, self._limits.source_bytes)
            source = Source(file, job.filename)
            expected = await self._engine.count_pages(source)
            entry_id = str(uuid.uuid4())
            await self._store.attach_entry(job, entry_id)
            async with self._meter.attempt(self._purchase(job, expected), entry_id) as attempt:
                pages = await self._engine.parse(source, job.tier)
                artifact = await asyncio.to_thread(dump, pages)
                await self._objects.put(job.artifact_key, artifact, PAGES_TYPE)
                attempt.settle(len(pages))
            return len(pages)

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
