"""Deleting a document: everything of it, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import LiteralString

from waybill.runtime.postgres import Connection, Database

# A tenant's deletions go one after the other: of two documents that share a source, the second one to
# go must see that the first is gone, or neither would call the source orphaned.
QUEUE_UP = "select pg_advisory_xact_lock('documents'::regclass::int, hashtext(%s))"

# Nobody begins, publishes or deletes a version of it meanwhile.
LOCK_DOCUMENT = """
select document_id from documents
where (tenant, collection, document_key) = (%(tenant)s, %(collection)s, %(document_key)s)
for update
"""

# Waits for who writes to a version; who comes later finds none.
LOCK_VERSIONS = """
select version_id, number, source_sha256 from document_versions where document_id = %(document_id)s
order by version_id for update
"""

ORPHANED = """
select distinct source_sha256 from unnest(%(sources)s::text[]) source_sha256
where not exists (
    select from document_versions others
    where others.tenant = %(tenant)s and others.source_sha256 = source_sha256.source_sha256)
order by source_sha256
"""

DELETE_VECTORS = "delete from vectors where version_id = any(%(version_ids)s)"
DELETE_CHUNKS = "delete from chunks where version_id = any(%(version_ids)s)"
DELETE_POSTINGS = "delete from postings where number = any(%(numbers)s)"
POINT_NOWHERE = "update documents set current_version_id = null where document_id = %(document_id)s"
DELETE_VERSIONS = "delete from document_versions where document_id = %(document_id)s"
DELETE_DOCUMENT = "delete from documents where document_id = %(document_id)s"


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much is gone, and the sources that none of the tenant's documents is made from any more."""

    versions: int = 0
    chunks: int = 0
    vectors: int = 0
    orphaned_source_sha256: Sequence[str] = ()


async def delete_document(
    database: Database, tenant: str, collection: str, document_key: str, known_sources: Sequence[str]
) -> Deleted:
    """Deletes a document with every version, chunk and vector of it; of an unknown one, nothing.

    Args:
        known_sources: Judged for being orphans too.
    """
    values: dict[str, object] = {"tenant": tenant, "collection": collection, "document_key": document_key}
    async with database.transaction(tenant) as connection:
        await connection.execute(QUEUE_UP, [tenant])
        document = await (await connection.execute(LOCK_DOCUMENT, values)).fetchone()
        deleted, sources = Deleted(), list(known_sources)
        if document is not None:
            versions = await (await connection.execute(LOCK_VERSIONS, document)).fetchall()
            sources += [row["source_sha256"] for row in versions]
            ids = {
                "version_ids": [row["version_id"] for row in versions],
                "numbers": [row["number"] for row in versions],
            }
            deleted = await _delete(connection, document | ids)
        judged = {"tenant": tenant, "sources": sources}
        orphaned = await (await connection.execute(ORPHANED, judged)).fetchall()
        return replace(deleted, orphaned_source_sha256=[row["source_sha256"] for row in orphaned])


async def _delete(connection: Connection, values: dict[str, object]) -> Deleted:
    async def rows(statement: LiteralString) -> int:
        return (await connection.execute(statement, values)).rowcount

    vectors, chunks = await rows(DELETE_VECTORS), await rows(DELETE_CHUNKS)
    await rows(DELETE_POSTINGS)
    await rows(POINT_NOWHERE)
    versions = await rows(DELETE_VERSIONS)
    await rows(DELETE_DOCUMENT)
    return Deleted(versions, chunks, vectors)
