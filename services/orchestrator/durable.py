"""What makes the story durable: each step once, to the run's end, in time, or until it is cancelled.

The engine brings a run back after a crash, and takes it from the queue; which steps are behind it is told
by our own rows alone (docs/decisions/0004). The engine's tables have no row-level security: nothing but ids
goes into them, and no exception, which would be stored with its text.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog
from dbos import DBOS

from services.orchestrator.outcomes import (
    CANCELLED,
    EXPIRED,
    POISON,
    WAITING,
    Ending,
    RunWaits,
    StepFailed,
    broken,
    failed,
    outcome_of,
)
from services.orchestrator.queueing import workflow_id
from services.orchestrator.run_context import acting_for, in_trace
from services.orchestrator.run_rows import FINAL_STATES, Outcome, Row, RunRef
from services.orchestrator.runs import Runs
from services.orchestrator.step_log import StepLog
from waybill.runtime import deadline, faults
from waybill.runtime.errors import ServiceError
from waybill.runtime.retry import insist

# From this start on a run is a suspect: it may be what kills the process.
SUSPECT_STARTS = 3
# How long a database that is away is waited for.
PATIENCE_SECONDS = 600.0
T = TypeVar("T")
log = structlog.get_logger()


class Story(Protocol):
    """What is told durably."""

    async def ingest(self, run: RunRef) -> Ending:
        """The steps, in order."""

    async def stop(self, run: RunRef) -> None:
        """Stops work of the run that goes on elsewhere."""


class Durable:
    """Runs steps once each, and a story to its end."""

    def __init__(self, runs: Runs, steps: StepLog) -> None:
        self._runs = runs
        self._steps = steps
        self._bodies: dict[str, set[asyncio.Task[Any]]] = defaultdict(set)
        self._suspects = asyncio.Lock()

    async def step(
        self, run: RunRef, name: str, kind: Callable[..., T], body: Callable[[], Awaitable[T]]
    ) -> T:
        """Runs a step's body, or answers what it answered when it ended before a crash.

        Args:
            run: Whose step it is.
            name: As it stands in the trace.
            kind: What the body answers: a frozen dataclass of JSON values, int or str.
            body: May run again from its start after a crash.

        Raises:
            StepFailed: The body raised a ServiceError, or the run was cancelled or is late.
            RunWaits: The body raised it.
        """
        outcome = await self._steadily(run, name, body)
        if "failed" in outcome:
            raise StepFailed(**outcome["failed"])
        if outcome == WAITING:
            raise RunWaits
        value = outcome["value"]
        return kind(**value) if isinstance(value, dict) else kind(value)

    async def tell(self, run: RunRef, story: Story, workflow: str) -> None:
        """Runs a story and writes down how it ended. A drain hands the run back as if never begun.

        Args:
            run: Whose story.
            story: What is told.
            workflow: The engine's name for this telling: one that a wait or a retry has left behind, and
                that the engine brings back after a crash, is not told.
        """
        if workflow_id(await insist(partial(self._runs.find, run), seconds=PATIENCE_SECONDS)) != workflow:
            return
        row = await self._change(run, state="RUNNING", starts=1)
        if row["state"] in FINAL_STATES:
            return
        try:
            async with self._alone_if_suspect(run, row):
                ending = await story.ingest(run)
        except StepFailed as error:
            state = error.reason if error.reason in ("EXPIRED", "CANCELLED") else "FAILED"
            if state == "EXPIRED":
                await self._stop(run, row, story)
            await self._change(run, state=state, reason=error.reason, message=error.message)
        except RunWaits:
            await self._change(run, state="WAITING_ON_VENDOR")
        except Exception as error:
            # Whatever nobody foresaw: the run must not be RUNNING for ever.
            log.exception("run broke", run_id=run.run_id)
            await self._change(run, state="FAILED", **broken("run", error))
        else:
            await self._change(run, **vars(ending))

    async def cancel(self, run: RunRef, story: Story) -> Row:
        """Cancels a run, and answers once its work has stopped; a final run stays as it is."""
        row = await self._runs.change(
            run, state="CANCELLED", reason=CANCELLED["reason"], message=CANCELLED["message"]
        )
        if row["state"] == "CANCELLED":
            bodies = list(self._bodies[run.run_id])
            for body in bodies:
                body.cancel()
            await asyncio.gather(*bodies, return_exceptions=True)
            with acting_for(run, row):
                await story.stop(run)
            await DBOS.cancel_workflow_async(workflow_id(row))
        return row

    @asynccontextmanager
    async def _alone_if_suspect(self, run: RunRef, row: Row) -> AsyncIterator[None]:
        """Suspects go one at a time, so that a death there has one cause."""
        if row["alone_starts"]:
            raise StepFailed(**POISON)
        if row["starts"] < SUSPECT_STARTS:
            yield
            return
        async with self._suspects:
            await self._change(run, alone_starts=1)
            yield

    async def _change(self, run: RunRef, **columns: Any) -> Row:
        """Changes a run's row, whenever the database is back."""
        return await insist(partial(self._runs.change, run, **columns), seconds=PATIENCE_SECONDS)

    async def _stop(self, run: RunRef, row: Row, story: Story) -> None:
        deadline.clear()  # it has passed, and is why this is done
        try:
            with acting_for(run, row):
                await story.stop(run)
        except ServiceError as error:
            # The run ends all the same; what still works for it ends by itself and is not published.
            log.warning("work of a late run could not be stopped", run_id=run.run_id, reason=error.reason)

    async def _steadily(self, run: RunRef, name: str, body: Callable[[], Awaitable[Any]]) -> Outcome:
        """The step, again while something that it needs is away."""
        try:
            return await insist(partial(self._once, run, name, body), seconds=PATIENCE_SECONDS)
        except ServiceError as error:
            return failed(error)

    async def _once(self, run: RunRef, name: str, body: Callable[[], Awaitable[Any]]) -> Outcome:
        place = f"step.{name.split()[0]}.start"
        await faults.point(place, f"{place}.{run.run_id}")
        row, outcome = await self._steps.open(run, name, _refused)
        if outcome is not None:
            return outcome
        self._runs.tell_watchers(run.run_id)
        with in_trace(run, row, name):
            outcome = await self._bounded(run, _seconds_left(row), body)
        if outcome != WAITING:
            await self._steps.end(run, name, row["tries"], outcome)
        return outcome

    async def _bounded(
        self, run: RunRef, seconds: float | None, body: Callable[[], Awaitable[Any]]
    ) -> Outcome:
        """Runs a body that a cancel of the run reaches, and that ends when the run is late."""
        # The task has a context of its own: the step's deadline ends with it.
        task = asyncio.ensure_future(outcome_of(body, seconds))
        self._bodies[run.run_id].add(task)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await task
        except TimeoutError:
            return {"failed": EXPIRED}
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling() and not limit.expired():
                raise  # the process drains
            return {"failed": CANCELLED}
        finally:
            self._bodies[run.run_id].discard(task)
            if not self._bodies[run.run_id]:
                del self._bodies[run.run_id]


def _refused(row: Row) -> Outcome | None:
    """What a step of a run that has ended, or is late, answers instead of beginning."""
    if row["state"] in FINAL_STATES:
        return {"failed": CANCELLED}
    seconds = _seconds_left(row)
    return {"failed": EXPIRED} if seconds is not None and seconds <= 0 else None


def _seconds_left(row: Row) -> float | None:
    if row["complete_by"] is None:
        return None
    left: datetime.timedelta = row["complete_by"] - datetime.datetime.now(datetime.UTC)
    return left.total_seconds()
