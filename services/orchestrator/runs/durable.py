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
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import structlog

from services.orchestrator.runs.context import acting_for
from services.orchestrator.runs.outcomes import (
    CANCELLED,
    POISON,
    Ending,
    RunWaits,
    StepFailed,
    TwinUnderWay,
    broken,
)
from services.orchestrator.runs.queueing import workflow_id
from services.orchestrator.runs.rows import FINAL_STATES, Row, RunRef
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.stepping import Execution, Ingestion, Steps, is_executed_by
from services.orchestrator.runs.store import Runs
from services.orchestrator.runs.turns import Turns
from waybill.runtime import deadline
from waybill.runtime.errors import ServiceError
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
log = structlog.get_logger()


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
        self._steps = Steps(runs, steps, away, patience_seconds)
        self._unqueue = unqueue
        self._turns = Turns()
        # By document and content.
        self._same: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        # By the engine's names.
        self._executions: dict[str, Execution] = {}
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
        execution = self._executions[workflow] = Execution(run, ingestion, workflow)
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

    async def _execute(self, execution: Execution) -> None:
        run, workflow = execution.run, execution.workflow
        row = await insist(partial(self._runs.find, run), seconds=None)
        if not is_executed_by(row, workflow):
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
        self, execution: Execution, row: Row, counts: Mapping[str, int], *, sole: bool
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

    async def _ending(self, execution: Execution, row: Row) -> Ending:
        try:
            return await execution.ingestion.ingest(execution.run, partial(self._steps.step, execution))
        except StepFailed as error:
            return await self._badly(execution, row, error)
        except (RunWaits, TwinUnderWay):
            raise
        except Exception as error:
            # Whatever nobody foresaw: the run must not be RUNNING for ever.
            log.exception("run broke", run_id=execution.run.run_id)
            return Ending("FAILED", "INTERNAL_ERROR", broken("run", error)["message"])

    async def _badly(self, execution: Execution, row: Row, error: StepFailed) -> Ending:
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

    async def _cut_off(self, which: Callable[[str, Execution], bool]) -> None:
        """Cancels executions, and waits until nothing of them is left."""
        tasks = [execution.task for name, execution in self._executions.items() if which(name, execution)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _change(
        self, execution: Execution, columns: Mapping[str, Any], seconds: float | None = None
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
