"""What a batch job is called at the vendor, and how it is found there."""

from __future__ import annotations

import dataclasses

from services.embedder.backends.port import BatchBackend, VendorBatch
from waybill.runtime import identity

# By how much the vendor's clock may be behind ours.
CLOCK_SECONDS = 300.0
JOB, TENANT, LINES = "waybill_job", "waybill_tenant", "waybill_lines"


@dataclasses.dataclass(frozen=True)
class JobName:
    """See the contract's BatchJobName.

    Attributes:
        job_key: A UUID.
        vendor_id: Empty where it is not known.
        since: Seconds since the epoch; None where the key was surely not sent before.
    """

    job_key: str
    vendor_id: str = ""
    since: float | None = None


def metadata(name: JobName, lines: int) -> dict[str, str]:
    """What the vendor keeps with the caller's job of so many lines."""
    who = identity.caller()
    named = {
        JOB: name.job_key,
        TENANT: who.tenant,
        "waybill_run": who.run_id,
        "waybill_correlation": who.correlation_id,
        LINES: str(lines),
    }
    return {key: value for key, value in named.items() if value}


def belongs(batch: VendorBatch, name: JobName) -> bool:
    """Whether a batch is the caller's, and of this key."""
    wanted = {JOB: name.job_key, TENANT: identity.caller().tenant}
    return all(batch.metadata.get(key) == value for key, value in wanted.items())


def lines_of(batch: VendorBatch) -> int:
    """How many lines it has, of one that belongs to a job."""
    return int(batch.metadata[LINES])


async def listed(vendor: BatchBackend, name: JobName) -> VendorBatch | None:
    """The job's batch among the vendor's newest, no farther back than its key is old."""
    oldest, after = (name.since or 0.0) - CLOCK_SECONDS, ""
    while page := await vendor.newest(after):
        for batch in page:
            if batch.created_at < oldest:
                return None
            if belongs(batch, name):
                return batch
        after = page[-1].id
    return None
