"""What the index holds, as a caller lists it: documents by name, and collections with their counts.

Each page walks an index from where the one before ended, so that the last page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from waybill.runtime.errors import NotFound
from waybill.runtime.postgres import Connection, Database

Row = dict[str, Any]

# Documents with what is published of them. The page is taken before the rest is joined to it.
_JOINED = """
select page.*, version_id, run_id, source_sha256, chunk_count, chunk_count - vector_count as pending_vectors,
    published_at, backends, model, dimension, revision
from ({page}) page
left join document_versions on version_id = current_version_id left join spaces using (space_id)
order by collection, document_key
"""

ONE = _JOINED.format(
    page="""
    select * from documents
    where (tenant, collection, document_key) = (%(tenant)s, %(collection)s, %(document_key)s)
"""
)

# Within one collection, a comparison of both columns would not walk the index to where the page begins.
LIST = _JOINED.format(
    page="""
    select * from documents
    where tenant = %(tenant)s
        and (%(collection)s::text is null or collection = %(collection)s)
        and (%(after_key)s::text is null or %(collection)s::text is null or document_key > %(after_key)s)
        and (%(after_key)s::text is null or %(collection)s::text is not null
            or (collection, document_key) > (%(after_collection)s, %(after_key)s))
        and (%(metadata)s::jsonb is null or metadata @> %(metadata)s)
        and (%(origin)s::text is null or origin = %(origin)s)
        and (%(source_sha256)s::text is null or current_version_id = any(array(
            select version_id from document_versions
            where tenant = %(tenant)s and source_sha256 = %(source_sha256)s)))
    order by collection, document_key
    limit %(limit)s
"""
)

COLLECTIONS = """
select collection, sum(documents)::bigint as documents, sum(chunks)::bigint as chunks
from totals
where tenant = %(tenant)s and (%(after)s::text is null or collection > %(after)s)
group by collection
order by collection
limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents are listed; what is empty does not count.

    Attributes:
        collection: Of this collection alone.
        metadata: That have each of these values.
        origin: That were last ingested from there.
        source_sha256: Whose published content is this file's.
    """

    collection: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    source_sha256: str = ""

    def values(self) -> dict[str, Any]:
        """What the statement of a listing names."""
        return {
            "collection": self.collection or None,
            "metadata": Jsonb(dict(self.metadata)) if self.metadata else None,
            "origin": self.origin or None,
            "source_sha256": self.source_sha256 or None,
        }


async def document(connection: Connection, tenant: str, collection: str, document_key: str) -> Row:
    """One document. Raises NotFound: DOCUMENT_NOT_FOUND."""
    values = {"tenant": tenant, "collection": collection, "document_key": document_key}
    row = await (await connection.execute(ONE, values)).fetchone()
    if row is None:
        raise NotFound("DOCUMENT_NOT_FOUND", "The collection has no document of this key.")
    return row


async def documents(
    database: Database, tenant: str, wanted: Wanted, limit: int, after: tuple[str, ...] | None
) -> list[Row]:
    """Documents by collection and key, behind a place in that order."""
    after_collection, after_key = after or (None, None)
    values = wanted.values() | {"after_collection": after_collection, "after_key": after_key}
    async with database.transaction(tenant) as connection:
        cursor = await connection.execute(LIST, values | {"tenant": tenant, "limit": limit})
        return await cursor.fetchall()


async def collections(database: Database, tenant: str, limit: int, after: str | None) -> list[Row]:
    """Collections that have a published document, by name, with what is published in each."""
    values = {"tenant": tenant, "limit": limit, "after": after}
    return await database.rows(tenant, COLLECTIONS, values)
