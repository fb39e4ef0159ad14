"""Which space a collection is searched in: one row, which every search and every publishing reads.

A collection without a row is searched in whatever space its caller names. With one, another space is refused
with the name of the right one, so that no search mixes two, and no version is published in a space that is
not searched. A row changes its space while nothing of the collection is published (see `switching.py`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from services.storage import spaces
from services.storage.spaces import Space
from waybill.runtime.errors import NotFound, Precondition, Unavailable
from waybill.runtime.postgres import Connection

Row = dict[str, Any]

# Few spaces: the one that is meant is found here, with what the collection's row says of each.
KNOWN = """
select spaces.space_id, model, dimension, revision,
    coalesce(spaces.space_id = held.space_id, false) as searched,
    coalesce(spaces.space_id = held.other_space_id, false) as beside
from spaces left join collection_spaces held on (tenant, collection) = (%s, %s)
order by spaces.space_id
"""
ROW = """
select held.*, searched.model, searched.dimension, searched.revision,
    other.model as other_model, other.dimension as other_dimension, other.revision as other_revision
from collection_spaces held join spaces searched using (space_id)
left join spaces other on other.space_id = other_space_id
where (tenant, collection) = (%s, %s)
"""

# Publishers of a collection share it; who changes its space has it alone.
_KEY = "'collection_spaces'::regclass::int, hashtext(tenant || '/' || collection)"
SHARE = f"""
select pg_advisory_xact_lock_shared({_KEY})
from document_versions join documents using (tenant, document_id) where version_id = %s
"""  # noqa: S608 - a constant of ours
ALONE = f"select pg_advisory_xact_lock({_KEY}) from (select %s::text as tenant, %s::text as collection) of"  # noqa: S608 - a constant of ours

# What stands between a version and its publishing.
MOVED = """
select spaces.*, coalesce(held_until > clock_timestamp(), false) as held
from document_versions join documents using (tenant, document_id)
join collection_spaces held using (tenant, collection) join spaces on spaces.space_id = held.space_id
where version_id = %s
"""
RETARGET = """
update document_versions set space_id = %(space_id)s
where version_id = %(version_id)s and space_id <> %(space_id)s
"""


@dataclass(frozen=True, slots=True)
class Entered:
    """A space that may be searched or written to."""

    space_id: int
    beside: bool = False


async def enter(
    connection: Connection, tenant: str, collection: str, space: Space, *, beside: bool = False
) -> Entered:
    """The space, if it is the one that the collection is searched in.

    Args:
        beside: The one beside that will do, too.

    Raises:
        Precondition: SPACE_MOVED, SPACE_UNKNOWN.
    """
    rows = await (await connection.execute(KNOWN, [tenant, collection])).fetchall()
    known = {_space(row): row for row in rows}
    searched = next((row for row in rows if row["searched"]), None)
    found = known.get(space)
    if searched is not None and found is not searched and not (beside and found and found["beside"]):
        raise moved(searched)
    if found is None:
        raise spaces.unknown(space, known)
    return Entered(found["space_id"], beside=found["beside"])


async def row_or_none(connection: Connection, tenant: str, collection: str) -> Row | None:
    """A collection's row, with its spaces; None where no migration was ever begun."""
    return await (await connection.execute(ROW, [tenant, collection])).fetchone()


async def row(connection: Connection, tenant: str, collection: str) -> Row:
    """The same. Raises NotFound: MIGRATION_NOT_FOUND."""
    found = await row_or_none(connection, tenant, collection)
    if found is None:
        raise not_found()
    return found


def not_found() -> NotFound:
    """The error for a collection that nobody has begun to migrate."""
    return NotFound(
        "MIGRATION_NOT_FOUND",
        "The collection has no migration that this can be done to."
        " `waybill migrate-space --to MODEL` begins one.",
    )


async def alone(connection: Connection, tenant: str, collection: str) -> None:
    """Waits until nothing of the collection is being published; nothing is until the transaction ends."""
    await connection.execute(ALONE, [tenant, collection])


async def share(connection: Connection, version_id: uuid.UUID) -> None:
    """Waits until the collection's space is not being changed; it is not until the transaction ends."""
    await connection.execute(SHARE, [version_id])


async def retarget(connection: Connection, version_id: uuid.UUID) -> Row | None:
    """Brings a version that is being built to the space that its collection is searched in.

    Returns:
        That space, where the collection has a row.

    Raises:
        Unavailable: SPACE_SWITCHING.
    """
    searched = await (await connection.execute(MOVED, [version_id])).fetchone()
    if searched is None:
        return None
    if searched["held"]:
        raise Unavailable(
            "SPACE_SWITCHING",
            "Searches of the collection change over to another space. Publish again in a moment.",
        )
    await connection.execute(RETARGET, {"space_id": searched["space_id"], "version_id": version_id})
    return searched


def moved(searched: Row) -> Precondition:
    """The error for a space that the collection is not searched in."""
    return Precondition(
        "SPACE_MOVED",
        f"The collection is searched in the space of {_space(searched)}. Use vectors of that one.",
        {name: str(searched[name]) for name in ("model", "dimension", "revision")},
    )


def _space(found: Row) -> Space:
    return Space(found["model"], found["dimension"], found["revision"])
