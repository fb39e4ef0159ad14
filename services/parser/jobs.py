"""Parse jobs as rows: what they say, and each change that a row may see."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, cast

from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.errors import NotFound, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

DEFAULT_TIER = "cost_effective"


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
    """Another process has taken the job over; this one must let it go."""


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


@dataclass(frozen=True)
class Job(NewJob):
    """A job as it stands. `entry_id` names the newest attempt, whose hold may not have been placed."""

    job_id: uuid.UUID
    state: JobState
    entry_id: str
    result_key: str
    page_count: int
    reason: str
    message: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None

    @property
    def artifact_key(self) -> str:
        """Where the pages go: named by content and options."""
        return f"parsed/{self.source_sha256}/{self.tier}.jsonl"

    @property
    def spend_key(self) -> str:
        """What a parse buys, by meaning."""
        return f"parse:{self.source_sha256}:{self.tier}"


class JobStore(Protocol):
    """Every change of a job, each in a transaction of its own."""

    async def create(self, new: NewJob) -> Job:
        """A new job, or the tenant's living one for the same content and tier."""

    async def get(self, tenant: str, job_id: uuid.UUID) -> Job:
        """Raises NotFound JOB_NOT_FOUND."""

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        """Takes an unfinished job over, from whichever process had it; None when it is final."""

    async def attach_entry(self, job: Job, entry_id: str) -> None:
        """Names the attempt that is about to be held. Raises Superseded."""

    async def succeed(self, job: Job, page_count: int) -> None:
        """Raises Superseded."""

    async def fail(self, job: Job, reason: str, message: str) -> None:
        """Raises Superseded."""

    async def unfinished(self) -> Sequence[tuple[str, uuid.UUID]]:
        """(tenant, job id) of all tenants' unfinished jobs, oldest first."""


class PostgresJobs:
    """The jobs of waybill_parser.

    Args:
        database: One tenant at a time.
        owner_database: All tenants, to find what a dead process left.
        owner: This process, "parser/<boot id>".
    """

    def __init__(self, database: Database, owner_database: Database, owner: str) -> None:
        self._database = database
        self._owner_database = owner_database
        self._owner = owner

    async def create(self, new: NewJob) -> Job:
        values = {
            "job_id": uuid.uuid4(),
            "tenant": new.caller.tenant,
            "correlation_id": new.caller.correlation_id,
            "run_id": new.caller.run_id,
            "step_span_id": new.caller.step_span_id,
            "traceparent": new.traceparent,
            "source_key": new.source_key,
            "source_sha256": new.source_sha256,
            "filename": new.filename,
            "tier": new.tier,
            "backend": new.backend,
            "cost_kind": _kind_name(new.cost_kind),
        }
        for _ in range(3):
            async with self._database.transaction(new.caller.tenant) as connection:
                await connection.execute(_INSERT, values)
                # A statement of its own: only then does it see what another transaction has just inserted.
                row = await (await connection.execute(_SELECT_LIVING, values)).fetchone()
            if row is not None:
                return _job(row)
        # Each time the living one failed between the two statements.
        raise Unavailable("JOB_KEEPS_FAILING", "Jobs for this content end as fast as they begin. Repeat.")

    async def get(self, tenant: str, job_id: uuid.UUID) -> Job:
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_SELECT, {"job_id": job_id})).fetchone()
        if row is None:
            raise NotFound(
                "JOB_NOT_FOUND", f"There is no parse job {job_id}. Create one with CreateParseJob."
            )
        return _job(row)

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        async with self._database.transaction(tenant) as connection:
            cursor = await connection.execute(_CLAIM, {"job_id": job_id, "owner": self._owner})
            row = await cursor.fetchone()
        return _job(row) if row is not None else None

    async def attach_entry(self, job: Job, entry_id: str) -> None:
        await self._change(job, "entry_id = %(entry_id)s", entry_id=entry_id)

    async def succeed(self, job: Job, page_count: int) -> None:
        await self._change(
            job,
            "state = 'SUCCEEDED', ended_at = clock_timestamp(), result_key = %(key)s, page_count = %(pages)s",
            key=job.artifact_key,
            pages=page_count,
        )

    async def fail(self, job: Job, reason: str, message: str) -> None:
        await self._change(
            job,
            "state = 'FAILED', ended_at = clock_timestamp(), reason = %(reason)s, message = %(message)s",
            reason=reason,
            message=message,
        )

    async def unfinished(self) -> Sequence[tuple[str, uuid.UUID]]:
        async with self._owner_database.transaction(None) as connection:
            rows = await (await connection.execute(_UNFINISHED)).fetchall()
        return [(row["tenant"], row["job_id"]) for row in rows]

    async def _change(self, job: Job, assignments: str, **values: object) -> None:
        statement = (
            f"update waybill_parser.jobs set {assignments} "  # noqa: S608  # texts of this module alone
            "where job_id = %(job_id)s and owner = %(owner)s and state = 'RUNNING'"
        )
        async with self._database.transaction(job.caller.tenant) as connection:
            cursor = await connection.execute(
                statement, {**values, "job_id": job.job_id, "owner": self._owner}
            )
        if cursor.rowcount != 1:
            raise Superseded(str(job.job_id))


_INSERT = """
insert into waybill_parser.jobs (job_id, tenant, source_key, source_sha256, filename, tier, backend,
    cost_kind, correlation_id, run_id, step_span_id, traceparent)
values (%(job_id)s, %(tenant)s, %(source_key)s, %(source_sha256)s, %(filename)s, %(tier)s, %(backend)s,
    %(cost_kind)s, %(correlation_id)s, %(run_id)s, %(step_span_id)s, %(traceparent)s)
on conflict (tenant, source_sha256, tier) where state not in ('FAILED', 'CANCELLED') do nothing
"""
_SELECT_LIVING = """
select * from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and tier = %(tier)s and state not in ('FAILED', 'CANCELLED')
"""
_SELECT = "select * from waybill_parser.jobs where job_id = %(job_id)s"
_CLAIM = """
update waybill_parser.jobs set state = 'RUNNING', owner = %(owner)s
where job_id = %(job_id)s and state in ('QUEUED', 'RUNNING') returning *
"""
_UNFINISHED = """
select tenant, job_id from waybill_parser.jobs where state in ('QUEUED', 'RUNNING') order by created_at
"""


def _kind_name(kind: CostKind) -> str:
    return CostKind.Name(kind).removeprefix("COST_KIND_")


def _job(row: Mapping[str, Any]) -> Job:
    return Job(
        caller=Caller(row["tenant"], row["correlation_id"], row["run_id"], row["step_span_id"]),
        traceparent=row["traceparent"],
        source_key=row["source_key"],
        source_sha256=row["source_sha256"],
        filename=row["filename"],
        tier=row["tier"],
        backend=row["backend"],
        cost_kind=cast("CostKind", CostKind.Value(f"COST_KIND_{row['cost_kind']}")),
        job_id=row["job_id"],
        state=JobState(row["state"]),
        entry_id=str(row["entry_id"] or ""),
        result_key=row["result_key"],
        page_count=row["page_count"],
        reason=row["reason"],
        message=row["message"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
