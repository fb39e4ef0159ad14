"""The `batch` step: a run's texts go to the vendor's batch, and the run waits without taking up a place.

A job is written down before it is sent, so that one whose creation was never answered is found again. The
step's body begins anew each time the run is woken, and goes on from the job's row.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc
import structlog

from services.orchestrator import degrading, vectors
from services.orchestrator.batch import tiers
from services.orchestrator.batch.jobs import BLOCKED, OF_THE_RUN, BatchJobs, Job
from services.orchestrator.chunks.cutting import embedded_text
from services.orchestrator.degrading import GoesOnWithout
from services.orchestrator.peers import Peers, steady
from services.orchestrator.runs.outcomes import Noted, RunWaits
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.store import Runs
from services.orchestrator.runs.waits import BATCH, seldom
from services.orchestrator.spaces import Spaces
from services.orchestrator.steps.answers import Batched, Cut
from waybill.embedder.v1.batch_job_pb2 import BatchJob, BatchOutcome, BatchTexts
from waybill.embedder.v1.embedder_service_pb2 import (
    CancelBatchJobRequest,
    CollectBatchJobRequest,
    CreateBatchJobRequest,
    CreateBatchJobResponse,
    GetBatchJobRequest,
)
from waybill.runtime import semconv
from waybill.runtime.channel import reading, send
from waybill.runtime.clock import Now
from waybill.runtime.errors import Deadline, ServiceError, Unavailable, from_status
from waybill.runtime.retry import insist
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector

# Texts up, or vectors down, of the largest job.
TRANSFER_SECONDS = 600.0
# A vendor that does not answer is asked again later, in a wait that takes up no place.
ASK_SECONDS, SEND_PATIENCE_SECONDS = 10.0, 20.0
SOON, LATER = (datetime.timedelta(seconds=seconds) for seconds in (10, 60))
SELDOM_SECONDS = 300.0
log = structlog.get_logger()


class BatchTier:
    """Embeds by batch.

    Args:
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, runs: Runs, spaces: Spaces, jobs: BatchJobs, now: Now) -> None:
        self._peers = peers
        self._runs = runs
        self._spaces = spaces
        self._jobs = jobs
        self._now = now

    async def embed(self, run: RunRef, cut: Cut, row: Row) -> Noted[Batched]:
        """Has a run's chunks embedded by batches as far as there is time, and as a budget pays.

        Raises:
            RunWaits: A job goes on; the poller wakes the run when there is something to do.
            ServiceError: A budget does not allow a job; it names it under `semconv.BLOCKED_ON`.
        """
        made = await self._jobs.of_run(run)
        jobs = [job for job in made if not job.blocked]
        if jobs and jobs[-1].state in OF_THE_RUN:
            jobs[-1] = await self._follow(row, cut, jobs[-1])
        pending = await anext(self._pending(cut), None) is not None
        got, without, told = sum(job.vectors for job in jobs), "", {}
        if pending and not (jobs and jobs[-1].useless):
            decision = tiers.decide(row["complete_by"], self._now(), cut.chunks - got, True, len(jobs))
            if decision.tier == tiers.BATCH:
                await self._runs.change(run, tier=decision.tier, tier_reason=decision.reason)
                job = await self._jobs.add(run, len(made) + 1, self._now())
                try:
                    jobs.append(await self._send(cut, job, again=False))
                except GoesOnWithout as refused:
                    without, told = refused.message, {"backends": degrading.backends(refused.choice)}
        outcome = tiers.outcome(got, cut.chunks, pending, [job.outcome for job in jobs])
        columns = {"tier": outcome.tier, "tier_reason": outcome.reason, "embedded_chunks": got, **told}
        return Noted(Batched(got, without), columns)

    async def stop(self, run: RunRef) -> None:
        """Cancels a run's job at the vendor. What it did by then is settled when it has ended."""
        for job in await self._jobs.of_run(run):
            if job.state == "SENDING":
                # The vendor may be about to make it: it is asked when that is surely over.
                await self._jobs.change(job, state="LEFT", end_at=self._now() + LATER)
            elif job.state in OF_THE_RUN:
                await self.cancelled(job)
                await self._jobs.change(job, state="LEFT", end_at=self._now())

    async def found(self, job: Job) -> BatchJob:
        """A job as the vendor has it.

        Raises:
            ServiceError: It has none, or does not say.
        """
        request = GetBatchJobRequest(name=job.name())
        return await _asked(partial(self._peers.embedder.GetBatchJob, request))

    async def cancelled(self, job: Job) -> BatchJob:
        """The same, asked to stop."""
        request = CancelBatchJobRequest(name=job.name())
        return await _asked(partial(self._peers.embedder.CancelBatchJob, request))

    async def _follow(self, row: Row, cut: Cut, job: Job) -> Job:
        """Takes what a job has done once it has ended, or goes on without it when time runs out."""
        now = self._now()
        if job.state == "SENDING" and now < bound(job, row, now):
            return await self._send(cut, job, again=True)
        late = job.state == "SENT" and now >= bound(job, row, now)
        try:
            found = await (self.cancelled(job) if late else self.found(job))
        except ServiceError as error:
            # There is time to ask again, or none, and then the rest is embedded at once.
            log.warning("a batch job cannot be followed", job_key=job.key, reason=error.reason)
        else:
            if found.state == BatchJob.STATE_ENDED:
                try:
                    outcome = await steady(partial(self._collect, cut, job))
                except Unavailable as error:
                    # Bought: it is never left behind for a wait of another kind, which would cancel it.
                    log.warning("a batch job's vectors do not come", job_key=job.key, reason=error.reason)
                else:
                    return await self._jobs.change(job, state="COLLECTED", outcome=outcome, end_at=now)
            elif late:
                job = await self._jobs.change(job, state="CANCELLING")
        if now >= bound(job, row, now):
            return await self._jobs.change(job, state="LEFT", outcome={"status": "left"}, end_at=now)
        raise RunWaits(BATCH, job.key, next_look(job, row, now))

    async def _send(self, cut: Cut, job: Job, *, again: bool) -> Job:
        """Gives the chunks without a vector to the vendor.

        Args:
            again: The vendor may have them already.

        Raises:
            RunWaits: It has them; or it does not answer, and is asked again later.
            ServiceError: A budget does not allow it.
            GoesOnWithout: The same, and the run is not to wait for it.
        """
        try:
            sent = await insist(partial(self._create, cut, job, iter([again])), seconds=SEND_PATIENCE_SECONDS)
        except (Unavailable, Deadline) as error:
            log.warning("the vendor's batches do not answer", reason=error.reason)
            raise RunWaits(BATCH, job.key, self._now() + LATER) from error
        except ServiceError as error:
            if semconv.BLOCKED_ON in error.metadata:
                # Not at once, for twice the price: this job was never sent.
                await self._jobs.change(job, state="CLOSED", outcome={"status": BLOCKED})
                await self._spaces.offers.check_goes_on(error)
                raise
            # Left, not closed: where the refusal was of a look, the vendor may have it all the same.
            outcome = {"status": "refused", "code": error.reason}
            return await self._jobs.change(job, state="LEFT", outcome=outcome, end_at=self._now() + LATER)
        await self._jobs.change(job, state="SENT", vendor_id=sent.name.vendor_id)
        raise RunWaits(BATCH, job.key, self._now() + SOON)

    def _pending(self, cut: Cut) -> AsyncIterator[Sequence[Chunk]]:
        return vectors.pending(self._peers.index, cut.version_id, 0, cut.chunks)

    async def _create(self, cut: Cut, job: Job, again: Iterator[bool]) -> BatchJob:
        name = job.name(again=next(again, True))
        header = CreateBatchJobRequest.Header(name=name, space=await self._spaces.of_version(cut))
        call = self._peers.embedder.CreateBatchJob(timeout=TRANSFER_SECONDS)
        answer: CreateBatchJobResponse = await send(call, _messages(header, self._pending(cut)))
        return answer.job

    async def _collect(self, cut: Cut, job: Job) -> dict[str, Any]:
        """Writes the vectors of a job that has ended; answers how it came out."""
        space, got = await self._spaces.of_version(cut), 0
        call = self._peers.embedder.CollectBatchJob(
            CollectBatchJobRequest(name=job.name()), timeout=TRANSFER_SECONDS
        )
        outcome = BatchOutcome()
        async with reading(call) as answers:
            async for answer in answers:
                bought = [ChunkVector(ordinal=one.index, values=one.values) for one in answer.embeddings]
                await vectors.put(self._peers.index, cut.version_id, space, bought)
                got += len(bought)
                outcome.CopyFrom(answer.outcome)
        return {
            "vectors": got,
            "status": outcome.vendor_status,
            "code": outcome.code,
            "charged": outcome.charged,
            "released": outcome.released,
            "in_doubt": outcome.in_doubt,
        }


