"""What makes an ingestion durable: each step once, to the run's end, in time, or until it is cancelled.

The engine takes a run from the queue, and brings it back after a crash. Our own rows alone tell which steps
have ended (docs/decisions/0004). The engine's tables have no row-level security, so only ids go into them:
no document text, and no exception, which would be stored with its text.

All that a run does here is one task with its children. Whoever ends the run ends that task. A step begins
under the lock of its run's row, so no process begins a step after the commit that ended the run. Where
another process is at a step while this one answers a cancel, that step goes on for LOOK_SECONDS at most.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import structlog

from services.orchestrator.runs.changes import Begun, Ended
from services.orchestrator.runs.context import acting_for, in_trace
from services.orchestrator.runs.outcomes import (
    CANCELLED,
    POISON,
    Ending,
    Noted,
    RunWaits,
    StepFailed,
    TwinUnderWay,
    broken,
    expired,
    failed,
    for_services,
    in_time,
)
from services.orchestrator.runs.parts import Part, Parts
from services.orchestrator.runs.queueing import workflow_id
from services.orchestrator.runs.rows import FINAL_STATES, Outcome, Row, RunRef
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.store import Runs
from services.orchestrator.runs.turns import Turns
from waybill.runtime import deadline, faults
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Deadline, ServiceError, Unavailable
from waybill.runtime.loops import repeating
from waybill.runtime.retry import insist

# From this start on a run is a suspect: it may be what kills the process.
SUSPECT_STARTS = 3
# How long a step is repeated that misses a service of ours; then its run waits, and takes up no place. Our
# database is waited for without end, but by a process that drains.
PATIENCE_SECONDS, DRAIN_SECONDS = 600.0, 3.0
# How long a run that is late waits for its work elsewhere to stop: a vendor may be away for hours.
STOP_SECONDS = 10.0
# So much later a process knows what another has done to a run that it works on.
LOOK_SECONDS = 1.0
T = TypeVar("T")
Body = Callable[[Row], Awaitable[T | Noted[T]]]
log = structlog.get_logger()


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
class _Execution:
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


class Durable:
    """Executes ingestions to their end, each step once.

    Args:
        runs: Their rows.
        steps: The rows of their steps.
        unqueue: Takes an execution out of the engine's queue, by its name.
        away: Names the services of ours that do not answer.
        patience_seconds: How long a step is repeated that misses one.
    """

    def __init__(
        self,
        runs: Runs,
        steps: StepLog,
        unqueue: Callable[[str], Awaitable[None]],
        away: Callable[[], Awaitable[Sequence[str]]],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._runs = runs
        self._steps = steps
        self._unqueue = unqueue
        self._away = away
        self._patience_seconds = patience_seconds
        self._turns = Turns()
        # By document and content.
        self._same: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        # By the engine's names.
        self._executions: dict[str, _Execution] = {}
        self._draining = False

    async def execute(self, run: RunRef, ingestion: Ingestion, workflow: str) -> None:
        """Executes an ingestion and writes down how it ended.

        Args:
            run: Whose it is.
            ingestion: What is executed.
            workflow: The engine's name for this execution: one that a wait or a retry has left behind, and
                that the engine brings back after a crash, is not executed.

        Raises:
            CancelledError: The process drains; the engine brings the execution back in the next one.
        """
        if self._draining:
            raise asyncio.CancelledError
        execution = self._executions[workflow] = _Execution(run, ingestion, workflow)
        execution.task = asyncio.create_task(self._execute(execution))
        try:
            await asyncio.wait([execution.task])
        finally:
            del self._executions[workflow]
        # One that is cut off otherwise has ended: its row says so, or names its successor.
        if self._draining or not execution.task.cancelled():
            execution.task.result()

    async def cancel(self, run: RunRef, ingestion: Ingestion) -> Row:
        """Cancels a run, and answers once its work has stopped; a final run stays as it is."""
        row = await self._runs.change(
            run, state="CANCELLED", reason=CANCELLED["reason"], message=CANCELLED["message"]
        )
        if row["state"] == "CANCELLED":
            await self._cut_off(lambda name, execution: name == workflow_id(row))
            with acting_for(run, row):
                await ingestion.stop(run)
            await self._unqueue(workflow_id(row))
        return row

    async def drain(self) -> None:
        """Hands every run back as if it had not been begun: whoever starts next goes on with it."""
        self._draining = True
        await self._cut_off(lambda name, execution: True)

    def looking(self) -> AbstractAsyncContextManager[None]:
        """Cuts off, until the block is left, what another process has ended or taken over."""
        return repeating("ends of runs elsewhere", self.look, LOOK_SECONDS)

    async def look(self) -> None:
        """Cuts off what is executed here though its row says that it has ended, or is executed anew."""
        runs: dict[str, list[str]] = defaultdict(list)
        names = dict(self._executions)
        for execution in names.values():
            runs[execution.run.tenant].append(execution.run.run_id)
        rows = [row for tenant, ids in runs.items() for row in await self._runs.named(tenant, ids)]
        for row in rows:
            if row["state"] not in FINAL_STATES:
                names.pop(workflow_id(row), None)
        await self._cut_off(lambda name, execution: name in names)
        for row in rows:
            if row["state"] == "CANCELLED" and (left := names.get(workflow_id(row))):
                # Its step may have begun work elsewhere behind the stop of who cancelled it.
                await self._stop(left.run, row, left.ingestion)

    async def _execute(self, execution: _Execution) -> None:
        run, workflow = execution.run, execution.workflow
        row = await insist(partial(self._runs.find, run), seconds=None)
        if not _is_executed_by(row, workflow):
            return
        if row["alone_starts"]:
            await self._change(execution, {"state": "FAILED", **POISON})
            return
        # A try that another process ended may still be at it in this one.
        await self._cut_off(lambda name, execution: execution.run == run and name != workflow)
        suspect = row["starts"] + 1 >= SUSPECT_STARTS
        counts = {"starts": 1, "alone_starts": int(suspect)}
        clock = asyncio.get_running_loop().time
        sole_until = clock() + PATIENCE_SECONDS
        # The second run of the same finds what the first has made, instead of buying it, too.
        while True:
            try:
                async with self._same_content(row), self._turns.turn(alone=suspect):
                    await self._execute_in_turn(execution, row, counts, sole=clock() < sole_until)
                return
            except TwinUnderWay:
                # In another process, or about to be brought back in this one.
                await asyncio.sleep(LOOK_SECONDS)

    def _same_content(self, row: Row) -> asyncio.Lock:
        names = ("tenant", "collection", "document_key", "source_sha256")
        return self._same.setdefault(tuple(row[name] for name in names), asyncio.Lock())

    async def _execute_in_turn(
        self, execution: _Execution, row: Row, counts: Mapping[str, int], *, sole: bool
    ) -> None:
        """Only what has its turn is started, so that a death is counted against what was under way."""
        execution.counts = {"state": "RUNNING", "reason": "", "message": "", "sole": sole, **counts}
        try:
            ending = await self._ending(execution, row)
        except asyncio.CancelledError:
            back = {} if execution.counts else {name: -count for name, count in counts.items()}
            if back or execution.ended:
                await self._change(execution, back, DRAIN_SECONDS)
            raise
        except RunWaits as waits:
            wait = partial(self._runs.wait, execution.run, execution.workflow, waits, execution.ended)
            try:
                await insist(wait, seconds=None)
            except StepFailed as error:
                await self._change(execution, vars(await self._badly(execution, row, error)))
        else:
            await self._change(execution, vars(ending))

    async def _ending(self, execution: _Execution, row: Row) -> Ending:
        try:
            return await execution.ingestion.ingest(execution.run, partial(self._step, execution))
        except StepFailed as error:
            return await self._badly(execution, row, error)
        except (RunWaits, TwinUnderWay):
            raise
        except Exception as error:
            # Whatever nobody foresaw: the run must not be RUNNING for ever.
            log.exception("run broke", run_id=execution.run.run_id)
            return Ending("FAILED", "INTERNAL_ERROR", broken("run", error)["message"])

    async def _badly(self, execution: _Execution, row: Row, error: StepFailed) -> Ending:
        state = error.reason if error.reason in ("EXPIRED", "CANCELLED") else "FAILED"
        if state == "EXPIRED":
            await self._stop(execution.run, row, execution.ingestion)
        if state == "FAILED" and row["healing"]:
            # What was published is as it was.
            text = f"Healing it failed ({error.reason}): {error.message}"
            # Bought again and again, that would be paid again and again: somebody must allow it.
            heals = error.reason != "RETRY_BUDGET_EXCEEDED"
            return Ending("READY_DEGRADED", row["healing"], text, heals)
        return Ending(state, error.reason, error.message)

    async def _cut_off(self, which: Callable[[str, _Execution], bool]) -> None:
        """Cancels executions, and waits until nothing of them is left."""
        tasks = [execution.task for name, execution in self._executions.items() if which(name, execution)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _change(
        self, execution: _Execution, columns: Mapping[str, Any], seconds: float | None = None
    ) -> None:
        """Changes a run's row as long as this is how it is executed, whenever the database is back."""
        change = partial(self._runs.change, execution.run, workflow=execution.workflow, ended=execution.ended)
        await insist(partial(change, **columns), seconds=seconds)

    async def _stop(self, run: RunRef, row: Row, ingestion: Ingestion) -> None:
        deadline.start(STOP_SECONDS)  # the run's own has passed, and is why this is done
        try:
            with acting_for(run, row):
                await ingestion.stop(run)
        except ServiceError as error:
            # The run ends all the same; what still works for it ends by itself and is not published.
            log.warning(
                "work of a run that ended could not be stopped", run_id=run.run_id, reason=error.reason
            )

    async def _step(self, execution: _Execution, name: str, kind: Callable[..., T], body: Body[T]) -> T:
        """A `Step`, again while something that it needs is away."""
        execution.under_way += 1
        try:
            outcome = await insist(partial(self._once, execution, name, body), seconds=self._patience_seconds)
        except ServiceError as error:
            if waits := for_services(error, await self._services_away(error)):
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

    async def _once(self, execution: _Execution, name: str, body: Body[Any]) -> Outcome:
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

    async def _tell_part(self, execution: _Execution, number: int, part: Part) -> None:
        begun = Begun(part.name, number, part.began)
        await self._runs.change(execution.run, workflow=execution.workflow, begun=begun)

    async def _open(self, execution: _Execution, name: str) -> tuple[Row, Outcome | None]:
        """Begins a step, and writes with it what was not written yet."""
        async with execution.opening:
            written = execution.counts, execution.ended
            opened = await self._steps.open(execution.run, name, execution.workflow, _refused, *written)
            execution.counts, execution.ended = {}, None
        return opened


