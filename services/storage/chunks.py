"""Chunks and vectors of a version: writing them, each call once or many times, and listing chunks."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from services.storage import collection_spaces, inventory, postings, spaces, versions
from services.storage.spaces import Space
from services.storage.versions import Beginning, Begun, Version
from services.storage.words import Words
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition
from waybill.runtime.postgres import Connection, Database
from waybill.runtime.wire import page_size

# 512 tokens of at most 128 bytes.
MAX_CHUNK_BYTES = 64 * 1024
MAX_PAGE, MAX_PAGE_BYTES = 500, 1024 * 1024
# An ordinal has three bytes in postings.
MOST_CHUNKS = 1 << 24

ADD_CHUNKS = """
insert into chunks (
    tenant, version_id, ordinal, text, heading, page, start_char, end_char, sha256, token_count, lead, length)
select %s, %s, *
from unnest(%s::int[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[], %s::text[], %s::int[],
    %s::text[], %s::int[])
on conflict do nothing
returning ordinal
"""

# Copies one vector for each of these chunks whose text the tenant has embedded before, in this space.
REUSE_VECTORS = """
insert into vectors (tenant, space_id, version_id, ordinal, e)
select chunk.tenant, twin.space_id, chunk.version_id, chunk.ordinal, twin.e
from chunks chunk
cross join lateral (
    select space_id, e
    from chunks join vectors using (version_id, ordinal)
    where chunks.tenant = chunk.tenant and sha256 = chunk.sha256
        and version_id <> chunk.version_id and space_id = %(space_id)s
    limit 1
) twin
where chunk.version_id = %(version_id)s and chunk.ordinal = any(%(ordinals)s)
on conflict do nothing
"""

# Those of some chunks that have no vector, in order.
PENDING = """
select ordinal from unnest(%(ordinals)s::int[]) ordinal
where not exists (
    select from vectors
    where version_id = %(version_id)s and vectors.ordinal = ordinal.ordinal and space_id = %(space_id)s)
order by ordinal
"""

COUNT_CHUNKS = """
select count(*) as count, 'halfvec'::regtype::oid::bigint as halfvec
from chunks where version_id = %s and ordinal = any(%s)
"""

ADD_VECTORS = """
insert into vectors (tenant, space_id, version_id, ordinal, e)
select %s, %s, %s, * from unnest(%s::int[], %b::halfvec[])
on conflict do nothing
"""

# One page and one more row, with the bytes up to each; `found` counts all of these.
LIST = """
select ordinal, text, heading, page, start_char, end_char, sha256, token_count, lead, found
from (
    select *, count(*) over () as found,
        sum(octet_length(text) + octet_length(heading) + octet_length(lead)) over (order by ordinal) as bytes
    from (
        select * from chunks
        where version_id = %(version_id)s and ordinal >= %(start)s
            and (%(end)s = 0 or ordinal < %(end)s)
            and not (%(pending_only)s and exists (
                select from vectors
                where vectors.version_id = chunks.version_id and vectors.ordinal = chunks.ordinal
                    and space_id = %(space_id)s))
        order by ordinal
        limit %(limit)s
    ) page
) counted
where bytes <= %(max_bytes)s
order by ordinal
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one page. See chunk.proto for what each field means."""

    ordinal: int
    text: str
    heading: str
    page: int
    start_char: int
    end_char: int
    sha256: str
    token_count: int
    lead: str = ""

    @property
    def embedded_text(self) -> bytes:
        """What is embedded, counted and hashed."""
        return embedded(self.heading, self.lead, self.text).encode()


@dataclass(frozen=True, slots=True)
class Listing:
    """Which chunks are asked for; 0 and "" mean the defaults.

    Attributes:
        version_id: Of this version; "": of the document's published one.
        space: Where a pending chunk has no vector; None: the version's.
    """

    version_id: str
    collection: str = ""
    document_key: str = ""
    page_size: int = 0
    page_token: str = ""
    start_ordinal: int = 0
    end_ordinal: int = 0
    pending_only: bool = False
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What became of chunks.

    Attributes:
        pending: Ordinals of those without a vector, in order.
        begun: How their version was begun with them, where it was.
    """

    pending: Sequence[int]
    begun: Begun | None = None


def embedded(heading: str, lead: str, text: str) -> str:
    """What is embedded of a passage."""
    body = "\n".join(filter(None, [lead, text]))
    return "\n\n".join(filter(None, [heading, body]))


def chunk_id(version_id: uuid.UUID, ordinal: int) -> str:
    """A chunk's id: the same for the same place of the same version, wherever it is derived."""
    return str(uuid.uuid5(version_id, str(ordinal)))


async def put_chunks(
    database: Database, tenant: str, version: str | Beginning, chunks: Sequence[Chunk]
) -> Put:
    """Writes chunks of an unpublished version; those whose ordinal is there stay.

    Args:
        database: The index.
        tenant: Whose it is.
        version: Its id; or what it is to be made of, and it begins with these chunks. Where the same is
            published already, or this run's version is, none is written.
        chunks: To be written.

    Raises:
        InvalidRequest: INVALID_REQUEST.
        NotFound: VERSION_NOT_FOUND.
        Precondition: VERSION_PUBLISHED, SPACE_UNKNOWN.
        Conflict: RUN_ID_REUSED.
    """
    _check_chunks(chunks)
    read = await postings.of_passages(chunks)
    async with database.transaction(tenant) as connection:
        if isinstance(version, str):
            return Put(await _put_chunks(connection, tenant, version, chunks, read))
        begun = await versions.begin(connection, tenant, version, validate_only=False)
        if begun.settled:
            return Put([], begun)
        return Put(await _put_chunks(connection, tenant, begun.version_id, chunks, read), begun)


async def _put_chunks(
    connection: Connection, tenant: str, version_id: str, chunks: Sequence[Chunk], read: Mapping[int, Words]
) -> list[int]:
    """Writes chunks and their words; answers which have no vector, though the tenant's are copied."""
    version = await versions.find(connection, version_id, to_write=True)
    if version.state != "BUILDING":
        raise Precondition(
            "VERSION_PUBLISHED", "A published version takes no more chunks. Begin a new version."
        )
    columns = list(zip(*map(astuple, chunks), strict=True)) or [()] * len(fields(Chunk))
    lengths = [postings.length_of(read[chunk.ordinal]) for chunk in chunks]
    values: list[object] = [tenant, version.version_id, *map(list, columns), lengths]
    rows = await (await connection.execute(ADD_CHUNKS, values)).fetchall()
    added = {row["ordinal"]: read[row["ordinal"]] for row in rows}
    await postings.add(connection, tenant, version.collection, version.number, added)
    sent = {
        "version_id": version.version_id,
        "space_id": version.space_id,
        "ordinals": [chunk.ordinal for chunk in chunks],
    }
    await connection.execute(REUSE_VECTORS, sent)
    pending = await (await connection.execute(PENDING, sent)).fetchall()
    return [row["ordinal"] for row in pending]


async def put_vectors(
    connection: Connection, tenant: str, version_id: str, space: Space, vectors: Mapping[int, bytes]
) -> None:
    """Writes vectors of chunks, by ordinal; those that are there stay.

    Raises:
        InvalidRequest: VECTOR_INVALID.
        NotFound: VERSION_NOT_FOUND, CHUNK_NOT_FOUND.
        Precondition: SPACE_UNKNOWN, SPACE_MOVED.
    """
    version = await versions.find(connection, version_id, to_write=True)
    space_id = version.space_id
    if space != version.space:
        space_id = (await collection_spaces.enter(connection, tenant, version.collection, space)).space_id
        if not await collection_spaces.row_or_none(connection, tenant, version.collection):
            raise InvalidRequest(
                "VECTOR_INVALID", f"The version's vectors are of {version.space}; these are of {space}."
            )
    ordinals = sorted(vectors)
    counted = await connection.execute(COUNT_CHUNKS, [version.version_id, ordinals])
    (found,) = await counted.fetchall()
    in_order = {ordinal: vectors[ordinal] for ordinal in ordinals}
    values = spaces.packed_array(in_order, space.dimension, found["halfvec"])
    if missing := len(vectors) - found["count"]:
        raise NotFound("CHUNK_NOT_FOUND", f"{missing} of these chunks are not there. Put chunks first.")
    spaces.teach(connection)
    place = [tenant, space_id, version.version_id]
    await connection.execute(ADD_VECTORS, [*place, ordinals, values])


async def list_chunks(database: Database, tenant: str, wanted: Listing) -> tuple[Version, list[Chunk], str]:
    """A page of a version's chunks by ordinal, and the token of the next page, empty on the last.

    Raises:
        InvalidRequest: INVALID_REQUEST, PAGE_TOKEN_INVALID.
        NotFound: VERSION_NOT_FOUND, DOCUMENT_NOT_FOUND.
    """
    size = page_size(wanted.page_size, MAX_PAGE, MAX_PAGE)
    async with database.transaction(tenant) as connection:
        version = await _version_of(connection, tenant, wanted)
        space_id = version.space_id
        if wanted.space is not None:
            space_id = await spaces.space_id(connection, wanted.space)
        values = {
            "version_id": version.version_id,
            "space_id": space_id,
            "start": max(wanted.start_ordinal, _read_token(version.version_id, wanted.page_token)),
            "end": wanted.end_ordinal,
            "pending_only": wanted.pending_only,
            "limit": size + 1,
            "max_bytes": MAX_PAGE_BYTES,
        }
        rows = await (await connection.execute(LIST, values)).fetchall()
        if not rows:  # also where the document was deleted just now, which is no empty page
            await _version_of(connection, tenant, wanted)
    page = [Chunk(**{field.name: row[field.name] for field in fields(Chunk)}) for row in rows[:size]]
    more = bool(rows) and rows[0]["found"] > len(page)
    return version, page, _token(version.version_id, page[-1].ordinal + 1) if more else ""


async def _version_of(connection: Connection, tenant: str, wanted: Listing) -> Version:
    version_id = wanted.version_id
    if wanted.document_key and not version_id:
        published = await inventory.document(connection, tenant, wanted.collection, wanted.document_key)
        if published["version_id"] is None:
            raise NotFound("VERSION_NOT_FOUND", "Nothing of this document is published yet.")
        version_id = str(published["version_id"])
    return await versions.find(connection, version_id, to_write=False)


def _check_chunks(chunks: Sequence[Chunk]) -> None:
    if len({chunk.ordinal for chunk in chunks}) < len(chunks):
        raise InvalidRequest("INVALID_REQUEST", "Two chunks of one call have the same ordinal.")
    for chunk in chunks:
        if fault := _fault(chunk, chunk.embedded_text):
            raise InvalidRequest("INVALID_REQUEST", f"Chunk {chunk.ordinal}: {fault}.")


def _fault(chunk: Chunk, embedded: bytes) -> str:
    """What is wrong with a chunk, or nothing."""
    if min(chunk.ordinal, chunk.start_char, chunk.token_count) < 0 or chunk.end_char < chunk.start_char:
        return "ordinal, offsets and token count are at least 0, and the end is not before the start"
    if chunk.ordinal >= MOST_CHUNKS:
        return f"ordinals are below {MOST_CHUNKS:,}"
    if chunk.page < 1:
        return "pages count from 1"
    if len(embedded) > MAX_CHUNK_BYTES:
        return f"heading, lead and text have {len(embedded)} bytes, at most {MAX_CHUNK_BYTES} are taken"
    if b"\0" in embedded:
        return "the text has a NUL character, which Postgres cannot store"
    # A wrong hash would give this text another one's vector, now or in a later version.
    if hashlib.sha256(embedded).hexdigest() != chunk.sha256:
        return "sha256 is not that of heading, blank line, lead and text"
    return ""


def _token(version_id: uuid.UUID, ordinal: int) -> str:
    return base64.urlsafe_b64encode(version_id.bytes + ordinal.to_bytes(4, "big")).decode()


def _read_token(version_id: uuid.UUID, token: str) -> int:
    """The ordinal that a page starts at."""
    if not token:
        return 0
    try:
        place = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except ValueError:
        place = b""
    ordinal = int.from_bytes(place[16:], "big", signed=True)
    if len(place) != 20 or place[:16] != version_id.bytes or ordinal < 0:
        raise InvalidRequest(
            "PAGE_TOKEN_INVALID", "Take page_token from the answer before, for the same version."
        )
    return ordinal
