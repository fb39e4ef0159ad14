"""Steps as rows: when each began and ended, and what it answered. Their spans are these rows."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from psycopg.errors import UniqueViolation

from services.orchestrator.runs.changes import Begun, Ended, write
from services.orchestrator.runs.outcomes import TwinUnderWay
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

CUT_OFF = """
update waybill_runs.steps set status = 'ERROR', ended_at = clock_timestamp()
where run_id = %s and ended_at is null
"""


class StepLog:
    """The steps of every tenant's runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        ref: RunRef,
        name: str,
        workflow: str,
        refused: Callable[[str, Row], Outcome | None],
        columns: Mapping[str, Any],
        ended: Ended | None,
    ) -> tuple[Row, Outcome | None]:
        """Notes that a step is under way, and makes it the run's step.

        Args:
            ref: Whose step it is.
            name: As it stands in the trace.
            workflow: Who executes the run; an execution left behind changes nothing of it.
            refused: What the step answers instead of beginning, by who executes the run and its row.
            columns: What else changes of the run.
            ended: The step before it, whose end is to be noted in any case.

        Returns:
            The run's row; and the step's outcome where it does not begin, since it is refused, or ended
            well in this try or an earlier one.

        Raises:
            NotFound: RUN_NOT_FOUND.
            TwinUnderWay: The run was to be the sole one of its content.
        """
        values = {"run_id": ref.run_id, "name": name}
        async with self._database.transaction(ref.tenant) as connection:
            row = await (await connection.execute(LOOK, values)).fetchone()
            if row is None:
                raise run_not_found()
            done: Outcome | None = row.pop("step_outcome")
            outcome = refused(workflow, row) or done
            begun = None if outcome else Begun(name, row["tries"])
            if columns or ended or begun:
                change = write(connection, ref, columns, workflow=workflow, ended=ended, begun=begun)
                try:
                    row = await change or row
                except UniqueViolation as error:
                    raise TwinUnderWay from error
        return row, outcome

    async def of_run(self, tenant: str, run_id: str) -> list[Row]:
        """The steps of a run, by start."""
        query = "select * from waybill_runs.steps where run_id = %s order by started_at"
        return await self._database.rows(tenant, query, [run_id])


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
