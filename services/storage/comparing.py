"""Chunks that are only planned: what there is of them already, and how the published version differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.storage.spaces import KNOWN, Space
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.postgres import Database

MOST_HASHES = 10_000
# As REUSE_VECTORS in chunks.py finds a twin.
EMBEDDED = """
select exists (
    select from chunks join vectors using (version_id, ordinal)
    where chunks.tenant = %(tenant)s and sha256 = wanted.hash and space_id = %(space_id)s) as embedded
from unnest(%(hashes)s::text[]) with ordinality wanted (hash, place)
order by place
"""
PUBLISHED = """
select count(*) as published, count(*) filter (where sha256 = any(%(hashes)s)) as here
from documents join chunks on version_id = current_version_id
where (collection, document_key) = (%(collection)s, %(document_key)s)
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """What there is of chunks.

    Attributes:
        embedded: For each of them, in order, whether the tenant has a vector of its text.
        here: Chunks of the published version that are among them.
        published: Chunks of the published version.
    """

    embedded: Sequence[bool]
    here: int
    published: int


async def compare(
    database: Database, tenant: str, collection: str, document_key: str, space: Space, hashes: Sequence[bytes]
) -> Compared:
    """Looks chunks up by the hashes of what is embedded.

    Raises:
        InvalidRequest: INVALID_REQUEST.
    """
    if len(hashes) > MOST_HASHES or any(len(each) != 32 for each in hashes):
        raise InvalidRequest("INVALID_REQUEST", f"sha256 are at most {MOST_HASHES:,}, of 32 bytes each.")
    async with database.transaction(tenant) as connection:
        rows = await (await connection.execute(KNOWN)).fetchall()
        known = {Space(row["model"], row["dimension"], row["revision"]): row["space_id"] for row in rows}
        values: dict[str, Any] = {
            "tenant": tenant,
            "collection": collection,
            "document_key": document_key,
            # Nothing is in a space that nobody knows.
            "space_id": known.get(space, 0),
            "hashes": [each.hex() for each in hashes],
        }
        embedded = await (await connection.execute(EMBEDDED, values)).fetchall()
        (counts,) = await (await connection.execute(PUBLISHED, values)).fetchall()
    return Compared([row["embedded"] for row in embedded], counts["here"], counts["published"])
