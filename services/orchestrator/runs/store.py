"""Runs as rows: accepted, changed, taken up again."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from psycopg.types.json import Jsonb

from services.orchestrator.degrading import HEALED_BY, check_not_ended, still_lacking
from services.orchestrator.runs.changes import Begun, Ended, write
from services.orchestrator.runs.deleting import LOCK_SOURCE
from services.orchestrator.runs.outcomes import RunWaits, StepFailed
from services.orchestrator.runs.queueing import enqueue
from services.orchestrator.runs.rows import (
    FINAL_STATES,
    RETRIABLE_STATES,
    NewRun,
    Row,
    RunRef,
    run_not_found,
)
from services.orchestrator.runs.step_log import cut_off, note_past
from services.orchestrator.runs.waits import HEAL, SERVICE, VENDOR, in_vain, put
from services.orchestrator.runs.watches import Watches
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Conflict, Precondition, Quota, ServiceError
from waybill.runtime.postgres import Connection, Database
from waybill.vendors.choosing import vendor_of
from waybill.vendors.patience import MOST_IN_VAIN, again_after, keeps_refusing

QUEUE_FULL_SECONDS = 2.0
# Tries of a step, ten minutes each, that services of ours refuse though they answer.
MOST_REFUSED = 6

INSERT = """
insert into waybill_runs.runs (
    run_id, tenant, correlation_id, request_id, caller_traceparent, collection, document_key, filename,
    source_sha256, size_bytes, source_key, state, step, document_id, version_id, chunks, created_at, ended_at,
    complete_by, reason, message, pages, reading, metadata, origin, subject, credential_id)
values (
    %(run_id)s, %(tenant)s, %(correlation_id)s, %(request_id)s, %(caller_traceparent)s, %(collection)s,
    %(document_key)s, %(filename)s, %(source_sha256)s, %(size_bytes)s, %(source_key)s, %(state)s, %(step)s,
    %(document_id)s, %(version_id)s, %(chunks)s, %(created_at)s, %(ended_at)s, %(complete_by)s,
    %(reason)s, %(message)s, %(pages)s, %(reading)s, %(metadata)s, %(origin)s, %(subject)s, %(credential_id)s)
on conflict do nothing
returning *
"""

# The newest run of a document's present content, where that came to less than the whole.
LACKING = """
select state, reason, message, pages, reading from (
    select * from waybill_runs.runs
    where document_id = %(document_id)s and source_sha256 = %(source_sha256)s
        and version_id in (%(version_id)s, '')
        and state in ('READY', 'READY_DEGRADED')
    order by run_id desc limit 1
) newest
where state = 'READY_DEGRADED'
"""

# Back to the queue, as the next try.
RETRY = """
update waybill_runs.runs set state = 'QUEUED', reason = '', message = '', ended_at = null, starts = 0,
    alone_starts = 0, tries = tries + 1, wakes = 0, revision = revision + 1,
    complete_by = coalesce(%(complete_by)s, complete_by)
where run_id = %(run_id)s and state = any(%(from)s::waybill_runs.run_state[])
returning *
"""

# Takes up again a run whose document is published, but lacks what a vendor could not do.
TAKE_UP_DEGRADED = """
update waybill_runs.runs set state = 'QUEUED', reason = '', message = '', ended_at = null, starts = 0,
    alone_starts = 0, tries = tries + 1, wakes = 0, revision = revision + 1, complete_by = null,
    healing = reason
where run_id = %(run_id)s and state = 'READY_DEGRADED' and reason = any(%(reasons)s)
returning *
"""

# It was degraded, and nothing is left to heal.
SUPERSEDE = """
update waybill_runs.runs set reason = %(reason)s, message = %(message)s, revision = revision + 1
where run_id = %(run_id)s and state = 'READY_DEGRADED' and revision = %(revision)s
"""

# The pages stay, unless they are what is healed.
FORGET_STEPS = """
update waybill_runs.steps set valid_until = null
where run_id = %(run_id)s and (name <> 'parse' or %(healing)s = 'PARSED_LOCALLY')
"""

# A version is kept as long as its run was to take: with a later complete_by, `chunk` says so again.
FORGET_CHUNK = "update waybill_runs.steps set valid_until = null where run_id = %s and name = 'chunk'"

# Back to the queue in the same try; what it waited for is no suspicion against it.
WAKE = """
update waybill_runs.runs set state = 'QUEUED', starts = 0, alone_starts = 0, wakes = wakes + 1,
    revision = revision + 1
