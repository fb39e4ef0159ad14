"""Looks after batch jobs that nobody works on: wakes their runs, ends their entries, deletes their files."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog

from services.orchestrator.batch.jobs import OF_THE_RUN, BatchJobs, Job
from services.orchestrator.batch.tier import LATER, SOON, TRANSFER_SECONDS, BatchTier, bound, next_look
from services.orchestrator.peers import Peers
from services.orchestrator.runs.context import in_trace
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.store import Runs
from waybill.embedder.v1.batch_job_pb2 import BatchJob
from waybill.embedder.v1.embedder_service_pb2 import CollectBatchJobRequest, DeleteBatchJobRequest
from waybill.runtime import identity
from waybill.runtime.channel import reading
from waybill.runtime.errors import NotFound, Precondition, ServiceError
from waybill.runtime.loops import repeating
from waybill.runtime.retry import insist

TICK_SECONDS = 1.0
AT_A_TIME = 16
PATIENCE_SECONDS = 20.0
# A vendor that does not know a job by then will not come to know it.
FORGOTTEN = datetime.timedelta(hours=26)
log = structlog.get_logger()


class BatchPoller:
    """One for all tenants.

    Args:
        now: The time, in UTC.
    """

    def __init__(
        self, peers: Peers, runs: Runs, jobs: BatchJobs, tier: BatchTier, now: Callable[[], datetime.datetime]
    ) -> None:
        self._peers = peers
        self._runs = runs
        self._jobs = jobs
        self._tier = tier
        self._now = now

    def running(self) -> AbstractAsyncContextManager[None]:
        """Polls until the block is left."""
        return repeating("batch poller", self.poll, TICK_SECONDS)

    async def poll(self) -> None:
        """Looks at the jobs that are due now, and wakes runs that have none to wait for."""
        now = self._now()
        rows = await self._jobs.take_due(now, now + LATER, AT_A_TIME)
        await asyncio.gather(*(self._look(row, Job.of(row)) for row in rows))
        for run in await self._jobs.stranded(AT_A_TIME):
            await self._runs.wake(run)

    async def _look(self, row: Row, job: Job) -> None:
        """Looks at one; what goes wrong is tried again a little later."""
        try:
            await self._turn(row, job)
        except ServiceError as error:
            log.warning("a batch job is looked at later", job_key=job.key, reason=error.reason)
        except Exception:
            # One that nobody foresaw must not keep the others from being looked at.
            log.exception("a batch job could not be looked at", job_key=job.key)

    async def _turn(self, row: Row, job: Job) -> None:
        try:
            if row["run_state"] == "WAITING_ON_VENDOR" and job.state in OF_THE_RUN:
                # Outside the run's trace, which would fill with it in a day.
                with identity.acting_as(identity.Caller(job.run.tenant, row["correlation_id"])):
                    await self._watch(row, job)
            else:
                with in_trace(job.run, row, "batch"):
                    await self._end(job)
        except (NotFound, Precondition):
            if self._now() < job.created_at + FORGOTTEN:
                raise
            # What it charged stays in doubt.
            await self._jobs.change(job, state="CLOSED", outcome=job.outcome | {"status": "lost"})

    async def _watch(self, row: Row, job: Job) -> None:
        now = self._now()
        if job.state == "SENDING" or now >= bound(job, row, now) or await self._has_ended(job):
            await self._runs.wake(job.run)
        else:
            await self._jobs.change(job, look_at=next_look(job, row, now))

    async def _has_ended(self, job: Job) -> bool:
        return (await self._tier.found(job)).state == BatchJob.STATE_ENDED

    async def _end(self, job: Job) -> None:
        """Ends a job without its run: it is cancelled, its entries end, its files are deleted."""
        if job.state == "COLLECTED":
            delete = DeleteBatchJobRequest(name=job.name())
            await insist(partial(self._peers.embedder.DeleteBatchJob, delete), seconds=PATIENCE_SECONDS)
            await self._jobs.change(job, state="CLOSED")
            return
        found = await self._tier.cancelled(job)
        if found.vendor_status == "none":
            await self._jobs.change(job, state="CLOSED")
        elif found.state != BatchJob.STATE_ENDED:
            await self._jobs.change(job, vendor_id=found.name.vendor_id, look_at=self._now() + SOON)
        else:
            await insist(partial(self._settle, job), seconds=PATIENCE_SECONDS)
            await self._jobs.change(job, state="COLLECTED", look_at=self._now())

    async def _settle(self, job: Job) -> None:
        request = CollectBatchJobRequest(name=job.name(), settle_only=True)
        async with reading(
            self._peers.embedder.CollectBatchJob(request, timeout=TRANSFER_SECONDS)
        ) as answers:
            async for _ in answers:
                pass
