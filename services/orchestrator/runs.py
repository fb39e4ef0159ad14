"""Runs and their steps, as rows; who watches a run is told when its row changes."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Json

from services.orchestrator import trace_ids
from waybill.runtime.errors import Conflict, NotFound
from waybill.runtime.postgres import Connection, Database

Row = dict[str, Any]
WORKFLOW = "ingest"
QUEUE = "ingest"
FINAL_STATES = ("READY", "READY_DEGRADED", "UNCHANGED", "FAILED", "EXPIRED", "CANCELLED")
# A change made by another replica is seen after this at the latest.
RECHECK_SECONDS = 2.0

INSERT = """
insert into waybill_runs.runs (
    run_id, tenant, correlation_id, request_id, caller_traceparent, collection, document_key, filename,
    source_sha256, size_bytes, source_key, state, step, document_id, chunks, created_at, ended_at)
values (
    %(run_id)s, %(tenant)s, %(correlation_id)s, %(request_id)s, %(caller_traceparent)s, %(collection)s,
    %(document_key)s, %(filename)s, %(source_sha256)s, %(size_bytes)s, %(source_key)s, %(state)s, %(step)s,
    %(document_id)s, %(chunks)s, %(created_at)s, %(ended_at)s)
"""

# The engine's own queue entry, in the transaction of the run's row.
ENQUEUE = """
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s, queue_name => %(queue)s, positional_args => %(arguments)s::json[],
    workflow_id => %(workflow_id)s, app_version => %(version)s, queue_partition_key => %(tenant)s)
"""

# A step that is begun again keeps its first start: the span covers all that it took.
BEGIN_STEP = """
insert into waybill_runs.steps (tenant, run_id, span_id, name, status, started_at)
values (%(tenant)s, %(run_id)s, %(span_id)s, %(name)s, 'UNSET', clock_timestamp())
on conflict (run_id, span_id) do update set starts = waybill_runs.steps.starts + 1, status = 'UNSET',
    ended_at = null
"""

END_STEP = """
update waybill_runs.steps set status = %(status)s, ended_at = clock_timestamp()
where run_id = %(run_id)s and span_id = %(span_id)s
"""

# Only columns that are named change, and a final run changes no more.
CHANGE = """
update waybill_runs.runs set
    state = coalesce(%(state)s::waybill_runs.run_state, state), step = coalesce(%(step)s, step),
    reason = coalesce(%(reason)s, reason), message = coalesce(%(message)s, message),
    document_id = coalesce(%(document_id)s, document_id),
    version_id = coalesce(%(version_id)s, version_id), pages = coalesce(%(pages)s, pages),
    chunks = coalesce(%(chunks)s, chunks), starts = starts + %(starts)s,
    ended_at = case when %(state)s::text = any(%(final)s) then clock_timestamp() end,
    embedded_chunks = greatest(embedded_chunks, coalesce(%(embedded_chunks)s, 0)),
    revision = revision + 1
