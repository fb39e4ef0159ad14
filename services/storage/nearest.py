"""Chunks by vector: the nearest ones of the published versions in reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import sql

from services.storage.reach import REACH
from services.storage.spaces import Space
from waybill.runtime.postgres import Connection

DEPTH = 50
# Without iterative scans, a filter after the index silently loses hits.
TUNE = """
select set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', '100', true)
"""

# The index is on the expression of its space, so both numbers must stand in the statement itself.
NEAREST = sql.SQL("""
with {reach}, nearest as (
    select version_id, ordinal from vectors join reach using (version_id)
    where space_id = {space_id} {on_pages}
    order by (e::halfvec({dimension}) <=> {vector}) {exactly}
    limit %(depth)s
)
select number, ordinal from nearest join document_versions using (version_id)
""")

ON_PAGES = """and exists (
    select from chunks where (version_id, ordinal) = (vectors.version_id, vectors.ordinal)
        and page >= %(first_page)s and (%(last_page)s::int is null or page <= %(last_page)s))
"""

# Beyond some hundred equal vectors the index may not see what else there is, and answers too few.
# Ordered by a sum, which no index is on, Postgres looks at each vector instead.
EXACTLY = "+ 0"


def vector_of(space: Space) -> sql.Composed:
    """The search's vector as the index of its space takes it."""
    return sql.SQL("(%(vector)b::vector)::halfvec({})").format(sql.Literal(space.dimension))


async def nearest(
    connection: Connection, space: Space, values: Mapping[str, Any], *, in_reach: int, on_pages: bool
) -> list[tuple[int, int]]:
    """Version's number and ordinal of the chunks whose vectors are nearest, in no order."""
    await connection.execute(TUNE)
    found = await _nearest(connection, space, values, "", on_pages)
    if len(found) < min(values["depth"], in_reach):
        return await _nearest(connection, space, values, EXACTLY, on_pages)
    return found


async def _nearest(
    connection: Connection, space: Space, values: Mapping[str, Any], exactly: LiteralString, on_pages: bool
) -> list[tuple[int, int]]:
    statement = NEAREST.format(
        reach=REACH,
        space_id=sql.Literal(values["space_id"]),
        on_pages=sql.SQL(ON_PAGES if on_pages else ""),
        dimension=sql.Literal(space.dimension),
        vector=vector_of(space),
        exactly=sql.SQL(exactly),
    )
    rows = await (await connection.execute(statement, values)).fetchall()
    return [(row["number"], row["ordinal"]) for row in rows]
