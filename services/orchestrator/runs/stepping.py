"""The steps of a run: each once, again while something that it needs is away.

When a step may begin, `durable` tells. Its end is written with what comes next.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from services.orchestrator.runs.changes import Begun, Ended
from services.orchestrator.runs.context import in_trace
from services.orchestrator.runs.outcomes import (
    CANCELLED,
    Ending,
    Noted,
    StepFailed,
    expired,
    failed,
    for_services,
    in_time,
    missed,
)
from services.orchestrator.runs.parts import Part, Parts
from services.orchestrator.runs.queueing import workflow_id
from services.orchestrator.runs.rows import FINAL_STATES, Outcome, Row, RunRef
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.store import Runs
from waybill.runtime import faults
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Deadline, ServiceError, Unavailable
from waybill.runtime.retry import insist

T = TypeVar("T")
Body = Callable[[Row], Awaitable[T | Noted[T]]]


class Step(Protocol):
    """Runs a step of one run."""

    async def __call__(self, name: str, kind: Callable[..., T], body: Body[T], /) -> T:
        """Runs a step's body, or answers what it answered when it ended before a crash.

        Args:
            name: As it stands in the trace.
            kind: What the body answers: a frozen dataclass of JSON values, int or str.
            body: Gets the run's row as the step begins; may run again from its start after a crash.

        Raises:
            StepFailed: The body raised a ServiceError, or the run was cancelled or is late.
            RunWaits: The body raised it.
        """


class Ingestion(Protocol):
    """What is executed durably."""

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        """The steps, in order."""

    async def stop(self, run: RunRef) -> None:
        """Stops work of the run that goes on elsewhere."""


@dataclass
class Execution:
    """A run, and all that it does here.

    Attributes:
        workflow: The engine's name for it.
        task: Ends with all of it.
        counts: What the first step that begins changes of the run.
        ended: The step whose end is written with what comes next: the next step's begin, or the run's end.
        under_way: Steps.
    """

    run: RunRef
    ingestion: Ingestion
    workflow: str
    task: asyncio.Task[None] = field(init=False)
    counts: Mapping[str, Any] = field(default_factory=dict)
    ended: Ended | None = None
    under_way: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class Steps:
    """Runs them; `Durable` describes the arguments."""

    def __init__(
        self,
        runs: Runs,
        log: StepLog,
        away: Callable[[], Awaitable[Sequence[str]]],
        patience_seconds: float,
    ) -> None:
        self._runs = runs
        self._log = log
        self._away = away
        self._patience_seconds = patience_seconds

    async def step(self, execution: Execution, name: str, kind: Callable[..., T], body: Body[T]) -> T:
        """A `Step`, again while something that it needs is away."""
        execution.under_way += 1
        try:
            outcome = await insist(partial(self._once, execution, name, body), seconds=self._patience_seconds)
        except ServiceError as error:
            if waits := for_services(error, missed(name, await self._services_away(error))):
                raise waits from error
            outcome = failed(error)
        finally:
            execution.under_way -= 1
        if "failed" in outcome:
            raise StepFailed(**outcome["failed"])
        value = outcome["value"]
        return kind(**value) if isinstance(value, dict) else kind(value)

    async def _services_away(self, error: ServiceError) -> Sequence[str]:
        """Those that may be why a step has failed so."""
        return await self._away() if isinstance(error, Unavailable | Deadline) else ()

    async def _once(self, execution: Execution, name: str, body: Body[Any]) -> Outcome:
        run = execution.run
        row, outcome = await self._open(execution, name)
        if outcome is not None:
            return outcome
        self._runs.tell_watchers(row)
        place = f"step.{row['step']}.start"
        await faults.point(place, f"{place}.{run.run_id}")
        parts = Parts(run, row, partial(self._tell_part, execution, row["tries"]))
        with in_trace(run, row, name), parts.noted():
            outcome = await in_time(partial(body, row), _seconds_left(row))
        now = utc_now()
        ended = Ended(name, row["tries"], outcome, outcome.pop("columns", {}), parts.all, now)
        if execution.under_way == 1:
            # Nothing is awaited before the next step begins, or the run ends.
            execution.ended = ended
        else:
            await self._runs.change(run, ended=ended)
        return outcome

    async def _tell_part(self, execution: Execution, number: int, part: Part) -> None:
        begun = Begun(part.name, number, part.began)
        await self._runs.change(execution.run, workflow=execution.workflow, begun=begun)

    async def _open(self, execution: Execution, name: str) -> tuple[Row, Outcome | None]:
        """Begins a step, and writes with it what was not written yet."""
        async with execution.opening:
            written = execution.counts, execution.ended
            opened = await self._log.open(execution.run, name, execution.workflow, _refused, *written)
            execution.counts, execution.ended = {}, None
        return opened


def is_executed_by(row: Row, workflow: str) -> bool:
    """Whether a run has not ended, and this is the name of its newest execution."""
    return row["state"] not in FINAL_STATES and workflow_id(row) == workflow


def _refused(workflow: str, row: Row) -> Outcome | None:
    """What a step of a run that has ended, is executed anew, or is late, answers instead of beginning."""
    if not is_executed_by(row, workflow):
        return {"failed": CANCELLED}
    seconds = _seconds_left(row)
    return {"failed": expired(row["message"])} if seconds is not None and seconds <= 0 else None


def _seconds_left(row: Row) -> float | None:
    if row["complete_by"] is None:
        return None
    left: datetime.timedelta = row["complete_by"] - utc_now()
    return left.total_seconds()
