"""Parse jobs: what is known of one, and each change that it may see, as rows of waybill_parser.jobs."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, cast

from psycopg.types.json import Jsonb

from services.parser.pages import Reading
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.errors import NotFound, Precondition, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.leases import LEASE_SECONDS, Leases
from waybill.runtime.postgres import Database

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


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is asked for, by whom, and with which engine.

    Attributes:
        light: It needs so little that it takes no place of the others.
    """

    caller: Caller
    traceparent: str
    source_key: str
    source_sha256: str
    filename: str
    tier: str
    backend: str
    cost_kind: CostKind
    revision: str
    light: bool = False


@dataclass(frozen=True, kw_only=True)
class Job(NewJob):
    """A job as it stands.

    Attributes:
        entry_id: The newest attempt, whose hold may not have been placed. A cancelled job has one until
            nothing is left of it: the entry has ended, and there is no artifact.
        parse_id: The engine's name of that attempt's parse, where it keeps one.
        page_count: Above 0 once the artifact is stored; from then on a job is not cancelled.
        reading: How the document was read; empty until the artifact is stored.
        deaths: Processes that have died while they worked on it.
        leased: Whether a process works on it, or did until it died.
    """

    job_id: uuid.UUID
    state: JobState
    entry_id: str
    parse_id: str
    result_key: str
    page_count: int
    reading: Reading
    reason: str
    message: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    deaths: int
    leased: bool

    @property
    def open(self) -> bool:
        """Whether something is still to be done: the parse, or what a cancel has left."""
        left = self.leased or self.entry_id != ""
        return not self.state.final or (self.state is JobState.CANCELLED and left)

    @property
    def poisonous(self) -> bool:
        """Whether no process shall try it again."""
        return self.deaths >= MOST_DEATHS

    @property
    def suspect(self) -> bool:
        """Whether one more death condemns it, which must then be its own and no neighbour's doing."""
        return self.deaths == MOST_DEATHS - 1 and self.state is not JobState.CANCELLED

    @property
    def artifact_key(self) -> str:
        """Where the pages go. The job's own: what is left of a cancelled one never meets the next one's."""
        folders = filter(None, ("parsed", self.source_sha256, self.tier, self.revision))
        return f"{'/'.join(folders)}/{self.job_id}.jsonl"

    @property
    def spend_key(self) -> str:
        """What a parse buys, by meaning."""
        return f"parse:{self.source_sha256}:{self.tier}:{self.revision}"


