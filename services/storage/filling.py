"""A second space of a collection: what it lacks, and its vectors, text by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.storage import spaces
from services.storage.chunks import MAX_PAGE_BYTES, embedded
from services.storage.spaces import Space
from waybill.runtime.postgres import Connection, Database
from waybill.runtime.wire import page_place, page_token

AT_A_TIME = 500

# Published chunks without a vector in the space.
_LACKING = """
from documents join chunks on chunks.version_id = current_version_id
where documents.tenant = %(tenant)s and documents.collection = %(collection)s
    and not exists (
        select from vectors where (vectors.version_id, vectors.ordinal, vectors.space_id)
            = (chunks.version_id, chunks.ordinal, %(space_id)s))
"""
MISSING = f"select count(*) as missing {_LACKING}"

# A text that the tenant has a vector of, in any document, is not embedded again.
_TWIN = """
select e from chunks twin join vectors using (version_id, ordinal)
where twin.tenant = %(tenant)s and twin.sha256 = wanted.sha256 and vectors.space_id = %(space_id)s
limit 1
"""
MEASURE = f"""
with lacking as materialized (select sha256, token_count {_LACKING}),
wanted as (select sha256, min(token_count) as tokens from lacking group by sha256),
published as (
    select count(*) as documents, coalesce(sum(chunk_count), 0)::bigint as chunks
    from documents join document_versions on version_id = current_version_id
    where documents.tenant = %(tenant)s and collection = %(collection)s)
select published.*, (select count(*) from lacking) as missing_chunks,
    count(sha256) as texts_to_embed, coalesce(sum(tokens), 0)::bigint as tokens_to_embed
from published left join wanted on not exists ({_TWIN})
group by documents, chunks
"""  # noqa: S608 - constants of ours
MOST = """
select model, dimension, revision from totals join spaces on spaces.space_id = totals.space_id
where (tenant, collection) = (%s, %s)
group by spaces.space_id order by sum(chunks) desc, spaces.space_id limit 1
"""
PAGE = f"""
select document_key, chunks.version_id, ordinal, sha256, heading, lead, text, token_count {_LACKING}
    and document_key >= %(after_key)s
    and (document_key > %(after_key)s or ordinal > %(after_ordinal)s)
order by document_key, ordinal limit %(limit)s
"""

# Nobody replaces, sweeps or deletes them meanwhile: a vector never comes after its chunk has gone.
HOLD = """
select version_id from document_versions
where version_id = any(%s) and state = 'PUBLISHED' order by version_id for share
"""
REUSE = f"""
insert into vectors (tenant, space_id, version_id, ordinal, e)
select %(tenant)s, %(space_id)s, version_id, ordinal, twin.e
from unnest(%(version_ids)s::uuid[], %(ordinals)s::int[], %(hashes)s::text[])
    as wanted (version_id, ordinal, sha256)
cross join lateral ({_TWIN}) twin
where version_id = any(%(held)s)
on conflict do nothing
returning version_id, ordinal
"""  # noqa: S608 - a constant of ours
HAVING = """
select version_id from documents join chunks on chunks.version_id = current_version_id
where documents.tenant = %(tenant)s and documents.collection = %(collection)s
    and chunks.tenant = %(tenant)s and sha256 = any(%(hashes)s)
