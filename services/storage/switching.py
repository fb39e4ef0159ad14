"""Filling a collection's second space by turns, and changing over to it in one transaction.

A turn is claimed for some minutes. Whoever has walked through the whole collection and filled it ends the
turn as complete; that is counted here, while nothing is published. Only where nothing is missing does the
collection's row change, so every search sees a whole space before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import structlog
from psycopg.types.json import Jsonb

from services.storage import collection_spaces, filling, spaces
from services.storage.collection_spaces import Row
from services.storage.filling import Place
from services.storage.spaces import Space
from waybill.runtime import faults
from waybill.runtime.errors import Precondition
from waybill.runtime.postgres import Connection, Database

# What is published while the last vectors are made waits for so long, where it is few enough.
HOLD_SECONDS, MOST_HELD_FOR = 10.0, 2_000
DROP_AT_A_TIME, DROP_LOOK_SECONDS = 1_000, 3_600.0
MAY_BE_FILLED = ("FILLING", "FILLED", "ROLLED_BACK")
log = structlog.get_logger()

LOCK = "select from collection_spaces where (tenant, collection) = (%s, %s) for update"
BEGIN = """
insert into collection_spaces (
    tenant, collection, space_id, other_space_id, state, run_id, correlation_id, subject, credential_id)
values (
    %(tenant)s, %(collection)s, %(searched)s, %(other)s, 'FILLING', %(run_id)s, %(correlation_id)s,
    %(subject)s, %(credential_id)s)
on conflict (tenant, collection) do update set
    other_space_id = excluded.other_space_id, state = 'FILLING', run_id = excluded.run_id,
    correlation_id = excluded.correlation_id, subject = excluded.subject,
    credential_id = excluded.credential_id, reason = '', message = '', look_at = now(),
    created_at = now(), changed_at = now()
"""
CLAIM = """
update collection_spaces set owner = %(owner)s, leased_until = now() + make_interval(secs => %(seconds)s)
where (tenant, collection) in (
    select tenant, collection from collection_spaces
    where (state = 'FILLING' or moving) and look_at <= now()
        and (leased_until is null or leased_until < now() or owner = %(owner)s)
    order by look_at limit 1 for update skip locked)
returning tenant, collection
"""
END_TURN = """
update collection_spaces
set leased_until = null, look_at = now() + make_interval(secs => %(rest)s),
    reason = %(reason)s, message = %(message)s
where (tenant, collection) = (%(tenant)s, %(collection)s)
"""
HOLD_PUBLISHING = """
update collection_spaces set held_until = clock_timestamp() + make_interval(secs => %s)
where (tenant, collection) = (%s, %s)
"""
FILLED = """
update collection_spaces set state = 'FILLED', changed_at = now()
where (tenant, collection) = (%s, %s) and state = 'FILLING'
"""
MOVE = """
update collection_spaces set moving = %s, held_until = null, reason = '', message = '', look_at = now()
where (tenant, collection) = (%s, %s)
"""
FINISH = """
update collection_spaces
set state = 'DONE', moving = false, held_until = null, reason = '', message = '', changed_at = now()
where (tenant, collection) = (%s, %s) and state <> 'DONE'
"""

# In one order, before any row of totals: who publishes or deletes locks a version first, too.
LOCK_VERSIONS = """
select version_id from document_versions join documents using (tenant, document_id)
where tenant = %(tenant)s and collection = %(collection)s and state = 'PUBLISHED'
order by version_id for update of document_versions
"""
_PUBLISHED = """
from documents
where documents.tenant = %(tenant)s and collection = %(collection)s and current_version_id = version_id
"""
# Who filled the space is another one than who embedded the version.
TAKE_ALONG = f"""
update document_versions
set space_id = %(space_id)s, backends = backends - 'embedder' || %(backends)s {_PUBLISHED}
"""  # noqa: S608 - a constant of ours
# Those that were published without some.
COUNT_VECTORS = f"""
update document_versions set vector_count = chunk_count {_PUBLISHED} and vector_count <> chunk_count
"""  # noqa: S608 - a constant of ours
FORGET_TOTALS = "delete from totals where tenant = %(tenant)s and collection = %(collection)s"
TOTALS = """
insert into totals (tenant, collection, slot, space_id, documents, chunks, vectors, length)
select tenant, collection, (uuid_hash(document_id) & 15)::smallint, space_id,
    count(*), sum(chunk_count), sum(vector_count), sum(length)
