"""Publishing a version: one pointer, flipped in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from services.storage import collection_spaces, versions
from waybill.runtime import faults
from waybill.runtime.errors import Precondition
from waybill.runtime.postgres import Connection, Database

# The document of a version and the pointer to flip; publishers of one document queue up here.
LOCK_DOCUMENT = """
select document_id, current_version_id,
    coalesce((select edition from document_versions where version_id = current_version_id), 0) as edition
from documents
where document_id = (select document_id from document_versions where version_id = %s)
for update
"""

# The version, once nobody writes to it any more.
LOCK_VERSION = """
select state, chunk_count - vector_count as pending from document_versions
where version_id = %s for update
"""

# What a version has. Ordinals are whole when the highest is the last.
COUNT = """
select count(*) as chunks, coalesce(max(ordinal), -1) + 1 as places, coalesce(sum(length), 0) as length,
    (select count(*) from vectors where version_id = %(version_id)s and space_id =
        (select space_id from document_versions where version_id = %(version_id)s)) as vectors
from chunks where version_id = %(version_id)s
"""

# The version is the published one, with counts for the totals that searches read.
PUBLISH = """
update document_versions
set state = 'PUBLISHED', chunk_count = %(chunks)s, vector_count = %(vectors)s, length = %(length)s,
    edition = %(edition)s, published_at = clock_timestamp(), backends = backends || %(backends)s
where version_id = %(version_id)s
"""

# Vectors came after it was published.
RECOUNT = """
update document_versions set vector_count = %(vectors)s, backends = backends || %(backends)s
where version_id = %(version_id)s
"""

# The current version's content has come again.
RENEW = """
update document_versions set edition = greatest(edition, %s) where version_id = %s and state = 'PUBLISHED'
"""

# The version before it is left to the sweeper.
SUPERSEDE = """
update document_versions set state = 'SUPERSEDED', superseded_at = clock_timestamp()
where version_id = %s
"""

FLIP = """
update documents set current_version_id = version_id, metadata = document_versions.metadata
from document_versions
where version_id = %s and documents.document_id = document_versions.document_id
"""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did; nothing was replaced by a first version, nor by a repeat.

    Attributes:
        pending: Chunks of the version without a vector.
        replaced_version_id: That is the version itself, where its content is older than the current one's.
    """

    document_id: uuid.UUID
    pending: int = 0
    replaced_version_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be published.

    Attributes:
        version_id: Which version.
        chunk_count: Chunks that it must have.
        edition: When its content came, as a number that grows; one of a higher edition stays. 0: the newest.
        vectors_pending: Chunks may lack their vector.
        backends: Who did the work, by service.
    """

    version_id: str
    chunk_count: int
    edition: int = 0
    vectors_pending: bool = False
    backends: Mapping[str, Any] = field(default_factory=dict)


async def publish(
    database: Database,
    tenant: str,
    wanted: Wanted,
    complete: Callable[[Connection], Awaitable[None]] | None = None,
) -> Published:
    """Makes a version the one that searches see. Repeated it changes nothing, also once replaced.

    Args:
        database: The index.
        tenant: Whose it is.
        wanted: Which version, and what it must have.
        complete: Writes what the version lacks, in the same transaction; not for one that is whole.

    Raises:
        NotFound: VERSION_NOT_FOUND.
        Precondition: VERSION_INCOMPLETE, or SPACE_MOVED where vectors lack in the space that is searched.
        Unavailable: SPACE_SWITCHING.
    """
    version, edition = versions.parse(wanted.version_id), wanted.edition
    async with database.transaction(tenant) as connection:
        await collection_spaces.share(connection, version)
        document = await (await connection.execute(LOCK_DOCUMENT, [version])).fetchone()
        locked = await (await connection.execute(LOCK_VERSION, [version])).fetchone()
        if document is None or locked is None or locked["state"] == "ABANDONED":
            raise versions.not_found()
        published = locked["state"] != "BUILDING"
        if published:
            await connection.execute(RENEW, [edition, version])
        if published and (locked["state"] != "PUBLISHED" or not locked["pending"]):
            return Published(document["document_id"])
        if complete is not None:
            await complete(connection)
        searched = None if published else await collection_spaces.retarget(connection, version)
        try:
            counts = await _counted(connection, version, wanted)
        except Precondition as error:
            if searched is None or error.metadata["chunks"] != str(wanted.chunk_count):
                raise
            raise collection_spaces.moved(searched) from error
        pending = counts["chunks"] - counts["vectors"]
        if published:
            await connection.execute(RECOUNT, counts)
            return Published(document["document_id"], pending)
        await connection.execute(PUBLISH, counts)
        await faults.point("publish.inside")
        if 0 < edition < document["edition"]:
            await connection.execute(SUPERSEDE, [version])
            return Published(document["document_id"], pending, version)
        replaced = document["current_version_id"]
        await connection.execute(FLIP, [version])
        if replaced is not None:
            await connection.execute(SUPERSEDE, [replaced])
        return Published(document["document_id"], pending, replaced)


async def _counted(connection: Connection, version_id: uuid.UUID, wanted: Wanted) -> dict[str, Any]:
    """What a version has, and what else PUBLISH names. Raises Precondition VERSION_INCOMPLETE."""
    counts = await (await connection.execute(COUNT, {"version_id": version_id})).fetchone()
    assert counts is not None
    chunk_count = wanted.chunk_count
    vectors = chunk_count if wanted.vectors_pending else counts["vectors"]
    if {counts["chunks"], counts["places"], vectors} != {chunk_count}:
        raise Precondition(
            "VERSION_INCOMPLETE",
            f"The version should have {chunk_count} chunks, each with a vector; it has {counts['chunks']}"
            f" chunks up to place {counts['places']} and {counts['vectors']} vectors. Put what is missing.",
            {name: str(counts[name]) for name in ("chunks", "places", "vectors")},
        )
    told = {"version_id": version_id, "edition": wanted.edition, "backends": Jsonb(dict(wanted.backends))}
    return counts | told
