"""What a document's deletion asks of its runs: is one under way, and what were they made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from psycopg.types.json import Jsonb

from services.orchestrator.runs.rows import Row
from waybill.runtime.errors import Precondition
from waybill.runtime.postgres import Database

UNFINISHED = """
select run_id, document_key from waybill_runs.runs
where ended_at is null and collection = %(collection)s and metadata @> %(metadata)s
order by run_id limit %(limit)s
"""

# Keeps the acceptance of a source apart from the deletion of the same.
LOCK_SOURCE = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"


class Deletions:
    """Reads a tenant's runs for who deletes a document."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unfinished(
        self, tenant: str, collection: str, metadata: Mapping[str, str], limit: int
    ) -> list[Row]:
        """Runs under way of documents of a collection that have these values: run_id and document_key."""
        values = {"collection": collection, "metadata": Jsonb(dict(metadata)), "limit": limit}
        return await self._database.rows(tenant, UNFINISHED, values)

    async def delete_source(self, tenant: str, sha256: str, delete: Callable[[], Awaitable[None]]) -> bool:
        """Deletes a source unless an unfinished run needs it; answers whether it was deleted."""
        query = "select 1 from waybill_runs.runs where source_sha256 = %s and ended_at is null limit 1"
        async with self._database.transaction(tenant) as connection:
            await connection.execute(LOCK_SOURCE, [f"{tenant}/{sha256}"])
            if await (await connection.execute(query, [sha256])).fetchone():
                return False
            await delete()
        return True

    async def sources(self, tenant: str, collection: str, document_key: str) -> list[str]:
        """The sources, SHA-256 hex, that a document was ever made from; the newest 1,000."""
        query = (
            "select source_sha256 from waybill_runs.runs where (collection, document_key) = (%s, %s)"
            " group by source_sha256 order by max(created_at) desc limit 1000"
        )
        rows = await self._database.rows(tenant, query, [collection, document_key])
        return [row["source_sha256"] for row in rows]

    async def check_finished(self, tenant: str, collection: str, document_key: str) -> None:
        """Raises Precondition RUN_UNFINISHED while a run of the document is under way."""
        query = (
            "select run_id from waybill_runs.runs"
            " where (collection, document_key) = (%s, %s) and ended_at is null limit 1"
        )
        row = await self._database.row(tenant, query, [collection, document_key])
        if row is not None:
            run_id = str(row["run_id"])
            raise Precondition(
                "RUN_UNFINISHED",
                f"Run {run_id} of this document is under way. Await or cancel it.",
                {"run_id": run_id},
            )
