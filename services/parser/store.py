"""Parse jobs as rows of waybill_parser.jobs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from psycopg.types.json import Jsonb

from services.parser.jobs import Job, JobState, NewJob, Superseded
from services.parser.pages import Reading
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.errors import NotFound, Precondition, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database


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
            "revision": new.revision,
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
        rows = await self._rows(tenant, _SELECT, job_id=job_id)
        if not rows:
            raise NotFound(
                "JOB_NOT_FOUND", f"There is no parse job {job_id}. Create one with CreateParseJob."
            )
        return rows[0]

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        rows = await self._rows(tenant, _CLAIM, job_id=job_id, owner=self._owner)
        return rows[0] if rows else None

    async def attach_entry(self, job: Job, entry_id: str) -> None:
        await self._change(job, "entry_id = %(entry_id)s, page_count = 0", entry_id=entry_id)

    async def result_stored(self, job: Job, reading: Reading) -> None:
        await self._change(
            job,
            "page_count = %(pages)s, reading = %(reading)s",
            pages=reading.pages,
            reading=Jsonb(asdict(reading)),
        )

    async def succeed(self, job: Job, reading: Reading) -> None:
        await self._change(
            job,
            "state = 'SUCCEEDED', ended_at = clock_timestamp(), result_key = %(key)s, page_count = %(pages)s",
            key=job.artifact_key,
            pages=reading.pages,
        )

    async def fail(self, job: Job, reason: str, message: str) -> None:
        await self._change(
            job,
            "state = 'FAILED', ended_at = clock_timestamp(), reason = %(reason)s, message = %(message)s",
            reason=reason,
            message=message,
        )

    async def cancel(self, tenant: str, target: uuid.UUID, *, of_run: bool) -> Sequence[Job]:
        statement = _CANCEL_OF_RUN if of_run else _CANCEL
        return await self._rows(tenant, statement, target=target)

    async def cleared(self, job: Job) -> None:
        await self._rows(job.caller.tenant, _CLEARED, job_id=job.job_id)

    async def discard(self, tenant: str, source_sha256: str) -> Sequence[Job]:
        values = {"source_sha256": source_sha256}
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
        await self._rows(tenant, _FORGET, job_ids=[job.job_id for job in jobs])

    async def recover(self) -> Sequence[Job]:
        async with self._owner_database.transaction(None) as connection:
            await connection.execute(_COUNT_DEATHS, {"owner": self._owner})
            rows = await (await connection.execute(_SELECT_OPEN)).fetchall()
        return [_job(row) for row in rows]

    async def hand_back(self) -> None:
        async with self._owner_database.transaction(None) as connection:
            await connection.execute(_HAND_BACK, {"owner": self._owner})

    async def _rows(self, tenant: str, statement: str, **values: object) -> list[Job]:
        """Runs one statement; the jobs that it returns, where it returns any."""
        async with self._database.transaction(tenant) as connection:
            cursor = await connection.execute(statement, values)
            return [_job(row) for row in await cursor.fetchall()] if cursor.description else []

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
    revision, cost_kind, correlation_id, run_id, step_span_id, traceparent)
values (%(job_id)s, %(tenant)s, %(source_key)s, %(source_sha256)s, %(filename)s, %(tier)s, %(backend)s,
    %(revision)s, %(cost_kind)s, %(correlation_id)s, %(run_id)s, %(step_span_id)s, %(traceparent)s)
on conflict (tenant, source_sha256, tier, revision) where state not in ('FAILED', 'CANCELLED') do nothing
"""
_SELECT_LIVING = """
select * from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and tier = %(tier)s and revision = %(revision)s
    and state not in ('FAILED', 'CANCELLED')
"""
_SELECT = "select * from waybill_parser.jobs where job_id = %(job_id)s"
# Who takes a RUNNING job from another process takes it from a dead one.
_CLAIM = """
update waybill_parser.jobs set state = 'RUNNING', owner = %(owner)s,
    deaths = deaths + (state = 'RUNNING' and owner <> %(owner)s)::integer
where job_id = %(job_id)s and state in ('QUEUED', 'RUNNING') returning *
"""
_OPEN = "(state in ('QUEUED', 'RUNNING') or (state = 'CANCELLED' and entry_id is not null))"
# With pages the result is stored and about to be paid: such a job goes on to its end.
_CANCEL_WHERE = f"""
update waybill_parser.jobs set
    state = case when page_count = 0 then 'CANCELLED' else state end,
    ended_at = case when page_count = 0 then coalesce(ended_at, clock_timestamp()) else ended_at end
where {_OPEN}"""  # noqa: S608  # constants only
_CANCEL = f"{_CANCEL_WHERE} and job_id = %(target)s returning *"
_CANCEL_OF_RUN = f"{_CANCEL_WHERE} and run_id = %(target)s::text returning *"
_CLEARED = "update waybill_parser.jobs set entry_id = null where job_id = %(job_id)s and state = 'CANCELLED'"
_LOCK_CONTENT = "select * from waybill_parser.jobs where source_sha256 = %(source_sha256)s for update"
# CANCELLED with its entry: should this process die now, the next one clears what is left.
_DISCARD = """
update waybill_parser.jobs set state = 'CANCELLED', result_key = ''
where source_sha256 = %(source_sha256)s and state = 'SUCCEEDED'
"""
_FORGET = "delete from waybill_parser.jobs where job_id = any(%(job_ids)s)"
_COUNT_DEATHS = """
update waybill_parser.jobs set state = 'QUEUED', owner = '', deaths = deaths + 1
where state = 'RUNNING' and owner <> %(owner)s
"""
_SELECT_OPEN = f"select * from waybill_parser.jobs where {_OPEN} order by created_at"  # noqa: S608
_HAND_BACK = """
update waybill_parser.jobs set state = 'QUEUED', owner = '' where state = 'RUNNING' and owner = %(owner)s
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
        revision=row["revision"],
        backend=row["backend"],
        cost_kind=cast("CostKind", CostKind.Value(f"COST_KIND_{row['cost_kind']}")),
        job_id=row["job_id"],
        state=JobState(row["state"]),
        entry_id=str(row["entry_id"] or ""),
        result_key=row["result_key"],
        page_count=row["page_count"],
        reading=Reading.of_row(row["reading"]),
        reason=row["reason"],
        message=row["message"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        deaths=row["deaths"],
    )
