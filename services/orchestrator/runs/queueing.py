"""The engine's queue: a run is put into it in the transaction that changes the run's row."""

from __future__ import annotations

from psycopg.types.json import Json

from services.orchestrator.runs.rows import Row
from waybill.runtime.postgres import Connection

WORKFLOW = "ingest"
QUEUE = "ingest"

ENQUEUE = """
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s, queue_name => %(queue)s, positional_args => %(arguments)s::json[],
    workflow_id => %(workflow_id)s, app_version => %(version)s, queue_partition_key => %(tenant)s)
"""


async def enqueue(connection: Connection, row: Row, application_version: str) -> None:
    """Queues a run as its row says: its newest try, or that again after a wait."""
    values = {
        "workflow": WORKFLOW,
        "queue": QUEUE,
        "arguments": [Json(row["tenant"]), Json(str(row["run_id"]))],
        "workflow_id": workflow_id(row),
        "version": application_version,
        "tenant": row["tenant"],
    }
    await connection.execute(ENQUEUE, values)


def workflow_id(row: Row) -> str:
    """The engine's name for what a run does now: <run_id>.<try>, and .<wakes> where it has waited."""
    name = f"{row['run_id']}.{row['tries']}"
    return f"{name}.{row['wakes']}" if row["wakes"] else name
