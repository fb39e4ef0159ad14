"""Words of chunks that came before there were postings: read by the owner role, in small transactions."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.storage import postings
from waybill.runtime.postgres import Connection, Database

BATCH_CHUNKS = 500
LOOK_SECONDS = 3_600.0
log = structlog.get_logger()

# One version with such chunks, once nobody writes, publishes or sweeps it.
NEXT = """
select tenant, version_id, number, collection
from document_versions join documents using (tenant, document_id)
where state in ('BUILDING', 'PUBLISHED') and exists (
    select from chunks where chunks.version_id = document_versions.version_id and length is null)
limit 1 for update of document_versions
"""

CHUNKS = """
select ordinal, heading, lead, text from chunks
where version_id = %s and length is null
order by ordinal limit %s
"""

# What is published is in the totals, which follow its length.
COUNT_CHUNKS = """
update chunks set length = counted.length
from unnest(%(ordinals)s::int[], %(lengths)s::int[]) as counted (ordinal, length)
where version_id = %(version_id)s and chunks.ordinal = counted.ordinal
"""

COUNT_VERSION = """
update document_versions set length = length + %(length)s
where version_id = %(version_id)s and state = 'PUBLISHED'
"""


@dataclass(frozen=True, slots=True)
class _Passage:
    ordinal: int
    heading: str
    lead: str
    text: str


async def turn(owner: Database) -> None:
    """Fills in what is missing, and says so."""
    if filled := await fill(owner):
        log.info("older chunks are indexed by their words", chunks=filled)


async def fill(owner: Database, batch_chunks: int = BATCH_CHUNKS) -> int:
    """Fills in what is missing now, so many chunks a transaction. Returns how many chunks that were."""
    filled = 0
    while batch := await _fill(owner, batch_chunks):
        filled += batch
    return filled


async def _fill(owner: Database, batch_chunks: int) -> int:
    async with owner.transaction(None) as connection:
        version = await (await connection.execute(NEXT)).fetchone()
        if version is None:
            return 0
        rows = await (await connection.execute(CHUNKS, [version["version_id"], batch_chunks])).fetchall()
        await _index(connection, version, [_Passage(**row) for row in rows])
        return len(rows)


async def _index(connection: Connection, version: dict[str, object], passages: list[_Passage]) -> None:
    read = await postings.of_passages(passages)
    place = (str(version["tenant"]), str(version["collection"]), int(str(version["number"])))
    await postings.add(connection, *place, read)
    lengths = {ordinal: postings.length_of(words) for ordinal, words in read.items()}
    values = {
        "version_id": version["version_id"],
        "ordinals": list(lengths),
        "lengths": list(lengths.values()),
        "length": sum(lengths.values()),
    }
    await connection.execute(COUNT_CHUNKS, values)
    await connection.execute(COUNT_VERSION, values)
