"""Publishing a version: one pointer, flipped in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.storage import versions
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
LOCK_VERSION = "select state from document_versions where version_id = %s for update"

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
    edition = %(edition)s, published_at = clock_timestamp()
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
        replaced_version_id: That is the version itself, where its content is older than the current one's.
    """

    document_id: uuid.UUID
    replaced_version_id: uuid.UUID | None = None


async def publish(
    database: Database,
    tenant: str,
    version_id: str,
    chunk_count: int,
    edition: int,
    complete: Callable[[Connection], Awaitable[None]] | None = None,
) -> Published:
    """Makes a version the one that searches see. Repeated it changes nothing, also once replaced.

    Args:
        database: The index.
        tenant: Whose it is.
        version_id: Which.
        chunk_count: Chunks that it must have.
        edition: When its content came, as a number that grows; one of a higher edition stays. 0: the newest.
        complete: Writes what the version lacks, in the same transaction; not for one that is published.

    Raises:
        NotFound: VERSION_NOT_FOUND.
        Precondition: VERSION_INCOMPLETE.
    """
    version = versions.parse(version_id)
    async with database.transaction(tenant) as connection:
        document = await (await connection.execute(LOCK_DOCUMENT, [version])).fetchone()
        locked = await (await connection.execute(LOCK_VERSION, [version])).fetchone()
        if document is None or locked is None or locked["state"] == "ABANDONED":
            raise versions.not_found()
        if locked["state"] != "BUILDING":
            await connection.execute(RENEW, [edition, version])
            return Published(document["document_id"])
        if complete is not None:
            await complete(connection)
        await _publish_whole(connection, version, chunk_count, edition)
        await faults.point("publish.inside")
        if 0 < edition < document["edition"]:
            await connection.execute(SUPERSEDE, [version])
            return Published(document["document_id"], version)
        replaced = document["current_version_id"]
        await connection.execute(FLIP, [version])
        if replaced is not None:
            await connection.execute(SUPERSEDE, [replaced])
        return Published(document["document_id"], replaced)


async def _publish_whole(
    connection: Connection, version_id: uuid.UUID, chunk_count: int, edition: int
) -> None:
    counts = await (await connection.execute(COUNT, {"version_id": version_id})).fetchone()
    assert counts is not None
    if {counts["chunks"], counts["places"], counts["vectors"]} != {chunk_count}:
        raise Precondition(
            "VERSION_INCOMPLETE",
            f"The version should have {chunk_count} chunks, each with a vector; it has {counts['chunks']}"
            f" chunks up to place {counts['places']} and {counts['vectors']} vectors. Put what is missing.",
            {name: str(counts[name]) for name in ("chunks", "places", "vectors")},
        )
    await connection.execute(PUBLISH, counts | {"version_id": version_id, "edition": edition})