class Jobs:
    """All jobs, as one process sees and changes them; each change is a transaction of its own.

    Args:
        database: One tenant at a time.
        owner_database: All tenants, to find work.
        owner: This process, "parser/<boot id>".
        lease_seconds: How long a job is this process's without a renewal.
    """

    def __init__(
        self, database: Database, owner_database: Database, owner: str, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._owner_database = owner_database
        self._leases = Leases(
            "waybill_parser.jobs",
            "job_id",
            owner,
            lease_seconds,
            taken=["state = case state when 'QUEUED' then 'RUNNING' else state end"],
            given_up=["state = case state when 'RUNNING' then 'QUEUED' else state end"],
        )

    async def create(self, new: NewJob) -> Job:
        """A new job, or the tenant's living one for the same content, tier and revision."""
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
            "revision": new.revision,
            "light": new.light,
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
        """Raises NotFound JOB_NOT_FOUND."""
        rows = await self._rows(tenant, _SELECT, job_id=job_id)
        if not rows:
            raise NotFound(
                "JOB_NOT_FOUND", f"There is no parse job {job_id}. Create one with CreateParseJob."
            )
        return rows[0]

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        """Takes an open job; None when another process has it, or nothing is left to do."""
        async with self._database.transaction(tenant) as connection:
            rows = await self._leases.claim(connection, _ONE, job_id=job_id)
        return _job(rows[0]) if rows else None

    async def claim_next(
        self, *, heavy: bool, light: bool, beside: Collection[uuid.UUID], served: Sequence[str]
    ) -> Job | None:
        """Takes the job of any tenant whose turn it is; None when there is none.

        Args:
            heavy: Whether there is a place.
            light: Whether there is room for one that takes no place.
            beside: What this process works on; a suspect is taken beside nothing.
            served: Tenants that had a turn, the last one last.
        """
        values = {"heavy": heavy, "light": light, "beside": list(beside), "served": list(served)}
        async with self._owner_database.transaction(None) as connection:
            rows = await self._leases.claim(connection, _NEXT, **values)
        return _job(rows[0]) if rows else None

    async def keep(self, job_ids: Collection[uuid.UUID]) -> tuple[Mapping[uuid.UUID, Job], bool]:
        """Renews what this process works on, and hands back whatever else it has.

        Returns:
            The jobs that it still has, and whether a suspect waits for its turn.
        """
        async with self._owner_database.transaction(None) as connection:
            rows = await self._leases.renew(connection, job_ids)
            await self._leases.hand_back(connection, job_ids)
            waits = await connection.execute(_SUSPECT_WAITS, self._leases.values)
            return {row["job_id"]: _job(row) for row in rows}, waits.rowcount > 0

    async def hand_back(self) -> None:
        """Queues again what this process was working on when it was told to stop."""
        async with self._owner_database.transaction(None) as connection:
            await self._leases.hand_back(connection)

    async def attach_entry(self, job: Job, entry_id: str) -> None:
        """Names the attempt that is about to be held. Raises Superseded."""
        await self._change(job, "entry_id = %(entry_id)s, parse_id = '', page_count = 0", entry_id=entry_id)

    async def attach_parse(self, job: Job, parse_id: str) -> None:
        """Names what the engine has begun for the attempt. Raises Superseded."""
        await self._change(job, "parse_id = %(parse_id)s", parse_id=parse_id)

    async def result_stored(self, job: Job, reading: Reading) -> None:
        """Says that the artifact is there, so that a cancel comes too late. Raises Superseded."""
        await self._change(
            job,
            "page_count = %(pages)s, reading = %(reading)s",
            pages=reading.pages,
            reading=Jsonb(asdict(reading)),
        )

    async def succeed(self, job: Job, reading: Reading) -> Job:
        """Raises Superseded."""
        return await self._change(
            job,
            "state = 'SUCCEEDED', ended_at = clock_timestamp(), leased_until = null, "
            "result_key = %(key)s, page_count = %(pages)s",
            key=job.artifact_key,
            pages=reading.pages,
        )

    async def fail(self, job: Job, reason: str, message: str) -> Job:
        """Raises Superseded."""
        return await self._change(
            job,
            "state = 'FAILED', ended_at = clock_timestamp(), leased_until = null, "
            "reason = %(reason)s, message = %(message)s",
            reason=reason,
            message=message,
        )

    async def queue_again(self, job: Job) -> Job:
        """It needs a place after all. Raises Superseded."""
        return await self._change(job, "state = 'QUEUED', light = false, leased_until = null")

    async def cleared(self, job: Job) -> Job:
        """Nothing is left of a cancelled job's attempt. Raises Superseded."""
        return await self._change(job, "entry_id = null, leased_until = null")

    async def cancel(self, tenant: str, target: uuid.UUID, *, of_run: bool) -> Sequence[Job]:
        """Cancels a job, or a run's; answers all open ones, also those that it is too late for."""
        statement = _CANCEL_OF_RUN if of_run else _CANCEL
        return await self._rows(tenant, statement, target=target)

    async def discard(self, tenant: str, source_sha256: str) -> Sequence[Job]:
        """Takes a content's jobs out of use, and a lease on them; answers them as they were.

        Raises:
            Precondition: JOB_UNFINISHED.
        """
        values = {"source_sha256": source_sha256, **self._leases.values}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_LOCK_CONTENT, values)).fetchall()
            jobs = [_job(row) for row in rows]
            if not all(job.state.final for job in jobs):
                raise Precondition(
                    "JOB_UNFINISHED", "A parse of this content is under way. Cancel it, or wait for its end."
                )
            await connection.execute(_DISCARD, values)
        return jobs

    async def forget(self, tenant: str, jobs: Sequence[Job]) -> None:
        """Deletes rows."""
        await self._rows(tenant, _FORGET, job_ids=[job.job_id for job in jobs])

    async def _rows(self, tenant: str, statement: str, **values: object) -> list[Job]:
        """Runs one statement; the jobs that it returns, where it returns any."""
        async with self._database.transaction(tenant) as connection:
            cursor = await connection.execute(statement, values)
            return [_job(row) for row in await cursor.fetchall()] if cursor.description else []

    async def _change(self, job: Job, assignments: str, **values: object) -> Job:
        """Changes a job that this process has, in the state that it was claimed in."""
        statement = (
            f"update waybill_parser.jobs set {assignments} "  # noqa: S608  # texts of this module alone
            f"where job_id = %(job_id)s and state = %(state)s and {Leases.fence} returning *"
        )
        named = {"job_id": job.job_id, "state": job.state.value, **self._leases.values}
        rows = await self._rows(job.caller.tenant, statement, **named, **values)
        if not rows:
            raise Superseded(str(job.job_id))
        return rows[0]


