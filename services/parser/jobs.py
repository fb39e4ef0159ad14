"""Parse jobs: what is known of one, and each change that it may see."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.parser.pages import Reading
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.identity import Caller

DEFAULT_TIER = "cost_effective"
# So many processes die over one job before it is held to be the cause.
MOST_DEATHS = 3


class JobState(Enum):
    """As in the contract and in SQL."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Superseded(Exception):
    """The job was cancelled, or another process has taken it over: this one must let it go."""


@dataclass(frozen=True)
class NewJob:
    """What is asked for, by whom, and with which engine."""

    caller: Caller
    traceparent: str
    source_key: str
    source_sha256: str
    filename: str
    tier: str
    backend: str
    cost_kind: CostKind
    revision: str


@dataclass(frozen=True)
class Job(NewJob):
    """A job as it stands.

    Attributes:
        entry_id: The newest attempt, whose hold may not have been placed. A cancelled job has one until
            nothing is left of it: the entry has ended, and there is no artifact.
        page_count: Above 0 once the artifact is stored; from then on a job is not cancelled.
        reading: How the document was read; empty until the artifact is stored.
        deaths: Processes that have died while they worked on it.
    """

    job_id: uuid.UUID
    state: JobState
    entry_id: str
    result_key: str
    page_count: int
    reading: Reading
    reason: str
    message: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    deaths: int

    @property
    def open(self) -> bool:
        """Whether something is still to be done: the parse, or what a cancel has left."""
        return not self.state.final or (self.state is JobState.CANCELLED and self.entry_id != "")

    @property
    def poisonous(self) -> bool:
        """Whether no process shall try it again."""
        return self.deaths >= MOST_DEATHS

    @property
    def suspect(self) -> bool:
        """Whether one more death condemns it, which must then be its own and no neighbour's doing."""
        return self.deaths >= MOST_DEATHS - 1

    @property
    def artifact_key(self) -> str:
        """Where the pages go. The job's own: what is left of a cancelled one never meets the next one's."""
        folders = filter(None, ("parsed", self.source_sha256, self.tier, self.revision))
        return f"{'/'.join(folders)}/{self.job_id}.jsonl"

    @property
    def spend_key(self) -> str:
        """What a parse buys, by meaning."""
        return f"parse:{self.source_sha256}:{self.tier}:{self.revision}"


class JobStore(Protocol):
    """Every change of a job, each in a transaction of its own."""

    async def create(self, new: NewJob) -> Job:
        """A new job, or the tenant's living one for the same content, tier and revision."""

    async def get(self, tenant: str, job_id: uuid.UUID) -> Job:
        """Raises NotFound JOB_NOT_FOUND."""

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        """Takes an unfinished job over, from whichever process had it; None when it is final."""

    async def attach_entry(self, job: Job, entry_id: str) -> None:
        """Names the attempt that is about to be held. Raises Superseded."""

    async def result_stored(self, job: Job, reading: Reading) -> None:
        """Says that the artifact is there, so that a cancel comes too late. Raises Superseded."""

    async def succeed(self, job: Job, reading: Reading) -> None:
        """Raises Superseded."""

    async def fail(self, job: Job, reason: str, message: str) -> None:
        """Raises Superseded."""

    async def cancel(self, tenant: str, target: uuid.UUID, *, of_run: bool) -> Sequence[Job]:
        """Cancels a job, or a run's; answers all open ones, also those that it is too late for."""

    async def cleared(self, job: Job) -> None:
        """Nothing is left of a cancelled job's attempt."""

    async def discard(self, tenant: str, source_sha256: str) -> Sequence[Job]:
        """Takes a content's jobs out of use; answers them as they were.

        Raises:
            Precondition: JOB_UNFINISHED.
        """

    async def forget(self, tenant: str, jobs: Sequence[Job]) -> None:
        """Deletes rows."""

    async def recover(self) -> Sequence[Job]:
        """All tenants' open jobs, oldest first; those that died with a process are QUEUED again."""

    async def hand_back(self) -> None:
        """Queues again what this process was working on when it was told to stop."""
