"""Vector spaces that the index knows, and vectors as Postgres takes them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.postgres import Connection, Database

BYTES_PER_NUMBER = 4
# Before each element of a binary array.
BYTES_PER_LENGTH = 4
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


class Packed(bytes):
    """Vectors that were checked, in Postgres' binary form; the statement's cast says what they are."""


class _Dumper(Dumper):
    """Hands the bytes on as they are."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: bytes) -> Buffer:
        return bytes(obj)


def teach(connection: Connection) -> None:
    """Lets a connection take what is packed, as %b."""
    connection.adapters.register_dumper(Packed, _Dumper)


async def space_id(connection: Connection, space: Space) -> int:
    """The id of a known space.

    Raises:
        Precondition: SPACE_UNKNOWN.
    """
    known = await ids(connection)
    if space in known:
        return known[space]
    raise unknown(space, known)


async def ids(connection: Connection) -> dict[Space, int]:
    """The known spaces, with their ids."""
    rows = await (await connection.execute(KNOWN)).fetchall()
    return {Space(row["model"], row["dimension"], row["revision"]): int(row["space_id"]) for row in rows}


def unknown(space: Space, known: Iterable[Space]) -> Precondition:
    """The error for a space that there is no room for."""
    return Precondition(
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


def packed(values: bytes, dimension: int) -> Packed:
    """Checks a vector of little-endian float32, and packs it as a `halfvec`.

    Raises:
        InvalidRequest: VECTOR_INVALID.
    """
    return Packed(_rows([values], dimension, ["The vector"])[0].tobytes()[BYTES_PER_LENGTH:])


def packed_array(vectors: Mapping[int, bytes], dimension: int, halfvec: int) -> Packed:
    """Checks vectors by their chunk's ordinal, and packs them as a `halfvec[]` in that order.

    Args:
        halfvec: The type's number in this database.

    Raises:
        InvalidRequest: VECTOR_INVALID.
    """
    rows = _rows(list(vectors.values()), dimension, [f"The vector of chunk {one}" for one in vectors])
    dimensions, nulls, first = 1, 0, 1
    head = struct.pack(">iiiii", dimensions, nulls, halfvec, len(vectors), first)
    return Packed(head + rows.tobytes())


def _rows(vectors: Sequence[bytes], dimension: int, names: Sequence[str]) -> npt.NDArray[np.void]:
    """Vectors as the elements of a binary array."""
    for values, name in zip(vectors, names, strict=True):
        if len(values) != dimension * BYTES_PER_NUMBER:
            raise InvalidRequest(
                "VECTOR_INVALID",
                f"{name} has {len(values)} bytes; {dimension} little-endian float32 are"
                f" {dimension * BYTES_PER_NUMBER}.",
            )
    numbers = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), dimension)
    lengths = np.sqrt(np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= MAX_NORM_ERROR))  # also those of nan
    if wrong.size:
        raise InvalidRequest(
            "VECTOR_INVALID",
            f"{names[wrong[0]]} has finite numbers and the length 1, not {lengths[wrong[0]]:.3g}.",
        )
    rows = np.zeros(
        len(vectors),
        [("bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("numbers", ">f2", dimension)],
    )
    rows["bytes"], rows["dimension"] = rows.itemsize - BYTES_PER_LENGTH, dimension
    rows["numbers"] = numbers
    return rows
