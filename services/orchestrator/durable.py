"""What makes the story durable: DBOS remembers finished steps, our rows tell what happened when.

Nothing but JSON goes into the engine's tables, which have no row-level security: ids, counts, and
errors as reason and message. No exception crosses it, since it would be stored with its text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, Serializer
from opentelemetry import context as otel_context

from services.orchestrator import trace_ids
from services.orchestrator.config import OrchestratorConfig
from services.orchestrator.runs import QUEUE, WORKFLOW, RunRef, Runs
from waybill.runtime import deadline, identity
from waybill.runtime.errors import ServiceError
from waybill.runtime.telemetry import remote_parent

# Raised only when the order of the steps changes: runs of another version wait for their own.
APPLICATION_VERSION = "1"
QUEUE_POLL_SECONDS = 0.2
T = TypeVar("T")
log = structlog.get_logger()


class Story(Protocol):
    """What is told durably."""

    async def ingest(self, run: RunRef) -> None:
        """The steps, in order."""


@dataclasses.dataclass
class StepFailed(Exception):
    """A step ended in an error that repeating does not mend; the run ends FAILED."""

    reason: str
    message: str


class JsonSerializer(Serializer):
    """Rows that a person can read, and that run no code when read back."""

    def serialize(self, data: Any) -> str:
        """JSON; an exception becomes its class name alone."""
        return json.dumps(data, default=lambda value: {"error": type(value).__name__})

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805  (the library's own spelling)
        """The value that was written."""
        return json.loads(serialized_data)

    def name(self) -> str:
        """Stands in every row."""
        return "waybill_json"


class Durable:
    """Runs steps once each, and a story to its end."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def step(
        self, run: RunRef, name: str, kind: Callable[..., T], body: Callable[[], Awaitable[T]]
    ) -> T:
        """Runs a step's body, or answers what it answered when it ended before a crash.

        Nothing may be awaited before the engine numbers the step: numbers follow the story's order.

        Args:
            run: Whose step it is.
            name: As it stands in the trace.
            kind: What the body answers: a frozen dataclass of JSON values, int or str.
            body: May run again from its start after a crash.

        Raises:
            StepFailed: The body raised a ServiceError.
        """
        outcome = await DBOS.run_step_async({"name": name}, self._recorded, run, name, body)
        if "failed" in outcome:
            raise StepFailed(**outcome["failed"])
        value = outcome["value"]
        return kind(**value) if isinstance(value, dict) else kind(value)

    async def tell(self, run: RunRef, story: Story) -> None:
        """Runs a story and writes down how it ended."""
        await self._runs.change(run, state="RUNNING", starts=1)
        try:
            await story.ingest(run)
        except StepFailed as error:
            await self._runs.change(run, state="FAILED", reason=error.reason, message=error.message)
        else:
            await self._runs.change(run, state="READY")

    async def _recorded(self, run: RunRef, name: str, body: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        row = await self._runs.find(run)
        span_id = trace_ids.step_span_id(run.run_id, name)
        who = identity.Caller(run.tenant, row["correlation_id"], run.run_id, span_id)
        deadline.clear()
        parent = otel_context.attach(remote_parent(trace_ids.trace_id(run.run_id), span_id))
        try:
            with identity.acting_as(who):
                await self._runs.begin_step(run, name)
                outcome = await _outcome(body)
                await self._runs.end_step(run, name, "ERROR" if "failed" in outcome else "OK")
                return outcome
        finally:
            otel_context.detach(parent)


async def _outcome(body: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    try:
        value = await body()
    except ServiceError as error:
        log.warning("step failed", reason=error.reason)
        return {"failed": {"reason": error.reason, "message": error.message}}
    except Exception as error:
        log.exception("step broke")
        message = f"The step broke ({type(error).__name__}): a defect of Waybill. Its log tells more."
        return {"failed": {"reason": "INTERNAL_ERROR", "message": message}}
    return {"value": dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value}  # type: ignore[arg-type]


async def launch(config: OrchestratorConfig, durable: Durable, story: Story) -> None:
    """Starts the engine: it takes its own unfinished runs again, then new ones from the queue."""
    settings: DBOSConfig = {
        "name": "waybill",
        "system_database_url": config.database_url,
        "sys_db_pool_size": 4,
        "application_version": APPLICATION_VERSION,
        "executor_id": config.executor_id,
        "serializer": JsonSerializer(),
        "run_migrations": False,
        "log_level": "ERROR",
    }
    DBOS(config=settings)

    # The engine's own cap counts process deaths and would dead-letter healthy neighbours.
    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
    async def ingest(tenant: str, run_id: str) -> None:
        await durable.tell(RunRef(tenant, run_id), story)

    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE,
        worker_concurrency=config.runs_in_flight,
        partition_worker_concurrency=config.tenant_runs_in_flight,
        polling_interval_sec=QUEUE_POLL_SECONDS,
        on_conflict="always_update",
    )


def shut_down() -> None:
    """Stops the engine at once; runs under way are taken again at the next start."""
    DBOS.destroy(workflow_completion_timeout_sec=0)
