"""What a search may find: the published versions of a collection, and of them those that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from services.storage.ranking import Totals
from waybill.runtime.postgres import Connection

# The published versions that are searched.
REACH = sql.SQL("""
reach as not materialized (
    select document_id, document_key, current_version_id as version_id
    from documents
    where tenant = %(tenant)s and collection = %(collection)s and current_version_id is not null
        and (%(document_keys)s::text[] is null or document_key = any(%(document_keys)s))
        and (%(metadata)s::jsonb is null or metadata @> %(metadata)s)
)
""")

TOTALS = """
select coalesce(sum(chunks), 0)::bigint as chunks, coalesce(sum(length), 0)::bigint as length,
    coalesce(sum(vectors) filter (where space_id = %(space_id)s), 0)::bigint as vectors
from totals
where tenant = %(tenant)s and collection = %(collection)s
"""

# What is in reach of a filter, counted when it was published.
FILTERED = sql.SQL("""
with {reach}
select coalesce(sum(chunk_count), 0)::bigint as chunks,
    coalesce(sum(vector_count) filter (where space_id = %(space_id)s), 0)::bigint as vectors,
    coalesce(array_agg(number), '{{}}') as numbers
from document_versions join reach using (version_id)
""").format(reach=REACH)


# What is in reach of a space that the totals do not count.
VECTORS = sql.SQL("""
with {reach}
select count(*) as vectors from vectors join reach using (version_id) where space_id = %(space_id)s
""").format(reach=REACH)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which chunks are searched.

    Attributes:
        collection: Of this collection alone.
        document_keys: Of these documents; of all where empty.
        metadata: Of documents that have each of these values.
        first_page: From this page on.
        last_page: Up to this page; to the last where 0.
    """

    collection: str
    document_keys: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    first_page: int = 0
    last_page: int = 0

    @property
    def by_document(self) -> bool:
        """Whether not all documents are searched."""
        return bool(self.document_keys or self.metadata)

    @property
    def by_page(self) -> bool:
        """Whether not all pages are searched."""
        return self.first_page > 1 or self.last_page > 0

    def values(self, tenant: str) -> dict[str, Any]:
        """What the statements of a search name."""
        return {
            "tenant": tenant,
            "collection": self.collection,
            "document_keys": list(self.document_keys) or None,
            "metadata": Jsonb(dict(self.metadata)) if self.metadata else None,
            "first_page": self.first_page,
            "last_page": self.last_page or None,
        }


@dataclass(frozen=True, slots=True)
class Scope:
    """What is in reach.

    Attributes:
        totals: Of the whole collection, which says how rare a word is.
        chunks: In reach.
        vectors: In reach and in the search's space.
        within: The versions in reach; None for all of the collection.
    """

    totals: Totals
    chunks: int
    vectors: int
    within: Sequence[int] | None


async def scope(connection: Connection, wanted: Filter, values: Mapping[str, Any]) -> Scope:
    """Measures what a search may find."""
    row = await (await connection.execute(TOTALS, values)).fetchone()
    assert row is not None
    totals = Totals(row["chunks"], row["length"])
    if not wanted.by_document:
        return Scope(totals, row["chunks"], row["vectors"], None)
    reached = await (await connection.execute(FILTERED, values)).fetchone()
    assert reached is not None
    return Scope(totals, reached["chunks"], reached["vectors"], reached["numbers"])


async def vectors(connection: Connection, values: Mapping[str, Any]) -> int:
    """Counts what is in reach of a space beside the one that is searched."""
    row = await (await connection.execute(VECTORS, values)).fetchone()
    assert row is not None
    return int(row["vectors"])
