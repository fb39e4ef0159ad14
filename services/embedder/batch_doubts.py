"""Lines of batch jobs that are in doubt though no run asks for them: the vendor is asked for the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from services.embedder.backends.port import Stage
from services.embedder.batch_lines import JobName
from services.embedder.batches import VendorBatches
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime.errors import NotFound
from waybill.vendors.asking import REMEMBERED, Answer

NOT_CREATED = "the vendor has no such batch"


def job_key(entry: Entry) -> str:
    """The job of a line: its owner, see `Meter.hold`."""
    return entry.owner.removeprefix(f"{entry.service}/")


class BatchDoubts:
    """Ends the entries of a job's lines as its files tell.

    Args:
        jobs: Where the vendor is asked.
        now: Seconds since the epoch.
    """

    def __init__(self, jobs: VendorBatches, now: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._now = now

    async def ask(self, entries: Sequence[Entry]) -> Answer | None:
        """See `vendors.asking.Asking`; entries of one job. Raises what the vendor's client raises."""
        held_at = min(entry.hold_time.ToNanoseconds() for entry in entries) / 1e9
        try:
            job = await self._jobs.get(JobName(job_key(entries[0]), since=held_at))
        except NotFound:
            if self._now() - held_at > REMEMBERED.total_seconds():
                return Answer("BATCH_NOT_LISTED", final=True)
            await self._jobs.release_lines([entry.entry_id for entry in entries], NOT_CREATED)
            return None
        if job.stage is not Stage.ENDED:
            return Answer("BATCH_RUNS")
        try:
            async for _ in self._jobs.collect(job.name):
                pass  # the vectors have nobody who waits for them
        except NotFound:
            # Its run has had them, and has deleted them at the vendor.
            return Answer("BATCH_FILES_DELETED", final=True)
        # Of lines that the files do not tell of. The others have ended, and are not noted.
        return Answer("BATCH_LINE_MISSING", final=True)