async def side_by_side(works: Iterable[Callable[[], Awaitable[T]]], at_most: int) -> list[T]:
    """Does works in order, so many at a time; the first that fails ends the others, before it travels.

    Answers what they came to, as they ended.

    Where one waits, those under way come to their end before that travels, and no other begins.
    """
    remaining = iter(works)
    waits: list[RunWaits] = []
    came: list[T] = []

    async def worker() -> None:
        for work in remaining:
            if waits:
                return
            try:
                came.append(await work())
            except RunWaits as wait:
                waits.append(wait)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_most):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if waits:
        raise waits[0]
    return came


def _is_executed_by(row: Row, workflow: str) -> bool:
    return row["state"] not in FINAL_STATES and workflow_id(row) == workflow


def _refused(workflow: str, row: Row) -> Outcome | None:
    """What a step of a run that has ended, is executed anew, or is late, answers instead of beginning."""
    if not _is_executed_by(row, workflow):
        return {"failed": CANCELLED}
    seconds = _seconds_left(row)
    return {"failed": expired(row["message"])} if seconds is not None and seconds <= 0 else None


def _seconds_left(row: Row) -> float | None:
    if row["complete_by"] is None:
        return None
    left: datetime.timedelta = row["complete_by"] - utc_now()
    return left.total_seconds()