where run_id = %s and state in ('WAITING_ON_VENDOR', 'BLOCKED_ON_BUDGET')
returning *
"""

# What there is when a document arrives: the run of a repeated request, how much is unfinished (one that waits
# takes up no place), and whether the document came before.
ARRIVAL = """
select known.*, unfinished, came_before
from (select count(*) as unfinished from waybill_runs.runs
        where ended_at is null and state not in ('WAITING_ON_VENDOR', 'BLOCKED_ON_BUDGET')) counted
    cross join (select exists (select from waybill_runs.runs
        where (collection, document_key) = (%(collection)s, %(document_key)s)) as came_before) looked
    left join waybill_runs.runs known on known.request_id = %(request_id)s
"""


class Runs:
    """The runs of every tenant, each seen through its tenant's transactions.

    Args:
        database: One tenant at a time.
        application_version: Of the engine's workflows.
        max_unfinished: Runs that one tenant may have queued or under way.
    """

    def __init__(self, database: Database, application_version: str, max_unfinished: int) -> None:
        self._database = database
        self._version = application_version
        self._max_unfinished = max_unfinished
        self._watches = Watches()

    async def arrival(
        self, tenant: str, request_id: str | None, sha256: str, collection: str, document_key: str
    ) -> tuple[Row | None, bool]:
        """The run that a repeated request made; and whether the document came before.

        Raises:
            Conflict: REQUEST_ID_REUSED, the id came with other content.
            Quota: QUEUE_FULL, with the time after which a repeat may work.
        """
        values = {"request_id": request_id, "collection": collection, "document_key": document_key}
        (row,) = await self._database.rows(tenant, ARRIVAL, values)
        unfinished, came_before = row.pop("unfinished"), row.pop("came_before")
        if row["run_id"] is not None:
            if row["source_sha256"] != sha256:
                raise _reused()
            return row, came_before
        if unfinished >= self._max_unfinished:
            raise Quota(
                "QUEUE_FULL",
                f"{unfinished} documents of this tenant are waiting. Send it again a little later.",
                retry_after_seconds=QUEUE_FULL_SECONDS,
            )
        return None, came_before

    async def accept(
        self, run: NewRun, stored_at: datetime.datetime, is_stored: Callable[[], Awaitable[bool]]
    ) -> Row:
        """Writes run, the steps that are behind it, and the queue entry, in one transaction.

        Raises:
            Conflict: REQUEST_ID_REUSED.
            Precondition: SOURCE_DELETED, a deletion of the same content came between; send it again.
        """
        async with self._database.transaction(run.tenant) as connection:
            await connection.execute(LOCK_SOURCE, [f"{run.tenant}/{run.source_sha256}"])
            if not await is_stored():
                raise Precondition("SOURCE_DELETED", "The same content was just deleted. Send it again.")
            row = await _insert(connection, run, "QUEUED", "store", None)
            await note_past(connection, run.ref, "receive", run.created_at, stored_at)
            await note_past(connection, run.ref, "store", stored_at, None)
            await enqueue(connection, row, self._version)
        return row

    async def record_unchanged(self, run: NewRun) -> Row:
        """Writes a run that has nothing to do; it says again what the published version lacks."""
        async with self._database.transaction(run.tenant) as connection:
            ended_at = utc_now()
            values = {
                "document_id": run.document_id,
                "source_sha256": run.source_sha256,
                "version_id": run.version_id,
            }
            lacking = still_lacking(await (await connection.execute(LACKING, values)).fetchone())
            state = lacking.get("state", "UNCHANGED")
            row = await _insert(connection, run, state, "receive", ended_at, lacking)
            await note_past(connection, run.ref, "receive", run.created_at, ended_at)
        return row

    async def find(self, ref: RunRef) -> Row:
        """Raises NotFound: RUN_NOT_FOUND."""
        async with self._database.transaction(ref.tenant) as connection:
            return await _find(connection, ref.run_id)

    async def named(self, tenant: str, run_ids: Sequence[str]) -> list[Row]:
        """Runs by their ids; what is not there is missing."""
        query = "select * from waybill_runs.runs where run_id = any(%s::uuid[])"
        return await self._database.rows(tenant, query, [list(run_ids)])

    async def correlated(self, tenant: str, correlation_id: str, first: str | None, limit: int) -> list[Row]:
        """Runs with a correlation id, oldest first, from run `first` on."""
        query = (
            "select * from waybill_runs.runs where correlation_id = %s"
            " and run_id >= coalesce(%s::uuid, '00000000-0000-0000-0000-000000000000')"
            " order by run_id limit %s"
        )
        return await self._database.rows(tenant, query, [correlation_id, first, limit])

    async def change(
        self,
        ref: RunRef,
        *,
        workflow: str | None = None,
        ended: Ended | None = None,
        begun: Begun | None = None,
        heals: bool = True,
        **columns: Any,
    ) -> Row:
        """Changes columns of a run that is not final, and tells who watches it.

        Args:
            ref: Which.
            workflow: Only while it is executed under this name.
            ended: A step whose end is to be noted in any case.
            begun: A part of a step, which is the run's step from now on.
            heals: As in Ending.
            columns: New values; `starts` and `alone_starts` are added.

        Returns:
            Its row, changed or not.
        """
        async with self._database.transaction(ref.tenant) as connection:
            row = await write(connection, ref, columns, workflow=workflow, ended=ended, begun=begun)
            if row is not None and row["state"] in RETRIABLE_STATES:
                await cut_off(connection, ref)
            if row is not None and heals and row["reason"] in HEALED_BY:
                now = utc_now()
                look_at = now + datetime.timedelta(seconds=again_after(row["tries"]))
                await put(connection, ref, HEAL, HEALED_BY[row["reason"]], now=now, look_at=look_at)
            row = row or await _find(connection, ref.run_id)
        self.tell_watchers(row)
        return row

    async def wait(self, ref: RunRef, workflow: str, waits: RunWaits, ended: Ended | None = None) -> None:
        """Lets a run go until the poller wakes it, if it is executed under this name still.

        Args:
            ref: Which.
            workflow: How it is executed.
            waits: What for.
            ended: A step beside the one that waits, whose end is to be noted in any case.

        Raises:
            StepFailed: Its vendor, or a service of ours, works, and has refused it for an hour; nothing is
                written.
        """
        columns = {"state": waits.state, "reason": waits.reason, "message": waits.message}
        now, look_at, vain = utc_now(), waits.look_at, 0
        async with self._database.transaction(ref.tenant) as connection:
            row = await write(connection, ref, columns, workflow=workflow, ended=ended)
            if row is not None:
                if waits.kind in (VENDOR, SERVICE):
                    vain = await in_vain(connection, ref, waits.kind, waits.ref)
                    _check_patience(waits, vain)
                    look_at = now + datetime.timedelta(seconds=again_after(vain))
                look_at = min(look_at, row["complete_by"] or look_at)
                await put(connection, ref, waits.kind, waits.ref, now=now, look_at=look_at, in_vain=vain)
        if row is not None:
            self.tell_watchers(row)

    async def retry(self, ref: RunRef, complete_by: datetime.datetime | None) -> Row:
        """Queues a run that ended badly again, as its next try; one under way is answered as it is.

        Raises:
            NotFound: RUN_NOT_FOUND.
            Precondition: RUN_READY, there is nothing to retry; COMPLETE_BY_PAST.
        """
        values = {"run_id": ref.run_id, "from": list(RETRIABLE_STATES), "complete_by": complete_by}
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(RETRY, values)).fetchone()
            if row is None:
                row = await _find(connection, ref.run_id)
                if row["state"] in FINAL_STATES:
                    raise Precondition("RUN_READY", f"The run is {row['state']}: there is nothing to retry.")
                return row
            if row["complete_by"] and row["complete_by"] <= utc_now():
                raise Precondition(
                    "COMPLETE_BY_PAST", "The run's complete_by is past. Name a later one with the retry."
                )
            if complete_by is not None:
                await connection.execute(FORGET_CHUNK, [ref.run_id])
            await enqueue(connection, row, self._version)
        self.tell_watchers(row)
        return row

    async def heal(self, ref: RunRef, reasons: Sequence[str]) -> Row:
        """Queues a run that was degraded for one of these reasons again, as its next try.

        One that is under way, or READY, is answered as it is.

        Raises:
            NotFound: RUN_NOT_FOUND.
            Precondition: NOTHING_TO_HEAL.
        """
        values = {"run_id": ref.run_id, "reasons": list(reasons)}
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(TAKE_UP_DEGRADED, values)).fetchone()
            if row is None:
                row = await _find(connection, ref.run_id)
                check_not_ended(row)
                return row
            await connection.execute(FORGET_STEPS, {"run_id": ref.run_id, "healing": row["healing"]})
            await enqueue(connection, row, self._version)
        self.tell_watchers(row)
        return row

    async def supersede(self, row: Row, error: ServiceError) -> None:
        """Notes of a degraded run that nothing is left to heal, unless it has changed since it was read."""
        known = {name: row[name] for name in ("run_id", "revision")}
        values = {**known, "reason": error.reason, "message": error.message}
        await self._database.execute(row["tenant"], SUPERSEDE, values)

    async def wake(self, ref: RunRef) -> None:
        """Queues a run that waits again; one that does not wait is left alone."""
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(WAKE, [ref.run_id])).fetchone()
            if row is not None:
                await enqueue(connection, row, self._version)
        if row is not None:
            self.tell_watchers(row)

    def watch(self, ref: RunRef, seen_revision: int) -> AsyncIterator[Row]:
        """A run's row when it has changed, from above a revision on, until it is final."""
        return self._watches.follow(ref.run_id, partial(self.find, ref), seen_revision)

    def tell_watchers(self, row: Row) -> None:
        """Lets who watches a run see it as it is now."""
        self._watches.tell(row)


