"""Works on parse jobs: each once at a time, so many together, until they are final or stopped."""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import structlog

from services.parser.attempt import Attempts
from services.parser.backends.port import Parser
from services.parser.documents.limits import Limits
from services.parser.jobs import Job, JobState, JobStore, Superseded
from services.parser.objects import Objects
from services.parser.work import Slots, Work
from waybill.metering import Meter
from waybill.runtime.errors import Deadline, NotFound, Unavailable

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
        self._attempts = Attempts(store, objects, engine, meter, limits)
        self._meter = meter
        self._pause = pause
        self._works: dict[Key, Work] = {}
        # Work belongs to no call: neither its deadline nor its span may come from whoever asked.
        self._context = contextvars.copy_context()
        self._slots = Slots(1)

    @asynccontextmanager
    async def running(self, size: int) -> AsyncIterator[None]:
        """Works until the block is left, beginning with what an earlier process did not finish.

        What is under way then is QUEUED again, for the next process.
        """
        self._context = contextvars.copy_context()
        self._slots = Slots(size)
        for job in await self._store.recover():
            self.ensure(job)
        try:
            yield
        finally:
            tasks = [work.task for work in self._works.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._meter.drain()
            with suppress(Unavailable):  # then the next process takes this one's end for a death
                await self._store.hand_back()

    def ensure(self, job: Job) -> Work:
        """Sees that an open job is being worked on."""
        key = (job.caller.tenant, job.job_id)
        if key not in self._works:
            work = self._works[key] = Work()
            work.task = asyncio.create_task(self._in_turn(job, work), context=self._context.copy())
        return self._works[key]

    async def stop(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Ends the work on open jobs whose rows are CANCELLED, and waits until nothing is left of it.

        A job that it was too late to cancel is waited for.

        Returns:
            The jobs as they are then.

        Raises:
            Unavailable: CANCEL_UNFINISHED, something is left, for instance as the ledger is away.
        """
        works = [self.ensure(job) for job in jobs]
        for job, work in zip(jobs, works, strict=True):
            if job.state is JobState.CANCELLED:
                work.stop()
        if works:
            await asyncio.wait([work.task for work in works])
        now = []
        for job in jobs:
            with suppress(NotFound):  # deleted meanwhile
                now.append(await self._store.get(job.caller.tenant, job.job_id))
        if any(job.open for job in now):
            raise Unavailable(
                "CANCEL_UNFINISHED",
                "The parse is stopped, but its ledger entry or result could not be cleared yet. Repeat.",
                retry_after_seconds=1.0,
            )
        return now

    async def _in_turn(self, job: Job, work: Work) -> None:
        tenant, job_id = key = (job.caller.tenant, job.job_id)
        alone = job.suspect and not job.poisonous
        try:
            async with AsyncExitStack() as slot:
                with suppress(Superseded):  # stopped while it waits; then there is only clearing to do
                    await work.stoppable(partial(self._slots.take, slot, alone=alone))
                await self.finish(tenant, job_id, work)
        except Exception:
            # The database stayed away: the row is open, and whoever asks for it next starts it.
            log.exception("parse job left unfinished", job_id=str(job_id))
        finally:
            del self._works[key]
            work.tell()

    async def finish(self, tenant: str, job_id: uuid.UUID, work: Work | None = None) -> None:
        """Brings a job to its end, through restarts of the services that it needs."""
        work = work or Work()
        for number in range(1, TRIES + 1):
            try:
                await self._attempts.advance(tenant, job_id, work, last=number == TRIES)
                return
            except (Unavailable, Deadline) as error:
                if number == TRIES:
                    raise
                log.info("parse job waits", job_id=str(job_id), reason=error.reason)
                pause = partial(self._pause, min(0.05 * 2**number, LONGEST_PAUSE_SECONDS))
                with suppress(Superseded):  # stopped: clear at once what is left
                    await (pause() if work.stopped else work.stoppable(pause))
