"""A job's changes, told as they come."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

from services.parser.jobs import Job, JobStore
from services.parser.runner import Runner

# This process hears at once of what it does itself; what another has done it sees this much later.
RECHECK_SECONDS = 5.0


async def watch(store: JobStore, runner: Runner, tenant: str, job_id: uuid.UUID) -> AsyncIterator[Job]:
    """The job now and after each change, until it is final. Raises NotFound JOB_NOT_FOUND."""
    job = await store.get(tenant, job_id)
    yield job
    if job.state.final:
        return
    work, told = runner.ensure(job), _visible(job)
    while not job.state.final:
        changed = work.changed
        job = await store.get(tenant, job_id)
        if _visible(job) != told:
            yield job
            told = _visible(job)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await changed.wait()


def _visible(job: Job) -> object:
    return job.state, job.page_count