async def _insert(
    connection: Connection,
    run: NewRun,
    state: str,
    step: str,
    ended_at: datetime.datetime | None,
    read: Row | None = None,
) -> Row:
    """Writes a run.

    Args:
        read: What is known of how its content was read, where it was.
    """
    values = {"reason": "", "message": "", "pages": 0, "reading": {}, **(read or {})}
    values |= {**vars(run), "state": state, "step": step, "ended_at": ended_at}
    values |= {name: Jsonb(values[name]) for name in ("reading", "metadata")}
    row = await (await connection.execute(INSERT, values)).fetchone()
    if row is None:
        raise _reused()
    return row


async def _find(connection: Connection, run_id: str) -> Row:
    query = "select * from waybill_runs.runs where run_id = %s"
    row = await (await connection.execute(query, [run_id])).fetchone()
    if row is None:
        raise run_not_found()
    return row


def _check_patience(waits: RunWaits, in_vain: int) -> None:
    """Raises StepFailed once what is there has refused a run for an hour."""
    if waits.kind == SERVICE and in_vain > MOST_REFUSED:
        raise StepFailed(waits.reason, waits.message)
    if waits.kind == VENDOR and in_vain > MOST_IN_VAIN:
        error = keeps_refusing(vendor_of(waits.ref), waits.message)
        raise StepFailed(error.reason, error.message)


def _reused() -> Conflict:
    return Conflict("REQUEST_ID_REUSED", "This request_id was used before; take a new one for other content.")