from documents join document_versions using (tenant, document_id)
where tenant = %(tenant)s and collection = %(collection)s and state = 'PUBLISHED'
group by 1, 2, 3, 4
"""
SWAP = """
update collection_spaces
set space_id = other_space_id, other_space_id = space_id, moving = false, held_until = null,
    state = case state when 'SWITCHED' then 'ROLLED_BACK' else 'SWITCHED' end, changed_at = now()
where (tenant, collection) = (%(tenant)s, %(collection)s)
"""

TO_DROP = """
select tenant, collection, other_space_id from collection_spaces
where state = 'DONE' and other_space_id is not null limit 1
"""
DROP = """
delete from vectors where (version_id, ordinal, space_id) in (
    select vectors.version_id, ordinal, vectors.space_id
    from documents join document_versions using (tenant, document_id)
    join vectors on vectors.version_id = document_versions.version_id
    where documents.tenant = %(tenant)s and collection = %(collection)s
        and vectors.space_id = %(other_space_id)s
    limit %(rows)s)
"""
DROPPED = """
update collection_spaces set other_space_id = null
where (tenant, collection) = (%(tenant)s, %(collection)s) and state = 'DONE'
"""


@dataclass(frozen=True, slots=True)
class Ids:
    """On whose behalf a space is filled."""

    run_id: str
    correlation_id: str
    subject: str
    credential_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """How a turn ended; `rest_seconds` until the next one; of a whole fill, who embeds in its space."""

    owner: str
    complete: bool
    reason: str
    message: str
    rest_seconds: float
    backends: Mapping[str, Any]


async def begin(connection: Connection, place: Place, searched: Space, ids: Ids) -> Row:
    """Begins to fill a space; the same again changes nothing.

    Args:
        connection: In a transaction.
        place: The space, and of which collection.
        searched: Where the collection is searched, if no row says so.
        ids: On whose behalf.

    Raises:
        Precondition: SPACE_UNKNOWN, SPACE_SEARCHED, MIGRATION_OPEN.
    """
    where = place.tenant, place.collection
    await collection_spaces.alone(connection, *where)
    found = await collection_spaces.row_or_none(connection, *where)
    target = await spaces.space_id(connection, place.space)
    row: Row = found or {"space_id": await spaces.space_id(connection, searched), "other_space_id": None}
    current, other, state = row["space_id"], row["other_space_id"], row.get("state")
    if target == current:
        raise Precondition(
            "SPACE_SEARCHED",
            f"The collection is searched in the space of {place.space} already. Name another model.",
        )
    if other is not None and not (other == target and state in MAY_BE_FILLED):
        raise Precondition(
            "MIGRATION_OPEN",
            "The collection has another space beside the one that it is searched in. Roll that one back,"
            " or end it: `waybill migrate-space finish`. Vectors may take some seconds to go.",
        )
    if other is None or state == "ROLLED_BACK":
        values = {"searched": current, "other": target, "tenant": place.tenant}
        who = {name: getattr(ids, name) for name in Ids.__slots__}
        await connection.execute(BEGIN, values | who | {"collection": place.collection})
    return await collection_spaces.row(connection, *where)


async def claim(owner: Database, name: str, seconds: float) -> Row | None:
    """The fill of any tenant that has waited longest, for so many seconds; None where there is none."""
    async with owner.transaction(None) as connection:
        values = {"owner": name, "seconds": seconds}
        claimed = await (await connection.execute(CLAIM, values)).fetchone()
        if claimed is None:
            return None
        return await collection_spaces.row(connection, claimed["tenant"], claimed["collection"])


async def end_turn(database: Database, tenant: str, collection: str, turn: Turn) -> tuple[Row, int]:
    """Gives a fill back, and goes on to what is next where it is whole; answers what is missing, too.

    Raises:
        NotFound: MIGRATION_NOT_FOUND.
    """
    lacking = 0
    async with database.transaction(tenant) as connection:
        if turn.complete:
            await collection_spaces.alone(connection, tenant, collection)
        await connection.execute(LOCK, [tenant, collection])
        row = await collection_spaces.row(connection, tenant, collection)
        if row["owner"] != turn.owner or row["leased_until"] is None:
            return row, lacking
        if turn.complete and (row["state"] == "FILLING" or row["moving"]):
            lacking = await _next(connection, row, turn.backends)
        told = {"reason": turn.reason, "message": turn.message, "rest": turn.rest_seconds}
        await connection.execute(END_TURN, told | {"tenant": tenant, "collection": collection})
        return await collection_spaces.row(connection, tenant, collection), lacking


async def move(database: Database, tenant: str, collection: str, *, moving: bool) -> Row:
    """Asks for searches to change over once the other space is whole, or takes that back.

    Raises:
        NotFound: MIGRATION_NOT_FOUND.
        Precondition: SPACE_INCOMPLETE.
    """
    async with database.transaction(tenant) as connection:
        await connection.execute(LOCK, [tenant, collection])
        row = await collection_spaces.row(connection, tenant, collection)
        if row["state"] == "DONE":
            raise collection_spaces.not_found()
        if moving and row["state"] == "FILLING":
            lacking = await filling.missing(connection, tenant, collection, row["other_space_id"])
            raise Precondition(
                "SPACE_INCOMPLETE",
                f"{lacking:,} published chunks have no vector of {row['other_model']} yet."
                " Wait until the space is FILLED: `waybill migrate-space status`.",
                {"missing_chunks": str(lacking)},
            )
        await connection.execute(MOVE, [moving, tenant, collection])
        return await collection_spaces.row(connection, tenant, collection)


async def finish(database: Database, tenant: str, collection: str) -> Row:
    """Ends a migration; the vectors of the other space are dropped from then on.

    Raises:
        NotFound: MIGRATION_NOT_FOUND.
    """
    async with database.transaction(tenant) as connection:
        await connection.execute(FINISH, [tenant, collection])
        return await collection_spaces.row(connection, tenant, collection)


async def drop(owner: Database) -> int:
    """Drops vectors that no search will see again, in small transactions; answers how many."""
    dropped = 0
    while True:
        async with owner.transaction(None) as connection:
            place = await (await connection.execute(TO_DROP)).fetchone()
            if place is None:
                return dropped
            gone = (await connection.execute(DROP, {**place, "rows": DROP_AT_A_TIME})).rowcount
            if gone < DROP_AT_A_TIME:
                await connection.execute(DROPPED, place)
            dropped += gone


async def _next(connection: Connection, row: Row, backends: Mapping[str, Any]) -> int:
    """FILLED, or over to the other space; answers how many chunks still lack a vector there."""
    where = row["tenant"], row["collection"]
    lacking = await filling.missing(connection, *where, row["other_space_id"])
    if lacking:
        if row["moving"] and lacking <= MOST_HELD_FOR:
            await connection.execute(HOLD_PUBLISHING, [HOLD_SECONDS, *where])
        return lacking
    await connection.execute(FILLED, where)
    if row["moving"]:
        await _swap(connection, {**row, "space_id": row["other_space_id"], "backends": Jsonb(dict(backends))})
        log.info("searches of a collection use another space", model=row["other_model"])
    return 0


async def _swap(connection: Connection, values: Row) -> None:
    steps: tuple[LiteralString, ...] = (
        LOCK_VERSIONS,
        TAKE_ALONG,
        COUNT_VECTORS,
        FORGET_TOTALS,
        TOTALS,
        SWAP,
    )
    for statement in steps:
        await connection.execute(statement, values)
    await faults.point("switch.inside")


def ids_of(run_id: str, who: Any) -> Ids:
    """Of a call."""
    return Ids(run_id, who.correlation_id, who.subject, who.credential_id)
