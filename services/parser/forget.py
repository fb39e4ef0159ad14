"""Forgetting what was parsed of one content."""

from __future__ import annotations

from services.parser.jobs import JobState, JobStore
from services.parser.objects import Objects
from services.parser.runner import Runner


async def forget(
    store: JobStore, runner: Runner, objects: Objects, tenant: str, source_sha256: str
) -> tuple[int, int]:
    """Deletes a tenant's jobs for a content, rows last, so that a repeat finds what is left to do.

    Returns:
        Jobs forgotten, results deleted.

    Raises:
        Precondition: JOB_UNFINISHED.
    """
    jobs = await store.discard(tenant, source_sha256)
    # A cancel may be under way; it must not meet a row that is gone.
    await runner.stop([job for job in jobs if job.open])
    ended = [job for job in jobs if job.state is not JobState.CANCELLED and job.entry_id]
    results = sum([await objects.delete(job.artifact_key) for job in ended])
    await store.forget(tenant, jobs)
    return len(jobs), results
