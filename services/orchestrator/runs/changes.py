"""What changes of a run, written at once: its columns, the step that has ended, and the one that begins."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg.types.json import Json

from services.orchestrator.runs.parts import Part
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
    # Of a version that is published, and no more on their way.
    "vectors": "embedded_chunks = %(vectors)s",
    "backends": "backends = backends || %(backends)s",
} | {
    name: f"{name} = %({name})s"
    for name in ("step", "reason", "message", "document_id", "version_id", "pages", "chunks", "tier",
                 "tier_reason", "reading")
}  # fmt: skip

# `workflow` is who executes the run, as `queueing.workflow_id` names that.
_CHANGED = """
changed as (
    update waybill_runs.runs set {settings}
    where run_id = %(run_id)s and ended_at is null and (%(workflow)s::text is null or %(workflow)s =
        concat_ws('.', run_id, tries, nullif(wakes, 0)))
    returning *)
"""

# A step whose end is told twice ends once.
_ENDED = """
ended as (
    update waybill_runs.steps set status = %(status)s, outcome = %(outcome)s,
        ended_at = greatest(started_at, %(ended_at)s),
        valid_until = greatest(clock_timestamp(), complete_by) + %(validity)s
    from waybill_runs.runs
    where steps.run_id = %(run_id)s and span_id = %(ended_span)s and runs.run_id = steps.run_id)
"""

_PARTS = """
parts as (
    insert into waybill_runs.steps (tenant, run_id, span_id, name, try, status, started_at, ended_at)
    select %(tenant)s, %(run_id)s, span_id, name, %(try)s, status, began, ended
    from unnest(%(part_spans)s::text[], %(part_names)s::text[], %(part_statuses)s::text[],
        %(part_began)s::timestamptz[], %(part_ended)s::timestamptz[])
        part(span_id, name, status, began, ended)
    on conflict (run_id, span_id) do update set status = excluded.status, ended_at = excluded.ended_at)
"""

# A step that is begun again keeps its first start: the span covers all that it took.
_BEGUN = """
begun as (
    insert into waybill_runs.steps (tenant, run_id, span_id, name, try, status, started_at)
    select tenant, run_id, %(begun_span)s, %(name)s, %(try)s, 'UNSET',
        coalesce(%(begun_at)s, clock_timestamp())
    from changed
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
        parts: In order; the first begins where the step's own part ends.
        at: By this process's clock, as live spans are.
    """

    name: str
    number: int
    outcome: Outcome
    columns: Mapping[str, Any]
    parts: Sequence[Part]
    at: datetime.datetime

    def values(self, run: RunRef) -> dict[str, Any]:
        """As its rows have them."""
        failed, spans = "failed" in self.outcome, partial(trace_ids.step_span_id, run.run_id)
        return {
            "tenant": run.tenant,
            "try": self.number,
            "ended_span": spans(self.name, self.number),
            "status": "ERROR" if failed and not self.parts else "OK",
            "outcome": None if failed else Json(self.outcome),
            "ended_at": self.parts[0].began if self.parts else self.at,
            "validity": VALIDITY,
            "part_spans": [spans(part.name, self.number) for part in self.parts],
            "part_names": [part.name for part in self.parts],
            "part_statuses": ["ERROR" if part.failed else "OK" for part in self.parts],
            "part_began": [part.began for part in self.parts],
            "part_ended": [part.ended for part in self.parts],
        }


@dataclass(frozen=True)
class Begun:
    """A step that begins in a try; or a part of one, which began at a time of its own."""

    name: str
    number: int
    at: datetime.datetime | None = None

    @property
    def step(self) -> str:
        """As it stands in the run: without the number of a batch."""
        return self.name.split()[0]

    def values(self, run: RunRef) -> dict[str, Any]:
        """As its row has them."""
        span = trace_ids.step_span_id(run.run_id, self.name, self.number)
        return {"begun_span": span, "name": self.name, "try": self.number, "begun_at": self.at}


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
        workflow: Only while the run is executed under this name. A step ends all the same.
        ended: What has ended.
        begun: What begins.

    Returns:
        The run's row, where it changed.
    """
    step = begun or (ended.parts[-1] if ended and ended.parts else None)
    columns = {**(ended.columns if ended else {}), **columns, **({"step": step.step} if step else {})}
    if unknown := columns.keys() - _SETTING:
        raise TypeError(f"no such column: {', '.join(unknown)}")
    values = {"run_id": run.run_id, "workflow": workflow, **columns}
    settings = ["revision = revision + 1", *(_SETTING[name] for name in columns)]
    if columns.get("state") in FINAL_STATES:
        settings.append("ended_at = clock_timestamp()")
    parts = [_CHANGED.format(settings=", ".join(settings))]
    if ended is not None:
        parts += [_ENDED, _PARTS] if ended.parts else [_ENDED]
        values |= ended.values(run)
    if begun is not None:
        parts += [_BEGUN, _FORGOTTEN] if begun.name == "chunk" else [_BEGUN]
        values |= begun.values(run)
    query = f"with {', '.join(parts)} select * from changed"  # noqa: S608  (texts of this module alone)
    return await (await connection.execute(query.encode(), values)).fetchone()