"""
ADD = """
insert into vectors (tenant, space_id, version_id, ordinal, e)
select %(tenant)s, %(space_id)s, version_id, ordinal, e
from unnest(%(hashes)s::text[], %(vectors)b::halfvec[]) as bought (sha256, e)
join chunks using (sha256)
where chunks.tenant = %(tenant)s and version_id = any(%(held)s)
on conflict do nothing
"""
HALFVEC = "select 'halfvec'::regtype::oid::int as halfvec"


@dataclass(frozen=True, slots=True)
class Place:
    """A collection, and a space of it."""

    tenant: str
    collection: str
    space: Space

    def values(self, space_id: int | None) -> dict[str, Any]:
        """What the statements name."""
        return {"tenant": self.tenant, "collection": self.collection, "space_id": space_id}


@dataclass(frozen=True, slots=True)
class Unfilled:
    """Texts to be embedded, chunks that needed none, and where the next page begins."""

    texts: Sequence[Mapping[str, Any]]
    reused: int
    token: str


async def measure(database: Database, place: Place) -> tuple[Mapping[str, int], Space | None]:
    """What is published, and what of it the space lacks; and the space that most of it is in."""
    async with database.transaction(place.tenant) as connection:
        space_id = (await spaces.ids(connection)).get(place.space)
        row = await (await connection.execute(MEASURE, place.values(space_id))).fetchone()
        most = await (await connection.execute(MOST, [place.tenant, place.collection])).fetchone()
    assert row is not None
    return row, Space(**most) if most else None


async def missing(connection: Connection, tenant: str, collection: str, space_id: int) -> int:
    """How many published chunks have no vector in a space."""
    values = {"tenant": tenant, "collection": collection, "space_id": space_id}
    row = await (await connection.execute(MISSING, values)).fetchone()
    assert row is not None
    return int(row["missing"])


async def unfilled(database: Database, place: Place, token: str) -> Unfilled:
    """A page of what is missing, in the order of the documents; what can be copied is copied.

    Raises:
        InvalidRequest: PAGE_TOKEN_INVALID.
        Precondition: SPACE_UNKNOWN.
    """
    after_key, after_ordinal = page_place(token, 2) or ("", "-1")
    async with database.transaction(place.tenant) as connection:
        values = place.values(await spaces.space_id(connection, place.space))
        after = {"after_key": after_key, "after_ordinal": int(after_ordinal), "limit": AT_A_TIME + 1}
        rows = await (await connection.execute(PAGE, values | after)).fetchall()
        page = _fitting(rows[:AT_A_TIME])
        reused = await _reuse(connection, values, page)
    left = [row for row in page if (row["version_id"], row["ordinal"]) not in reused]
    once = {row["sha256"]: row for row in left}.values()
    last = page[-1] if page else {}
    more = len(rows) > len(page)
    next_token = page_token(last["document_key"], str(last["ordinal"])) if more else ""
    return Unfilled([_text(row) for row in once], len(reused), next_token)


async def put(database: Database, place: Place, vectors: Mapping[str, bytes]) -> int:
    """Writes vectors by the hash of their text; answers how many chunks got one.

    Raises:
        InvalidRequest: VECTOR_INVALID.
        Precondition: SPACE_UNKNOWN.
    """
    async with database.transaction(place.tenant) as connection:
        values = place.values(await spaces.space_id(connection, place.space))
        values["hashes"] = list(vectors)
        (kind,) = await (await connection.execute(HALFVEC)).fetchall()
        numbered = dict(enumerate(vectors.values()))
        values["vectors"] = spaces.packed_array(numbered, place.space.dimension, kind["halfvec"])
        having = await (await connection.execute(HAVING, values)).fetchall()
        values["held"] = await _held(connection, [row["version_id"] for row in having])
        spaces.teach(connection)
        return (await connection.execute(ADD, values)).rowcount


async def _reuse(
    connection: Connection, values: Mapping[str, Any], page: Sequence[Mapping[str, Any]]
) -> set[tuple[Any, int]]:
    wanted = {
        "version_ids": [row["version_id"] for row in page],
        "ordinals": [row["ordinal"] for row in page],
        "hashes": [row["sha256"] for row in page],
        "held": await _held(connection, [row["version_id"] for row in page]),
    }
    rows = await (await connection.execute(REUSE, {**values, **wanted})).fetchall()
    return {(row["version_id"], row["ordinal"]) for row in rows}


async def _held(connection: Connection, version_ids: Sequence[Any]) -> list[Any]:
    rows = await (await connection.execute(HOLD, [list(set(version_ids))])).fetchall()
    return [row["version_id"] for row in rows]


def _fitting(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first rows, as many as a message takes; at least one."""
    size, page = 0, list[Mapping[str, Any]]()
    for row in rows:
        size += sum(len(row[name].encode()) for name in ("heading", "lead", "text"))
        if page and size > MAX_PAGE_BYTES:
            break
        page.append(row)
    return page


def _text(row: Mapping[str, Any]) -> dict[str, Any]:
    text = embedded(row["heading"], row["lead"], row["text"])
    return {"sha256": row["sha256"], "text": text, "token_count": row["token_count"]}
