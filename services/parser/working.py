"""Works on parse jobs: takes those whose turn it is, each under a lease, until they are final or stopped.

A job whose parse goes on at its engine is let go of, and taken again when it is time to look.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

import structlog

from services.parser.attempting import Attempts
from services.parser.backends.port import Parser
from services.parser.charging import Charges
from services.parser.documents.limits import Limits
from services.parser.engines import Engine, serves
from services.parser.job import Job, JobState, Lane
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.work import LONGEST_PAUSE_SECONDS, TRIES, Pause, Work
from waybill.metering import Meter
from waybill.runtime.clock import Now, utc_now
from waybill.runtime.errors import NotFound, Unavailable
from waybill.runtime.loops import repeating
from waybill.vendors.choosing import STORAGE, vendor_of

# Light jobs at a time, and parses looked at that go on at their engine; neither takes a place.
LIGHT_JOBS = 8
LOOKS = 64
# A cancel by another process is seen within this time, and work that nobody told us of is found.
BEAT_SECONDS = 1.0
# What another process does is seen by looking, ever more seldom.
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.25, 5.0
STOP_SECONDS = 25.0
MOST_SERVED = 100
log = structlog.get_logger()


class Runner:
    """Takes jobs, tenant by tenant, `size` at a time and those besides that take no place; a suspect alone.

    Args:
        jobs: Where they stand.
        objects: Where sources and results are.
        engine: What parses.
        meter: What writes down the price.
        limits: Most bytes of a source.
        pause: Waits between tries of a job.
        now: The time, to judge whether a parse is stuck.
        beside: Another engine, for jobs of its own.
        lack: Of `engine`; see Engine.
        returns: How often the vendor of `engine` has come back: then nothing that it had put off is put off.
    """

    def __init__(
        self,
        jobs: Jobs,
        objects: Objects,
        engine: Parser,
        meter: Meter,
        limits: Limits,
        pause: Pause = asyncio.sleep,
        now: Now = utc_now,
        beside: Engine | None = None,
        lack: Callable[[], str] = serves,
        returns: Callable[[], int] = int,
    ) -> None:
        self._jobs = jobs
        self._objects = objects
        main = Engine(engine, limits, lack)
        self._attempts = Attempts(jobs, objects, main, meter, now)
        self._vendor = engine.capabilities.vendor
        self._returns, self._seen_returns = returns, returns()
        self._beside = {one.name: Attempts(jobs, objects, one, meter, now) for one in [beside] if one}
        self._charges = Charges(jobs, engine, meter, now)
        self._meter = meter
        self._pause = pause
        self._size = 0
        self._works: dict[uuid.UUID, Work] = {}
        self._forgetting: set[uuid.UUID] = set()
        self._news: WeakValueDictionary[uuid.UUID, asyncio.Future[Job]] = WeakValueDictionary()
        self._served: list[str] = []
        self._woken = asyncio.Event()
        self._more_wait = self._suspect_waits = False
        # A job that has been claimed and is not noted yet must not look like one to hand back.
        self._claiming = asyncio.Lock()

    @asynccontextmanager
    async def running(self, size: int) -> AsyncIterator[None]:
        """Works until the block is left; what is under way then is handed back to whoever comes next."""
        self._size = size
        try:
            async with (
                repeating("leases of parse jobs", self._keep, BEAT_SECONDS),
                repeating("parse jobs that a vendor put off", self._take_up, BEAT_SECONDS),
                repeating("parse jobs", self._take, BEAT_SECONDS, self._woken),
                self._charges.running(),
            ):
                yield
        finally:
            tasks = [work.task for work in self._works.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._meter.drain()
            with suppress(Unavailable):  # then their leases run out
                await self._jobs.hand_back()

    def wake(self) -> None:
        """Says that a job waits."""
        self._woken.set()

    async def hasten(self, entry_id: uuid.UUID, parse_id: str) -> bool:
        """Looks at a parse now; False: the entry's parse is not this one."""
        found = await self._jobs.hasten(entry_id, parse_id)
        if found:
            self.wake()
        return found

    def begin(self, job: Job) -> Work:
        """Works on a job that this process has claimed."""
        work = self._works[job.job_id] = Work(job, self._pause)
        work.task = asyncio.create_task(self._bring_to_end(work))
        self._tell(job)
        return work

    async def looks(self, tenant: str, job_id: uuid.UUID, seconds: float) -> AsyncIterator[Job]:
        """A job now, and each time that it may have changed, for so long. Raises NotFound JOB_NOT_FOUND."""
        clock, pause = asyncio.get_running_loop().time, FIRST_LOOK_SECONDS
        ends_at = clock() + seconds
        # Taken before the row is read, so that no change falls in between.
        news = self._next_change(job_id)
        yield await self._jobs.get(tenant, job_id)
        while (left := ends_at - clock()) > 0:
            # What this process does is told; the row is looked at all the same, now and then.
            pause = LONGEST_LOOK_SECONDS if job_id in self._works else min(2 * pause, LONGEST_LOOK_SECONDS)
            await asyncio.wait([news], timeout=min(pause, left))
            told, news = news, self._next_change(job_id)
            yield told.result() if told.done() else await self._jobs.get(tenant, job_id)

    async def watch(self, tenant: str, job_id: uuid.UUID) -> AsyncIterator[Job]:
        """The job now and after each change, until it is final. Raises NotFound JOB_NOT_FOUND."""
        seen: object = None
        async for job in self.looks(tenant, job_id, float("inf")):
            now = job.state, job.page_count, job.parse_id, job.pages_done
            if now != seen:
                yield job
            seen = now
            if job.state.final:
                return

    async def stop(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Ends the work on open jobs whose rows are CANCELLED, and waits until nothing is left of it.

        A job that it was too late to cancel is waited for.

        Returns:
            The jobs as they are then.

        Raises:
            Unavailable: CANCEL_UNFINISHED, something is left, for instance as the ledger is away.
        """
        for job in jobs:
            if job.job_id in self._works and job.state is JobState.CANCELLED:
                self._works[job.job_id].stop()
        self.wake()
        now = await asyncio.gather(*map(self._closed, jobs))
        return [job for job in now if job is not None]

    async def forget(self, tenant: str, source_sha256: str) -> tuple[int, int]:
        """Deletes a tenant's jobs for a content, rows last, so that a repeat finds what is left to do.

        Returns:
            Jobs forgotten, results deleted.

        Raises:
            Precondition: JOB_UNFINISHED.
            Unavailable, Deadline, Quota: The engine keeps a parse, and cannot be asked to forget it now.
        """
        jobs = await self._jobs.discard(tenant, source_sha256)
        ended = [job for job in jobs if job.state is not JobState.CANCELLED and job.entry_id]
        ids = {job.job_id for job in ended}
        self._forgetting |= ids
        try:
            # A cancel may be under way; it must not meet a row that is gone.
            cleared = await self.stop([job for job in jobs if job.open])
            # As they are by now: what was cleared may have a charge to ask for.
            for job in [*(job for job in jobs if not job.open), *cleared]:
                if job.charge_of:
                    await self._charges.close(job)
            results = sum([await self._objects.delete(job.artifact_key) for job in ended])
            await self._jobs.forget(tenant, jobs)
        finally:
            self._forgetting -= ids
        return len(jobs), results

    async def finish(self, work: Work) -> Job | None:
        """Brings a claimed job to its end, through restarts of the services that it needs.

        Returns:
            The job as it is then; None when another process has it.
        """
        tenant, job_id = work.job.caller.tenant, work.job.job_id

        async def advance(number: int) -> Job | None:
            job = work.job if number == 1 else await self._jobs.claim(tenant, job_id)
            if job is None:
                return None
            attempts = self._beside.get(job.backend, self._attempts)
            return await attempts.advance(job, work, last=number == TRIES)

        return await work.patiently(advance)

    async def _bring_to_end(self, work: Work) -> None:
        try:
            job = await self.finish(work)
        except Exception:
            # The database stayed away, say; once it is back the job is taken again.
            log.exception("parse job left unfinished", job_id=str(work.job.job_id))
            await self._pause(LONGEST_PAUSE_SECONDS)
            job = None
        finally:
            del self._works[work.job.job_id]
        if job is not None:
            self._tell(job)
        if self._more_wait or (job is not None and job.open and job.look_at is None):
            self.wake()

    async def _take_up(self) -> None:
        """Makes due what a vendor had put off that is back. Storage may be slow to say so: no lease waits."""
        if (returns := self._returns()) != self._seen_returns:
            await self._jobs.hasten_all(self._vendor)
            self._seen_returns = returns
            self.wake()
        if await self._objects.vendor_back():
            await self._jobs.hasten_all(vendor_of(STORAGE))
            self.wake()

    async def _keep(self) -> None:
        """Renews what is worked on, and stops what is another's by now or was cancelled there."""
        async with self._claiming:
            works = dict(self._works)
            kept, self._suspect_waits = await self._jobs.keep({*works, *self._forgetting})
        for job_id, work in works.items():
            if job_id not in kept or kept[job_id].state is JobState.CANCELLED:
                work.stop()

    async def _take(self) -> None:
        """Takes jobs while there is room."""
        self._more_wait = True
        while lanes := self._room():
            async with self._claiming:
                job = await self._jobs.claim_next(lanes=lanes, beside=self._works.keys(), served=self._served)
                if job is None:
                    self._more_wait = len(lanes) < len(Lane)
                    return
                # A suspect would have come first, had there been no other; the next beat looks again.
                self._suspect_waits = self._suspect_waits and bool(self._works)
                self._served = [each for each in self._served if each != job.caller.tenant]
                self._served = [*self._served, job.caller.tenant][-MOST_SERVED:]
                self.begin(job)

    def _room(self) -> Collection[Lane]:
        """Where a job may be taken."""
        jobs = [work.job for work in self._works.values()]
        if any(job.suspect for job in jobs) or (jobs and self._suspect_waits):
            return ()
        taken = Counter(job.lane for job in jobs)
        room = {Lane.PLACE: self._size, Lane.LIGHT: LIGHT_JOBS, Lane.ENGINE: LOOKS}
        return [lane for lane in Lane if taken[lane] < room[lane]]

    async def _closed(self, job: Job) -> Job | None:
        """The job once nothing is left to do for it; None if it is deleted meanwhile."""
        with suppress(NotFound):
            async for now in self.looks(job.caller.tenant, job.job_id, STOP_SECONDS):
                if not now.open:
                    return now
            raise Unavailable(
                "CANCEL_UNFINISHED",
                "The parse is stopped, but its ledger entry or result could not be cleared yet. Repeat.",
                retry_after_seconds=1.0,
            )
        return None

    def _next_change(self, job_id: uuid.UUID) -> asyncio.Future[Job]:
        known = self._news.get(job_id)
        if known is None or known.done():
            known = self._news[job_id] = asyncio.get_running_loop().create_future()
        return known

    def _tell(self, job: Job) -> None:
        waited_for = self._news.get(job.job_id)
        if waited_for is not None and not waited_for.done():
            waited_for.set_result(job)