where run_id = %(run_id)s and ended_at is null
returning *
"""

LIST = """
select * from waybill_runs.runs
where (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
    and (%(before)s::uuid is null or run_id < %(before)s)
order by run_id desc limit %(limit)s
"""


@dataclass(frozen=True)
class RunRef:
    """Names a run and whose it is."""

    tenant: str
    run_id: str


@dataclass(frozen=True)
class NewRun:
    """A run about to be written; see the columns of waybill_runs.runs."""

    run_id: str
    tenant: str
    correlation_id: str
    request_id: str | None
    caller_traceparent: str
    collection: str
    document_key: str
    filename: str
    source_sha256: str
    size_bytes: int
    source_key: str
    created_at: datetime.datetime
    document_id: str = ""
    chunks: int = 0


@dataclass
class _Watch:
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0


class Runs:
    """The runs of every tenant, each seen through its tenant's transactions."""

    def __init__(self, database: Database, application_version: str) -> None:
        self._database = database
        self._version = application_version
        self._watches: dict[str, _Watch] = defaultdict(_Watch)

    async def accept(self, run: NewRun, stored_at: datetime.datetime) -> Row:
        """Writes run, the steps that are behind it, and the queue entry, in one transaction.

        Raises:
            Conflict: REQUEST_ID_REUSED.
        """
        async with self._writing(run) as connection:
            row = await _insert(connection, run, "QUEUED", "store", None)
            await _past_step(connection, run, "receive", run.created_at, stored_at)
            await _past_step(connection, run, "store", stored_at, None)
            values = {
                "workflow": WORKFLOW,
                "queue": QUEUE,
                "arguments": [Json(run.tenant), Json(run.run_id)],
                "workflow_id": f"{run.run_id}.1",
                "version": self._version,
                "tenant": run.tenant,
            }
            await connection.execute(ENQUEUE, values)
        return row

    async def record_unchanged(self, run: NewRun) -> Row:
        """Writes a run that has nothing to do."""
        async with self._writing(run) as connection:
            ended_at = datetime.datetime.now(datetime.UTC)
            row = await _insert(connection, run, "UNCHANGED", "receive", ended_at)
            await _past_step(connection, run, "receive", run.created_at, ended_at)
        return row

    async def find(self, ref: RunRef) -> Row:
        """Raises NotFound: RUN_NOT_FOUND."""
        async with self._database.transaction(ref.tenant) as connection:
            return await _find(connection, ref.run_id)

    async def find_request(self, tenant: str, request_id: str, sha256: str) -> Row | None:
        """The run that a repeated request made.

        Raises:
            Conflict: REQUEST_ID_REUSED, the id came with other content.
        """
        async with self._database.transaction(tenant) as connection:
            query = "select * from waybill_runs.runs where request_id = %s"
            row = await (await connection.execute(query, [request_id])).fetchone()
        if row is not None and row["source_sha256"] != sha256:
            raise _reused()
        return row

    async def page(
        self, tenant: str, limit: int, before: str | None, correlation_id: str | None
    ) -> list[Row]:
        """Runs, newest first, older than run `before`."""
        values = {"limit": limit, "before": before, "correlation_id": correlation_id}
        async with self._database.transaction(tenant) as connection:
            return await (await connection.execute(LIST, values)).fetchall()

    async def change(self, ref: RunRef, *, starts: int = 0, **columns: Any) -> Row:
        """Changes columns of a run that is not final, and tells who watches it."""
        names = ("state", "step", "reason", "message", "document_id", "version_id", "pages", "chunks",
                 "embedded_chunks")  # fmt: skip
        values = {name: columns.pop(name, None) for name in names}
        if columns:
            raise TypeError(f"no such column: {', '.join(columns)}")
        values |= {"run_id": ref.run_id, "starts": starts, "final": list(FINAL_STATES)}
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(CHANGE, values)).fetchone()
            row = row or await _find(connection, ref.run_id)
        self._tell(ref.run_id)
        return row

    async def begin_step(self, ref: RunRef, name: str) -> None:
        """Notes that a step is under way, and makes it the run's step."""
        values = {
            "tenant": ref.tenant,
            "run_id": ref.run_id,
            "span_id": trace_ids.step_span_id(ref.run_id, name),
            "name": name,
        }
        async with self._database.transaction(ref.tenant) as connection:
            await connection.execute(BEGIN_STEP, values)
            await connection.execute(
                "update waybill_runs.runs set step = %s, revision = revision + 1 where run_id = %s"
                " and ended_at is null and step <> %s",
                [name.split()[0], ref.run_id, name.split()[0]],
            )
        self._tell(ref.run_id)

    async def end_step(self, ref: RunRef, name: str, status: str) -> None:
        """Notes how a step ended: OK or ERROR."""
        span_id = trace_ids.step_span_id(ref.run_id, name)
        async with self._database.transaction(ref.tenant) as connection:
            await connection.execute(END_STEP, {"run_id": ref.run_id, "span_id": span_id, "status": status})

    async def steps(self, tenant: str, run_ids: Sequence[str]) -> list[Row]:
        """The steps of runs, by start."""
        query = "select * from waybill_runs.steps where run_id = any(%s::uuid[]) order by started_at"
        async with self._database.transaction(tenant) as connection:
            return await (await connection.execute(query, [list(run_ids)])).fetchall()

    async def watch(self, ref: RunRef, seen_revision: int) -> AsyncIterator[Row]:
        """A run's row, each time its revision is above the one seen, until it is final."""
        watch = self._watches[ref.run_id]
        watch.watchers += 1
        try:
            while True:
                changed = watch.changed
                row = await self.find(ref)
                if row["revision"] > seen_revision:
                    seen_revision = row["revision"]
                    yield row
                if row["state"] in FINAL_STATES:
                    return
                await _set_within(changed, RECHECK_SECONDS)
        finally:
            watch.watchers -= 1
            if watch.watchers == 0:
                self._watches.pop(ref.run_id, None)

    def _tell(self, run_id: str) -> None:
        watch = self._watches.get(run_id)
        if watch is not None:
            watch.changed.set()
            watch.changed = asyncio.Event()

    @asynccontextmanager
    async def _writing(self, run: NewRun) -> AsyncIterator[Connection]:
        async with self._database.transaction(run.tenant) as connection:
            yield connection


async def _insert(
    connection: Connection, run: NewRun, state: str, step: str, ended_at: datetime.datetime | None
) -> Row:
    values = {**vars(run), "state": state, "step": step, "ended_at": ended_at}
    cursor = await connection.execute(INSERT + " on conflict do nothing returning *", values)
    row = await cursor.fetchone()
    if row is None:
        raise _reused()
    return row


async def _past_step(
    connection: Connection,
    run: NewRun,
    name: str,
    started_at: datetime.datetime,
    ended_at: datetime.datetime | None,
) -> None:
    await connection.execute(
        "insert into waybill_runs.steps (tenant, run_id, span_id, name, status, started_at, ended_at)"
        " values (%s, %s, %s, %s, 'OK', %s, coalesce(%s, clock_timestamp()))",
        [run.tenant, run.run_id, trace_ids.step_span_id(run.run_id, name), name, started_at, ended_at],
    )


async def _find(connection: Connection, run_id: str) -> Row:
    query = "select * from waybill_runs.runs where run_id = %s"
    row = await (await connection.execute(query, [run_id])).fetchone()
    if row is None:
        raise NotFound("RUN_NOT_FOUND", "No run has this id. `waybill runs` lists those there are.")
    return row


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _reused() -> Conflict:
    return Conflict("REQUEST_ID_REUSED", "This request_id was used before; take a new one for other content.")


def new_run_id(now_ms: int, random: bytes) -> str:
    """A UUIDv7 (RFC 9562): sorts by time.

    Args:
        now_ms: Unix time in milliseconds.
        random: 10 random bytes.
    """
    value = now_ms.to_bytes(6, "big") + random[:10]
    bits = int.from_bytes(value, "big") & ~(0xF << 76) & ~(0x3 << 62)
    return str(uuid.UUID(int=bits | 0x7 << 76 | 0x2 << 62))
