"""The durable engine: DBOS on our own Postgres, with rows that a person can read."""

from __future__ import annotations

import datetime
import json
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer

from services.orchestrator.config import OrchestratorConfig
from services.orchestrator.runs.durable import Durable
from services.orchestrator.runs.queueing import QUEUE, WORKFLOW
from services.orchestrator.runs.rows import RunRef
from services.orchestrator.runs.stepping import Ingestion
from waybill.runtime.clock import utc_now

# Raised only when the order of the steps changes: runs of another version wait for their own.
APPLICATION_VERSION = "1"
# Each look costs some 8 ms of CPU, also while there is nothing to do.
QUEUE_POLL_SECONDS = 0.5
FORGET_AT_A_TIME = 500


class JsonSerializer(Serializer):
    """Rows that run no code when read back."""

    def serialize(self, data: Any) -> str:
        """JSON; an exception becomes its class name alone."""
        return json.dumps(data, default=lambda value: {"error": type(value).__name__})

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805  (the library's own spelling)
        """The value that was written."""
        return json.loads(serialized_data)

    def name(self) -> str:
        """Stands in every row."""
        return "waybill_json"


async def launch(config: OrchestratorConfig, durable: Durable, ingestion: Ingestion) -> None:
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
        await durable.execute(RunRef(tenant, run_id), ingestion, DBOS.workflow_id or "")

    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE,
        worker_concurrency=config.runs_in_flight,
        partition_worker_concurrency=min(config.tenant_runs_in_flight, config.runs_in_flight),
        polling_interval_sec=QUEUE_POLL_SECONDS,
        on_conflict="always_update",
    )


async def unqueue(workflow: str) -> None:
    """Takes a workflow out of the queue, by its id; the engine does not bring it back."""
    await DBOS.cancel_workflow_async(workflow)


async def forget(days: int) -> None:
    """Deletes the engine's rows of workflows that ended more than so many days ago."""
    before = utc_now() - datetime.timedelta(days=days)
    while ended := await DBOS.list_workflows_async(
        completed_before=before.isoformat(), limit=FORGET_AT_A_TIME, load_input=False, load_output=False
    ):
        await DBOS.delete_workflows_async([workflow.workflow_id for workflow in ended])


def shut_down() -> None:
    """Stops the engine at once; runs under way are taken again at the next start."""
    DBOS.destroy(workflow_completion_timeout_sec=0)