_INSERT = """
insert into waybill_parser.jobs (job_id, tenant, source_key, source_sha256, filename, tier, backend,
    revision, cost_kind, correlation_id, run_id, step_span_id, traceparent, light)
values (%(job_id)s, %(tenant)s, %(source_key)s, %(source_sha256)s, %(filename)s, %(tier)s, %(backend)s,
    %(revision)s, %(cost_kind)s, %(correlation_id)s, %(run_id)s, %(step_span_id)s, %(traceparent)s, %(light)s)
on conflict (tenant, source_sha256, tier, revision) where state not in ('FAILED', 'CANCELLED') do nothing
"""
_SELECT_LIVING = """
select * from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and tier = %(tier)s and revision = %(revision)s
    and state not in ('FAILED', 'CANCELLED')
"""
_SELECT = "select * from waybill_parser.jobs where job_id = %(job_id)s"
_OPEN = """(state in ('QUEUED', 'RUNNING')
    or (state = 'CANCELLED' and (entry_id is not null or leased_until is not null)))"""
_ONE = f"""
select job_id from waybill_parser.jobs
where job_id = %(job_id)s and {_OPEN} and ({Leases.free} or {Leases.fence}) for update
"""  # noqa: S608  # constants only, as in the four below
_SUSPECT = f"(state <> 'CANCELLED' and deaths + {Leases.ran_out}::integer = {MOST_DEATHS - 1})"
# What is left of a cancelled job is cleared without a place.
_NEXT = f"""
select job_id from waybill_parser.jobs
where {_OPEN} and {Leases.free} and job_id <> all(%(beside)s::uuid[])
    and (cardinality(%(beside)s::uuid[]) = 0 or not {_SUSPECT})
    and case when light or state = 'CANCELLED' then %(light)s else %(heavy)s end
order by {_SUSPECT} desc, array_position(%(served)s::text[], tenant) nulls first, created_at
limit 1 for update skip locked
"""  # noqa: S608 - constants
_SUSPECT_WAITS = f"""
select from waybill_parser.jobs where {_OPEN} and {Leases.free} and {_SUSPECT} limit 1
"""
# With pages the result is stored and about to be paid: such a job goes on to its end.
_CANCEL_WHERE = f"""
update waybill_parser.jobs set
    state = case when page_count = 0 then 'CANCELLED' else state end,
    ended_at = case when page_count = 0 then coalesce(ended_at, clock_timestamp()) else ended_at end
where {_OPEN}"""  # noqa: S608 - constants
_CANCEL = f"{_CANCEL_WHERE} and job_id = %(target)s returning *"
_CANCEL_OF_RUN = f"{_CANCEL_WHERE} and run_id = %(target)s::text returning *"
_LOCK_CONTENT = "select * from waybill_parser.jobs where source_sha256 = %(source_sha256)s for update"
# CANCELLED with its entry: should this process die now, another one clears what is left.
_DISCARD = """
update waybill_parser.jobs set state = 'CANCELLED', result_key = '',
    owner = %(owner)s, leased_until = now() + %(lease)s * interval '1 second'
where source_sha256 = %(source_sha256)s and state = 'SUCCEEDED'
"""
_FORGET = "delete from waybill_parser.jobs where job_id = any(%(job_ids)s)"


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
        revision=row["revision"],
        light=row["light"],
        backend=row["backend"],
        cost_kind=cast("CostKind", CostKind.Value(f"COST_KIND_{row['cost_kind']}")),
        job_id=row["job_id"],
        state=JobState(row["state"]),
        entry_id=str(row["entry_id"] or ""),
        parse_id=row["parse_id"],
        result_key=row["result_key"],
        page_count=row["page_count"],
        reading=Reading.of_row(row["reading"]),
        reason=row["reason"],
        message=row["message"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        deaths=row["deaths"],
        leased=row["leased_until"] is not None,
    )
