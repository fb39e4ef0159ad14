"""Steps as rows: when each began and ended, and what it answered. Their spans are these rows."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from psycopg.types.json import Json

from services.orchestrator.runs.rows import Outcome, Row, RunRef, run_not_found
from services.orchestrator.traces import ids as trace_ids
from waybill.runtime.postgres import Connection, Database

# What an earlier try finished, or this one before it waited, while the version that it wrote to is kept.
# The lock is what a change of the run waits for: a step begins before the run's end, or not at all.
LOOK = """
select runs.*, steps.outcome as step_outcome from waybill_runs.runs left join waybill_runs.steps
    on steps.run_id = runs.run_id and steps.name = %(name)s and steps.status = 'OK'
    and steps.outcome is not null and steps.valid_until > clock_timestamp()
where runs.run_id = %(run_id)s limit 1 for no key update of runs
"""

# A step that is begun again keeps its first start: the span covers all that it took.
BEGIN = """
with reached as (
    update waybill_runs.runs set step = %(step)s, revision = revision + 1
    where run_id = %(run_id)s and ended_at is null and step <> %(step)s)
insert into waybill_runs.steps (tenant, run_id, span_id, name, try, status, started_at)
values (%(tenant)s, %(run_id)s, %(span_id)s, %(name)s, %(try)s, 'UNSET', clock_timestamp())
on conflict (run_id, span_id) do update set starts = waybill_runs.steps.starts + 1, status = 'UNSET',
    ended_at = null
"""

# What comes after was of the version before, which may be gone.
FORGET_REST = """
update waybill_runs.steps set valid_until = null where run_id = %(run_id)s and name not in ('parse', 'chunk')
"""

END = """
update waybill_runs.steps set status = %(status)s, outcome = %(outcome)s, ended_at = clock_timestamp(),
    valid_until = greatest(clock_timestamp(), complete_by) + %(validity)s
from waybill_runs.runs
where steps.run_id = %(run_id)s and span_id = %(span_id)s and runs.run_id = steps.run_id
"""

CUT_OFF = """
update waybill_runs.steps set status = 'ERROR', ended_at = clock_timestamp()
where run_id = %s and ended_at is null
"""

# A good deal less than the day for which an unpublished version is kept.
VALIDITY = datetime.timedelta(hours=20)


class StepLog:
    """The steps of every tenant's runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, ref: RunRef, name: str, refused: Callable[[Row], Outcome | None]
    ) -> tuple[Row, Outcome | None]:
        """Notes that a step is under way, and makes it the run's step.

        Args:
            ref: Whose step it is.
            name: As it stands in the trace.
            refused: What the step answers instead of beginning, by the run's row.

        Returns:
            The run's row; and the step's outcome where it does not begin, since it is refused, or ended
            well in this try or an earlier one.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        values = {"tenant": ref.tenant, "run_id": ref.run_id, "name": name, "step": name.split()[0]}
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(LOOK, values)).fetchone()
            if row is None:
                raise run_not_found()
            done: Outcome | None = row.pop("step_outcome")
            outcome = refused(row) or done
            if outcome is None:
                number = row["tries"]
                values |= {"try": number, "span_id": trace_ids.step_span_id(ref.run_id, name, number)}
                await connection.execute(BEGIN, values)
                if name == "chunk":
                    await connection.execute(FORGET_REST, values)
        return row, outcome

    async def of_run(self, tenant: str, run_id: str) -> list[Row]:
        """The steps of a run, by start."""
        query = "select * from waybill_runs.steps where run_id = %s order by started_at"
        async with self._database.transaction(tenant) as connection:
            return await (await connection.execute(query, [run_id])).fetchall()


async def end(connection: Connection, ref: RunRef, name: str, number: int, outcome: Outcome) -> None:
    """Notes how a step ended; `outcome` has a value, or says what failed."""
    values = {
        "run_id": ref.run_id,
        "span_id": trace_ids.step_span_id(ref.run_id, name, number),
        "status": "ERROR" if "failed" in outcome else "OK",
        "outcome": None if "failed" in outcome else Json(outcome),
        "validity": VALIDITY,
    }
    await connection.execute(END, values)


async def cut_off(connection: Connection, ref: RunRef) -> None:
    """Ends the steps that are under way, with their run."""
    await connection.execute(CUT_OFF, [ref.run_id])


async def note_past(
    connection: Connection,
    ref: RunRef,
    name: str,
    started_at: datetime.datetime,
    ended_at: datetime.datetime | None,
) -> None:
    """Notes a step that was done inside Ingest; an open end is now."""
    await connection.execute(
        "insert into waybill_runs.steps (tenant, run_id, span_id, name, status, started_at, ended_at)"
        " values (%s, %s, %s, %s, 'OK', %s, coalesce(%s, clock_timestamp()))",
        [ref.tenant, ref.run_id, trace_ids.step_span_id(ref.run_id, name), name, started_at, ended_at],
    )
