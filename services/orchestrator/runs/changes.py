"""What changes of a run, written at once: its columns, the step that has ended, and the one that begins."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Json

from services.orchestrator.runs.rows import FINAL_STATES, Outcome, Row, RunRef
from services.orchestrator.traces import ids as trace_ids
from waybill.runtime.postgres import Connection

# Only columns that are named change, and a final run changes no more.
_SETTING = {
    "state": "state = %(state)s::waybill_runs.run_state",
    "embedded_chunks": "embedded_chunks = greatest(embedded_chunks, %(embedded_chunks)s)",
    "starts": "starts = starts + %(starts)s",
    "alone_starts": "alone_starts = alone_starts + %(alone_starts)s",
    "sole": "sole = %(sole)s",
} | {
    name: f"{name} = %({name})s"
    for name in ("step", "reason", "message", "document_id", "version_id", "pages", "chunks", "tier",
                 "tier_reason", "reading")
}  # fmt: skip

# `workflow` is who tells the run, as `queueing.workflow_id` names that.
_CHANGED = """
changed as (
    update waybill_runs.runs set {settings}
    where run_id = %(run_id)s and ended_at is null and (%(workflow)s::text is null or %(workflow)s =
        concat_ws('.', run_id, tries, nullif(wakes, 0)))
    returning *)
"""

# A step whose end is told twice ends once. Its times are the database's.
_ENDED = """
ended as (
    update waybill_runs.steps set status = %(status)s, outcome = %(outcome)s,
        ended_at = clock_timestamp() - %(ago)s,
        valid_until = greatest(clock_timestamp(), complete_by) + %(validity)s
    from waybill_runs.runs
    where steps.run_id = %(run_id)s and span_id = %(ended_span)s and runs.run_id = steps.run_id)
"""

# A step that is begun again keeps its first start: the span covers all that it took.
_BEGUN = """
begun as (
    insert into waybill_runs.steps (tenant, run_id, span_id, name, try, status, started_at)
    values (%(tenant)s, %(run_id)s, %(begun_span)s, %(name)s, %(try)s, 'UNSET', clock_timestamp())
    on conflict (run_id, span_id) do update set starts = waybill_runs.steps.starts + 1, status = 'UNSET',
        ended_at = null)
"""

# What comes after was of the version before, which may be gone.
_FORGOTTEN = """
forgotten as (
    update waybill_runs.steps set valid_until = null
    where run_id = %(run_id)s and name not in ('parse', 'chunk') and valid_until is not null)
"""

# A good deal less than the day for which an unpublished version is kept.
VALIDITY = datetime.timedelta(hours=20)


@dataclass(frozen=True)
class Ended:
    """A step that has ended.

    Attributes:
        number: Of the try.
        outcome: Has a value, or says what failed.
        columns: What it found out of its run.
        at: By the monotonic clock, in seconds.
    """

    name: str
    number: int
    outcome: Outcome
    columns: Mapping[str, Any]
    at: float = field(default_factory=time.monotonic)

    def values(self, run_id: str) -> dict[str, Any]:
        """As its row has them."""
        failed = "failed" in self.outcome
        return {
            "ended_span": trace_ids.step_span_id(run_id, self.name, self.number),
            "status": "ERROR" if failed else "OK",
            "outcome": None if failed else Json(self.outcome),
            "ago": datetime.timedelta(seconds=time.monotonic() - self.at),
            "validity": VALIDITY,
        }


@dataclass(frozen=True)
class Begun:
    """A step that begins in a try."""

    name: str
    number: int

    @property
    def step(self) -> str:
        """As it stands in the run: without the number of a batch."""
        return self.name.split()[0]

    def values(self, run: RunRef) -> dict[str, Any]:
        """As its row has them."""
        span = trace_ids.step_span_id(run.run_id, self.name, self.number)
        return {"tenant": run.tenant, "begun_span": span, "name": self.name, "try": self.number}


async def write(
    connection: Connection,
    run: RunRef,
    columns: Mapping[str, Any],
    *,
    workflow: str | None = None,
    ended: Ended | None = None,
    begun: Begun | None = None,
) -> Row | None:
    """Writes a change in one statement.

    Args:
        connection: In a transaction.
        run: Whose.
        columns: New values; `starts` and `alone_starts` are added.
        workflow: Only while the run is told under this name. A step ends all the same.
        ended: What has ended.
        begun: What begins.

    Returns:
        The run's row, where it changed.
    """
    columns = {**(ended.columns if ended else {}), **columns, **({"step": begun.step} if begun else {})}
    if unknown := columns.keys() - _SETTING:
        raise TypeError(f"no such column: {', '.join(unknown)}")
    values = {"run_id": run.run_id, "workflow": workflow, **columns}
    settings = ["revision = revision + 1", *(_SETTING[name] for name in columns)]
    if columns.get("state") in FINAL_STATES:
        settings.append("ended_at = clock_timestamp()")
    parts = [_CHANGED.format(settings=", ".join(settings))]
    if ended is not None:
        parts.append(_ENDED)
        values |= ended.values(run.run_id)
    if begun is not None:
        parts += [_BEGUN, _FORGOTTEN] if begun.name == "chunk" else [_BEGUN]
        values |= begun.values(run)
    query = f"with {', '.join(parts)} select * from changed"  # noqa: S608  (texts of this module alone)
    return await (await connection.execute(query.encode(), values)).fetchone()
