"""HNSW over vectors, built in bulk: one that takes each vector as it comes costs five times the CPU.

Vectors are numbered as they arrive. A space's arrivals are cut into parts: each has an index of its own but
the last, which is open and read exactly. An index is only a way to rows. Which rows a search sees is said by
its conditions, so none is lost or found twice while indexes are built and dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import psycopg
import structlog
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from waybill.runtime.errors import Unavailable
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Connection, Database

# The open part gets an index from here on, once no more come; and though they do, where it is so many times
# that: an index that is built while vectors pour in is soon built again.
MOST_OPEN, TIMES_WHILE_FILLING = 2_000, 4
LOOK_SECONDS = 5.0
# A build that fails for want of disk or memory may take minutes of CPU each time.
MOST_PAUSE_SECONDS = 600.0
# The end of the open part, and of an index from before there were parts.
NEVER = 2**63 - 1
log = structlog.get_logger()

# Spaces whose open part is full, or whose index still takes each vector as it comes.
DUE = """
select space_id, dimension, segments,
    (select max(arrival) from vectors where vectors.space_id = spaces.space_id) as newest
from spaces cross join lateral (select coalesce(max(place), 0) as last from unnest(segments) place) ends
where last = %(never)s or %(most)s = (
    select count(*) from (
        select from vectors where space_id = spaces.space_id and arrival >= last limit %(most)s) open)
order by space_id
"""
# One builder at a time, whichever replica it is in.
LOCK = "select pg_try_advisory_lock(hashtextextended('waybill_index.vectors', 0)) as locked"
SIZE = """
select count(*) as size, max(arrival) + 1 as after from vectors
where space_id = %s and arrival >= %s and arrival < %s
"""
# Concurrently: who writes goes on, and at the end every older search has ended.
CREATE = sql.SQL("""
create index concurrently {name} on vectors using hnsw ((e::halfvec({dimension})) halfvec_cosine_ops)
with (m = 16, ef_construction = 64)
where space_id = {space_id} and arrival >= {first} and arrival < {end}
""")
SWAP = "update spaces set segments = %s where space_id = %s"
# The planner has to know of the new numbers, or it takes a part for empty. Pages that are known to be
# visible make counting cheap; removing dead vectors from indexes is autovacuum's.
TELL = "vacuum (analyze, index_cleanup off) vectors (tenant, space_id, arrival)"
INDEXES = """
select relname as name from pg_index join pg_class on pg_class.oid = indexrelid
where indrelid = 'vectors'::regclass and relam = (select oid from pg_am where amname = 'hnsw')
"""
DROP = sql.SQL("drop index concurrently if exists {name}")


@dataclass(frozen=True, slots=True)
class Part:
    """Arrivals from `first` on and before `end`."""

    first: int
    end: int

    def index(self, space_id: int) -> str:
        """Its index's name."""
        return f"vectors_{space_id}_{self.first}_{self.end}"


def indexed(segments: Sequence[int]) -> list[Part]:
    """The parts that have an index."""
    return [Part(first, end) for first, end in zip([0, *segments], segments, strict=False)]


def parts(segments: Sequence[int]) -> list[Part]:
    """All parts of a space: each arrival is in one of them."""
    return [*indexed(segments), Part(segments[-1] if segments else 0, NEVER)]


class Builder:
    """Gives open parts an index once they are full. It needs a session of its own: no pooler between."""

    def __init__(self, owner: Database, owner_url: str, most_open: int = MOST_OPEN) -> None:
        self._owner = owner
        self._url = owner_url
        self._most_open = most_open
        # By space that was due at the last look: its newest arrival.
        self._newest: dict[int, int | None] = {}

    def running(self) -> AbstractAsyncContextManager[None]:
        """Builds until the block is left."""
        return repeating("vector indexes", self._turn, LOOK_SECONDS, most_seconds=MOST_PAUSE_SECONDS)

    async def look(self) -> int:
        """Builds what is due, unless vectors are still coming in; answers how many indexes that were."""
        async with self._owner.transaction(None) as connection:
            due = await self._due(connection, self._most_open)
            far = await self._due(connection, TIMES_WHILE_FILLING * self._most_open) if due else []
        newest = {space["space_id"]: space["newest"] for space in due}
        rests = newest.items() & self._newest.items()
        self._newest = newest
        return await self.build() if rests or far else 0

    async def _turn(self) -> None:
        await self.look()

    async def build(self) -> int:
        """Builds what is due. Returns how many indexes that were; none where another replica is at it.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE. What was begun is dropped by the next one.
        """
        async with self._owner.transaction(None) as connection:
            if not await self._due(connection, self._most_open):
                return 0
        try:
            session: Connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
            async with session:
                await session.execute("set statement_timeout = 0")  # a build takes minutes
                return await self._build(session)
        except psycopg.OperationalError as error:
            raise Unavailable("DATABASE_UNAVAILABLE", f"A vector index is not built: {error}") from error

    async def _build(self, session: Connection) -> int:
        row = await (await session.execute(LOCK)).fetchone()
        if row is None or not row["locked"]:
            return 0
        await _drop_unused(session)
        due = await self._due(session, self._most_open)
        for space in due:
            await _extend(session, space["space_id"], space["dimension"], space["segments"])
        return len(due)

    async def _due(self, connection: Connection, most_open: int) -> list[DictRow]:
        values = {"never": NEVER, "most": most_open}
        return await (await connection.execute(DUE, values)).fetchall()


async def _extend(session: Connection, space_id: int, dimension: int, segments: Sequence[int]) -> None:
    """Gives the open part an index, together with the parts before it that are no larger."""
    kept = [end for end in segments if end != NEVER]
    open_part = await _size(session, space_id, parts(kept)[-1])
    size = open_part["size"]
    if not size and NEVER not in segments:
        return  # deleted since it was due
    while kept and (last := (await _size(session, space_id, indexed(kept)[-1]))["size"]) <= size:
        size += last
        kept.pop()
    if size:
        new = Part(kept[-1] if kept else 0, open_part["after"])
        await session.execute(_creation(space_id, dimension, new))
        await session.execute(TELL)
        kept.append(new.end)
    await session.execute(SWAP, [kept, space_id])
    await _drop_unused(session)
    log.info("a vector index is built", space_id=space_id, vectors=size, indexes=len(kept))


def _creation(space_id: int, dimension: int, part: Part) -> sql.Composed:
    numbers = {"space_id": space_id, "dimension": dimension, "first": part.first, "end": part.end}
    literals = {name: sql.Literal(number) for name, number in numbers.items()}
    return CREATE.format(name=sql.Identifier(part.index(space_id)), **literals)


async def _size(session: Connection, space_id: int, part: Part) -> dict[str, int]:
    row = await (await session.execute(SIZE, [space_id, part.first, part.end])).fetchone()
    assert row is not None
    return row


async def _drop_unused(session: Connection) -> None:
    """Drops indexes that no space names: replaced ones, and what a builder left that was killed."""
    spaces = await (await session.execute("select space_id, segments from spaces")).fetchall()
    used = {part.index(space["space_id"]) for space in spaces for part in indexed(space["segments"])}
    for row in await (await session.execute(INDEXES)).fetchall():
        if row["name"] not in used:
            await session.execute(DROP.format(name=sql.Identifier(row["name"])))
