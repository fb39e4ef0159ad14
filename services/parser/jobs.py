"""All parse jobs: each change that one may see, as rows of waybill_parser.jobs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from psycopg.types.json import Jsonb

from services.parser import job_statements as sql
from services.parser.job import CALLER, Job, Lane, NewJob, job_of
from services.parser.pages import Reading
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.errors import NotFound, Precondition, ServiceError, Unavailable
from waybill.runtime.leases import LEASE_SECONDS, Leases
from waybill.runtime.postgres import Database
from waybill.vendors.choosing import refused_by_vendor

# Between two looks at a parse, whatever its engine says.
LEAST_SECONDS = 1.0


class Superseded(Exception):
    """The job was cancelled, or another process has taken it over: this one must let it go."""


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
            given_up=["state = case when state = 'RUNNING' and look_at is null then 'QUEUED' else state end"],
        )

    async def create(self, new: NewJob) -> Job:
        """A new job, or the tenant's for the same content, tier and revision: living, or with a kept parse.

        The latter goes on as if it had been interrupted.
        """
        values = {
            "job_id": uuid.uuid4(),
            **{name: getattr(new.caller, name) for name in CALLER},
            "traceparent": new.traceparent,
            "source_key": new.source_key,
            "source_sha256": new.source_sha256,
            "filename": new.filename,
            "tier": new.tier,
            "backend": new.backend,
            "cost_kind": _kind_name(new.cost_kind),
            "revision": new.revision,
            "size_bytes": new.size_bytes,
            "light": new.light,
            "hybrid": new.hybrid,
        }
        for _ in range(3):
            async with self._database.transaction(new.caller.tenant) as connection:
                await connection.execute(sql.TAKE_UP, values)
                await connection.execute(sql.INSERT, values)
                # A statement of its own: only then does it see what another transaction has just inserted.
                row = await (await connection.execute(sql.SELECT_LIVING, values)).fetchone()
            if row is not None:
                return job_of(row)
        # Each time the living one failed between the two statements.
        raise Unavailable("JOB_KEEPS_FAILING", "Jobs for this content end as fast as they begin. Repeat.")

    async def get(self, tenant: str, job_id: uuid.UUID) -> Job:
        """Raises NotFound JOB_NOT_FOUND."""
        rows = await self._rows(tenant, sql.SELECT, job_id=job_id)
        if not rows:
            raise NotFound(
                "JOB_NOT_FOUND", f"There is no parse job {job_id}. Create one with CreateParseJob."
            )
        return rows[0]

    async def bought(self, tenant: str, run_id: str, source_sha256: str, backend: str) -> Job | None:
        """What a run has begun to buy of a content at a backend, if it has not failed."""
        named = {"run_id": run_id, "source_sha256": source_sha256, "backend": backend}
        return next(iter(await self._rows(tenant, sql.SELECT_BOUGHT, **named)), None)

    async def living(self, tenant: str, source_sha256: str) -> Sequence[Job]:
        """The tenant's jobs for a content that `create` would answer, of every tier and revision."""
        return await self._rows(tenant, sql.SELECT_ALL_LIVING, source_sha256=source_sha256)

    async def claim(self, tenant: str, job_id: uuid.UUID) -> Job | None:
        """Takes an open job; None when another process has it, or nothing is left to do."""
        async with self._database.transaction(tenant) as connection:
            rows = await self._leases.claim(connection, sql.ONE, job_id=job_id)
        return job_of(rows[0]) if rows else None

    async def claim_next(
        self, *, lanes: Collection[Lane], beside: Collection[uuid.UUID], served: Sequence[str]
    ) -> Job | None:
        """Takes the job of any tenant whose turn it is; None when there is none.

        Args:
            lanes: Where there is room.
            beside: What this process works on; a suspect is taken beside nothing.
            served: Tenants that had a turn, the last one last.
        """
        values = {
            "lanes": [lane.value for lane in lanes],
            "beside": list(beside),
            "served": list(served),
        }
        async with self._owner_database.transaction(None) as connection:
            rows = await self._leases.claim(connection, sql.NEXT, **values)
        return job_of(rows[0]) if rows else None

    async def keep(self, job_ids: Collection[uuid.UUID]) -> tuple[Mapping[uuid.UUID, Job], bool]:
        """Renews what this process works on, and hands back whatever else it has.

        Returns:
            The jobs that it still has, and whether a suspect waits for its turn.
        """
        async with self._owner_database.transaction(None) as connection:
            rows = await self._leases.renew(connection, job_ids)
            await self._leases.hand_back(connection, job_ids)
            waits = await connection.execute(sql.SUSPECT_WAITS, self._leases.values)
            return {row["job_id"]: job_of(row) for row in rows}, waits.rowcount > 0

    async def hand_back(self) -> None:
        """Queues again what this process was working on when it was told to stop."""
        async with self._owner_database.transaction(None) as connection:
            await self._leases.hand_back(connection)

    async def attach_entry(self, job: Job, entry_id: str, pages: int) -> Job:
        """Names the attempt that is about to be held, and its pages. Raises Superseded."""
        return await self._change(
            job,
            "entry_id = %(entry_id)s, expected_pages = %(pages)s, parse_id = '', page_count = 0, "
            "pages_done = 0, look_at = null, ends_by = null",
            entry_id=entry_id,
            pages=pages,
        )

    async def attach_parse(self, job: Job, parse_id: str, seconds: float) -> Job:
        """Names what the engine has begun for the attempt, and how long it may take. Raises Superseded."""
        ends_by = "now() + %(seconds)s * interval '1 second'"
        return await self._change(
            job,
            f"parse_id = %(parse_id)s, ends_by = {ends_by}, in_vain = 0",
            parse_id=parse_id,
            seconds=seconds,
        )

    async def set_aside(
        self,
        job: Job,
        seconds: float,
        pages_done: int,
        *,
        put_off_by: ServiceError | None = None,
        in_vain: int = 0,
    ) -> Job:
        """Lets go of a job for a second at least. Raises Superseded.

        Args:
            job: Its parse goes on at the engine, or a vendor puts it off.
            seconds: Until it is looked at again.
            pages_done: See Job.
            put_off_by: What that vendor said.
            in_vain: See Job.
        """
        off = put_off_by
        return await self._change(
            job,
            "look_at = now() + %(seconds)s * interval '1 second', pages_done = %(pages_done)s, "
            "leased_until = null, in_vain = %(in_vain)s, failed_vendor = %(vendor)s, reason = %(reason)s, "
            "message = %(message)s",
            seconds=max(seconds, LEAST_SECONDS),
            pages_done=pages_done,
            in_vain=in_vain,
            vendor=refused_by_vendor(off) if off else "",
            reason=off.reason if off else "",
            message=off.message if off else "",
        )

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
            "state = 'SUCCEEDED', ended_at = clock_timestamp(), leased_until = null, look_at = null, "
            "failed_vendor = '', reason = '', message = '', "
            f"result_key = %(key)s, page_count = %(pages)s, {sql.CHARGED_LATER}",
            key=job.artifact_key,
            pages=reading.pages,
            in_doubt=False,
        )

    async def fail(
        self,
        job: Job,
        reason: str,
        message: str,
        *,
        in_doubt: bool = False,
        blocked_on: str = "",
        failed_vendor: str = "",
        kept: bool = False,
    ) -> Job:
        """Ends a job without a result. Raises Superseded.

        Args:
            job: See Job.
            reason: Stable.
            message: A sentence that says what to do.
            in_doubt: Whether nobody knows what the engine has of its attempt.
            blocked_on: The budget that refused it, as semconv.BLOCKED_ON.
            failed_vendor: The vendor that did not serve.
            kept: See Job; only where the engine has a parse of its attempt, or may have one.
        """
        return await self._change(
            job,
            "state = 'FAILED', ended_at = clock_timestamp(), leased_until = null, look_at = null, "
            "reason = %(reason)s, message = %(message)s, blocked_on = %(blocked_on)s, "
            f"failed_vendor = %(failed_vendor)s, {sql.KEPT}, {sql.CHARGED_LATER}",
            reason=reason,
            message=message,
            in_doubt=in_doubt,
            blocked_on=blocked_on,
            failed_vendor=failed_vendor,
            kept=kept,
        )

    async def queue_again(self, job: Job) -> Job:
        """It needs a place after all. Raises Superseded."""
        return await self._change(job, "state = 'QUEUED', light = false, leased_until = null")

    async def cleared(self, job: Job) -> Job:
        """Nothing is left of a cancelled job's attempt. Raises Superseded."""
        return await self._change(
            job, f"entry_id = null, leased_until = null, {sql.CHARGED_LATER}", in_doubt=False
        )

    async def hasten(self, entry_id: uuid.UUID, parse_id: str) -> bool:
        """Brings the look at a parse forward, of any tenant; False: the entry's parse is not this one."""
        async with self._owner_database.transaction(None) as connection:
            values = {"entry_id": entry_id, "parse_id": parse_id}
            return (await connection.execute(sql.HASTEN, values)).rowcount > 0

    async def hasten_all(self, vendor: str) -> None:
        """Makes due what a vendor has put off, of every tenant."""
        await self._owner_database.execute(None, sql.HASTEN_ALL, {"vendor": vendor})

    async def charged_late(self) -> Job | None:
        """An ended job of any tenant whose engine is to be asked for its charge now, and later again."""
        row = await self._owner_database.row(None, sql.CHARGE_DUE)
        return None if row is None else job_of(row)

    async def charge_known(self, job: Job) -> None:
        """Nothing more is to be asked of the engine."""
        await self._rows(job.caller.tenant, sql.CHARGE_KNOWN, job_id=job.job_id)

    async def has_attempt(self, tenant: str, source_sha256: str, entry_id: str) -> bool:
        """Whether a job for this content goes on with an attempt, or asks for its charge."""
        values = {"source_sha256": source_sha256, "entry_id": entry_id}
        return await self._database.execute(tenant, sql.HAS_ATTEMPT, values) > 0

    async def cancel(self, tenant: str, target: uuid.UUID, *, of_run: bool) -> Sequence[Job]:
        """Cancels a job, or a run's; answers all open ones, also those that it is too late for."""
        statement = sql.CANCEL_OF_RUN if of_run else sql.CANCEL
        return await self._rows(tenant, statement, target=target)

    async def discard(self, tenant: str, source_sha256: str) -> Sequence[Job]:
        """Takes a content's jobs out of use, and a lease on them; answers them as they were.

        Raises:
            Precondition: JOB_UNFINISHED.
        """
        values = {"source_sha256": source_sha256, **self._leases.values}
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(sql.LOCK_CONTENT, values)).fetchall()
            jobs = [job_of(row) for row in rows]
            if not all(job.state.final for job in jobs):
                raise Precondition(
                    "JOB_UNFINISHED", "A parse of this content is under way. Cancel it, or wait for its end."
                )
            await connection.execute(sql.DISCARD, values)
        return jobs

    async def forget(self, tenant: str, jobs: Sequence[Job]) -> None:
        """Deletes rows."""
        await self._rows(tenant, sql.FORGET, job_ids=[job.job_id for job in jobs])

    async def _rows(self, tenant: str, statement: str, **values: object) -> list[Job]:
        """Runs one statement; the jobs that it returns, where it returns any."""
        async with self._database.transaction(tenant) as connection:
            cursor = await connection.execute(statement, values)
            return [job_of(row) for row in await cursor.fetchall()] if cursor.description else []

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


def _kind_name(kind: CostKind) -> str:
    return CostKind.Name(kind).removeprefix("COST_KIND_")
