"""A vendor's batch that a run waits for, or has left behind: its entries end, and its files are deleted."""

from __future__ import annotations

import datetime
from functools import partial

from services.orchestrator.batch.jobs import OF_THE_RUN, BatchJobs, Job
from services.orchestrator.batch.tier import SOON, TRANSFER_SECONDS, BatchTier, bound, next_look
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait
from waybill.embedder.v1.batch_job_pb2 import BatchJob
from waybill.embedder.v1.embedder_service_pb2 import CollectBatchJobRequest, DeleteBatchJobRequest
from waybill.runtime.channel import reading
from waybill.runtime.clock import Now
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.retry import insist

PATIENCE_SECONDS = 20.0
# A vendor that does not know a job by then will not come to know it.
FORGOTTEN = datetime.timedelta(hours=26)


class BatchWaits:
    """Batch jobs, as the poller looks at them.

    Args:
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, jobs: BatchJobs, tier: BatchTier, now: Now) -> None:
        self._peers = peers
        self._jobs = jobs
        self._tier = tier
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once the vendor has done its work, or its time is up."""
        job, now = await self._jobs.find(wait.run, wait.ref), self._now()
        if job is None or job.state not in OF_THE_RUN:
            return None
        try:
            if job.state == "SENDING" or now >= bound(job, row, now) or await self._has_ended(job):
                return None
        except (NotFound, Precondition):
            if not await self._forgotten(job):
                raise
            return None
        return next_look(job, row, now)

    async def end(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """Cancels a job, ends its entries by the vendor's word, and deletes its files."""
        job = await self._jobs.find(wait.run, wait.ref)
        if job is None or job.state == "CLOSED":
            return None
        try:
            return await self._end(job)
        except (NotFound, Precondition):
            if not await self._forgotten(job):
                raise
            return None

    async def _forgotten(self, job: Job) -> bool:
        """Closes a job that the vendor will not come to know any more; what it charged stays in doubt."""
        if self._now() < job.created_at + FORGOTTEN:
            return False
        await self._jobs.change(job, state="CLOSED", outcome=job.outcome | {"status": "lost"})
        return True

    async def _has_ended(self, job: Job) -> bool:
        return (await self._tier.found(job)).state == BatchJob.STATE_ENDED

    async def _end(self, job: Job) -> datetime.datetime | None:
        if job.state == "COLLECTED":
            delete = DeleteBatchJobRequest(name=job.name())
            await insist(partial(self._peers.embedder.DeleteBatchJob, delete), seconds=PATIENCE_SECONDS)
            await self._jobs.change(job, state="CLOSED")
            return None
        found = await self._tier.cancelled(job)
        if found.vendor_status == "none":
            await self._jobs.change(job, state="CLOSED")
            return None
        if found.state != BatchJob.STATE_ENDED:
            await self._jobs.change(job, vendor_id=found.name.vendor_id)
            return self._now() + SOON
        await insist(partial(self._settle, job), seconds=PATIENCE_SECONDS)
        await self._jobs.change(job, state="COLLECTED")
        return self._now()

    async def _settle(self, job: Job) -> None:
        request = CollectBatchJobRequest(name=job.name(), settle_only=True)
        async with reading(
            self._peers.embedder.CollectBatchJob(request, timeout=TRANSFER_SECONDS)
        ) as answers:
            async for _ in answers:
                pass
