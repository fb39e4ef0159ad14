"""Vector spaces that the index knows, and vectors as Postgres takes them."""

from __future__ import annotations

import array
import math
import struct
from dataclasses import dataclass

from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.postgres import Connection, Database

BYTES_PER_NUMBER = 4
MAX_NORM_ERROR = 0.01

# HNSW over halfvec takes no more (pgvector, "HNSW").
MAX_DIMENSION = 4_000
MAX_NAME_CHARS = 128
# Each has indexes, and anybody who may write a document can name one.
MOST_SPACES = 32

ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('waybill_index.spaces', 0))"
ADD = """
insert into spaces (space_id, model, dimension, revision)
select max(space_id) + 1, %(model)s, %(dimension)s, %(revision)s from spaces
having count(*) < %(most)s
on conflict do nothing
"""
# Few rows: the one that is meant is found here, so that an unknown one can be told what there is.
KNOWN = "select space_id, model, dimension, revision from spaces order by space_id"


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space: vectors of different spaces are never compared."""

    model: str
    dimension: int
    revision: str

    def __str__(self) -> str:
        return " ".join(filter(None, [self.model, f"({self.dimension})", self.revision]))


class PackedVector(bytes):
    """A checked vector in pgvector's binary form for `vector`, to be cast to `halfvec` in the statement."""


class _Dumper(Dumper):
    """Hands the bytes on as they are; oid 0 lets the statement's cast say what they are."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: bytes) -> Buffer:
        return bytes(obj)


def teach(connection: Connection) -> None:
    """Lets a connection take packed vectors, as %b."""
    connection.adapters.register_dumper(PackedVector, _Dumper)


async def space_id(connection: Connection, space: Space) -> int:
    """The id of a known space.

    Raises:
        Precondition: SPACE_UNKNOWN.
    """
    rows = await (await connection.execute(KNOWN)).fetchall()
    known = {Space(row["model"], row["dimension"], row["revision"]): int(row["space_id"]) for row in rows}
    if space in known:
        return known[space]
    raise Precondition(
        "SPACE_UNKNOWN",
        f"The index has no room for vectors of {str(space)[:200]!r}. It knows"
        f" {'; '.join(map(str, known))}. A new space has a name of 1 to {MAX_NAME_CHARS} printable characters"
        f" and 1 to {MAX_DIMENSION} dimensions, and there are at most {MOST_SPACES}.",
    )


async def make(owner: Database, space: Space) -> None:
    """Makes room for vectors of a space that there was none for, if it is one that there can be."""
    if not 1 <= space.dimension <= MAX_DIMENSION or not all(
        map(_is_name, (space.model, space.revision or "-"))
    ):
        return
    async with owner.transaction(None) as connection:
        await connection.execute(ONE_AT_A_TIME)
        values = {"model": space.model, "dimension": space.dimension, "revision": space.revision}
        await connection.execute(ADD, {**values, "most": MOST_SPACES})


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_CHARS and text.isprintable()


def packed(values: bytes, dimension: int) -> PackedVector:
    """Checks a vector of little-endian float32, and packs it for Postgres.

    Raises:
        InvalidRequest: VECTOR_INVALID.
    """
    if len(values) != dimension * BYTES_PER_NUMBER:
        raise InvalidRequest(
            "VECTOR_INVALID",
            f"A vector of {len(values)} bytes; {dimension} little-endian float32 are"
            f" {dimension * BYTES_PER_NUMBER}.",
        )
    numbers = array.array("f", values)  # every machine that we run on is little-endian
    norm = math.hypot(*numbers)
    if not abs(norm - 1) <= MAX_NORM_ERROR:  # also true of nan
        raise InvalidRequest(
            "VECTOR_INVALID", f"A vector has finite numbers and the length 1; this one has {norm:.3g}."
        )
    numbers.byteswap()
    return PackedVector(struct.pack(">hh", dimension, 0) + numbers.tobytes())
