"""Chunks by vector: the nearest ones of the published versions in reach."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from psycopg import sql

from services.storage import vector_index
from services.storage.reach import REACH
from services.storage.spaces import Space
from services.storage.vector_index import Part
from waybill.runtime.postgres import Connection

DEPTH = 50
# Where a tenant has so few vectors in a part all are read: the part's index is over everybody's.
FEW = 1_000

# Without iterative scans, a filter after the index silently loses hits. Each of several parts needs less care
# than one index: the best are spread over them.
TUNE = """
select set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', case when cardinality(segments) > 1 then '64' else '100' end, true),
    segments, array(
        select %(few)s = (
            select count(*) from (
                select from vectors
                where tenant = %(tenant)s and space_id = %(space_id)s
                    and arrival >= first and arrival < before
                limit %(few)s) held)
        from (select lag(place, 1, 0::bigint) over (order by place) as first, place as before
            from unnest(segments) place) part
        order by before) as many
from spaces where space_id = %(space_id)s
"""

# An index is on the expression of its space and on its part, so all numbers stand in the statement itself.
NEAREST = sql.SQL("""
with {reach}, nearest as materialized ({parts})
select first, distance, number, ordinal from nearest join document_versions using (version_id)
""")
PART = sql.SQL("""
(select {first} as first, version_id, ordinal, e::halfvec({dimension}) <=> {vector} as distance
from vectors join reach using (version_id)
where space_id = {space_id} and arrival >= {first} and arrival < {end} {on_pages}
order by (e::halfvec({dimension}) <=> {vector}) {exactly}
limit %(depth)s)
""")

ON_PAGES = """and exists (
    select from chunks where (version_id, ordinal) = (vectors.version_id, vectors.ordinal)
        and page >= %(first_page)s and (%(last_page)s::int is null or page <= %(last_page)s))
"""

# Ordered by a sum, which no index is on, Postgres looks at each vector instead.
EXACTLY = "+ 0"


def vector_of(space: Space) -> sql.Composed:
    """The search's vector as the index of its space takes it."""
    return sql.SQL("%(vector)b::halfvec({})").format(sql.Literal(space.dimension))


async def nearest(
    connection: Connection,
    space: Space,
    values: Mapping[str, Any],
    *,
    in_reach: int,
    on_pages: bool,
    exact: bool = False,
) -> list[tuple[int, int]]:
    """Version's number and ordinal of the chunks whose vectors are nearest, in no order."""
    row = await (await connection.execute(TUNE, {**values, "few": FEW})).fetchone()
    assert row is not None
    parts = vector_index.parts(row["segments"])
    by_index = {part for part, many in zip(parts, row["many"], strict=False) if many and not exact}
    nearest = _Nearest(connection, space, values, on_pages)
    found = await nearest.of(parts, by_index)
    # Beyond some hundred equal vectors an index may not see what else there is, and answers too few.
    short = [part for part in by_index if len(found[part]) < values["depth"]]
    if short and sum(map(len, found.values())) < in_reach:
        found |= await nearest.of(short, ())
    ranked = sorted(one for some in found.values() for one in some)
    return [chunk for _, chunk in ranked[: values["depth"]]]


class _Nearest:
    """The nearest vectors of each part."""

    def __init__(
        self, connection: Connection, space: Space, values: Mapping[str, Any], on_pages: bool
    ) -> None:
        self._connection = connection
        self._values = values
        self._names = {
            "space_id": sql.Literal(values["space_id"]),
            "on_pages": sql.SQL(ON_PAGES if on_pages else ""),
            "dimension": sql.Literal(space.dimension),
            "vector": vector_of(space),
        }

    async def of(
        self, parts: Collection[Part], by_index: Collection[Part]
    ) -> dict[Part, list[tuple[float, tuple[int, int]]]]:
        """Distance and chunk. Of parts that are not read by their index, each vector is looked at."""
        selects = [
            PART.format(
                first=sql.Literal(part.first),
                end=sql.Literal(part.end),
                exactly=sql.SQL("" if part in by_index else EXACTLY),
                **self._names,
            )
            for part in parts
        ]
        statement = NEAREST.format(reach=REACH, parts=sql.SQL("union all").join(selects))
        rows = await (await self._connection.execute(statement, self._values)).fetchall()
        found: dict[int, list[tuple[float, tuple[int, int]]]] = {part.first: [] for part in parts}
        for row in rows:
            found[row["first"]].append((row["distance"], (row["number"], row["ordinal"])))
        return {part: found[part.first] for part in parts}