async def _asked(call: Callable[..., Awaitable[Any]]) -> BatchJob:
    """The job of an answer that is asked for once: whoever is in vain asks again later."""
    try:
        answer = await call(timeout=ASK_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise from_status(error) from error
    job: BatchJob = answer.job
    return job


def bound(job: Job, row: Row, now: datetime.datetime) -> datetime.datetime:
    """When something must be done about a job though it has not ended.

    Args:
        job: While it is sent, it is to be cancelled then; once it is, left behind.
        row: Of its run.
        now: In UTC.
    """
    when = tiers.last_moment if job.state == "CANCELLING" else tiers.promote_at
    return when(row["complete_by"], now, row["chunks"])


def next_look(job: Job, row: Row, now: datetime.datetime) -> datetime.datetime:
    """When a job is looked at again: seldom while it takes long."""
    soon = now + SOON
    if job.state != "CANCELLING":
        soon = seldom(job.created_at, now, SOON.total_seconds(), SELDOM_SECONDS)
    return min(soon, bound(job, row, now))


async def _messages(
    header: CreateBatchJobRequest.Header, pages: AsyncIterator[Sequence[Chunk]]
) -> AsyncIterator[CreateBatchJobRequest]:
    yield CreateBatchJobRequest(header=header)
    async for page in pages:
        for texts in _texts(page):
            yield CreateBatchJobRequest(texts=texts)


def _texts(chunks: Sequence[Chunk]) -> list[BatchTexts]:
    """Chunks as texts, those without a gap between them together."""
    runs: list[BatchTexts] = []
    for chunk in chunks:
        if not runs or chunk.ordinal != runs[-1].start_index + len(runs[-1].texts):
            runs.append(BatchTexts(start_index=chunk.ordinal))
        runs[-1].texts.append(embedded_text(chunk.heading, chunk.lead, chunk.text))
    return runs
