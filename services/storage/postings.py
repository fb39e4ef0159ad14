"""Which chunks have a word: written with the chunks, one row a word and call, and gone with the version."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.storage import words
from services.storage.words import Words
from waybill.runtime.postgres import Connection

# An entry: ordinal and count of the word in one number, then the length of the chunk.
ENTRY = struct.Struct("<IH")
COUNT_BITS = 8
MOST_COUNT, MOST_LENGTH = (1 << COUNT_BITS) - 1, (1 << 16) - 1
K1, B = 1.2, 0.75
# Ranks need no true average: about what a chunk of 512 tokens has.
USUAL_LENGTH = 250
# The least share of BM25's most for each rank, but for the last.
RANKS = (0.75, 0.6, 0.45)

ADD = """
insert into postings (tenant, number, word, rank, entries)
select %s, %s, * from unnest(%s::bigint[], %s::smallint[], %s::bytea[])
"""


class Passage(Protocol):
    """What has words."""

    @property
    def ordinal(self) -> int:
        """Its place in the version."""

    @property
    def heading(self) -> str:
        """Headings above it."""

    @property
    def lead(self) -> str:
        """What it needs before it."""

    @property
    def text(self) -> str:
        """The passage itself."""


async def of_passages(passages: Sequence[Passage]) -> dict[int, Words]:
    """The words of passages, by ordinal. A thread reads them: a megabyte takes a second."""

    def read() -> dict[int, Words]:
        return {one.ordinal: words.of_chunk(one.heading, f"{one.lead}\n{one.text}") for one in passages}

    return await asyncio.to_thread(read)


async def add(
    connection: Connection, tenant: str, collection: str, number: int, read: Mapping[int, Words]
) -> None:
    """Writes the words of chunks that have just been written, by ordinal."""
    rows = await asyncio.to_thread(rows_of, hasher(tenant, collection), read)
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(ADD, [tenant, number, *columns])


def hasher(tenant: str, collection: str) -> Callable[[str], int]:
    """What a term is called in the postings of a collection."""
    seed = hashlib.blake2b(f"{tenant}\0{collection}\0".encode(), digest_size=8)

    def name(term: str) -> int:
        digest = seed.copy()
        digest.update(term.encode())
        return int.from_bytes(digest.digest(), "big", signed=True)

    return name


def length_of(read: Words) -> int:
    """A chunk's length as the postings know it."""
    return min(read.length, MOST_LENGTH)


def rows_of(name: Callable[[str], int], read: Mapping[int, Words]) -> list[tuple[int, int, bytes]]:
    """The rows of chunks' words: word, rank and entries of each."""
    entries: dict[str, bytearray] = {}
    best: dict[str, float] = {}
    for ordinal, chunk in read.items():
        length, place = length_of(chunk), ordinal << COUNT_BITS
        spread = K1 * (1 - B + B * length / USUAL_LENGTH)
        for term, count in chunk.counts.items():
            entries.setdefault(term, bytearray()).extend(ENTRY.pack(place | min(count, MOST_COUNT), length))
            best[term] = max(best.get(term, 0.0), count / (count + spread))
    return [(name(term), rank_of(best[term]), bytes(packed)) for term, packed in entries.items()]


def rank_of(share: float) -> int:
    """The rank of a row whose best chunk has this share of BM25's most."""
    return next((rank for rank, least in enumerate(RANKS) if share >= least), len(RANKS))
