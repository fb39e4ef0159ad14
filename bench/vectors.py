"""What keeping HNSW costs: taking each vector as it comes, as before, beside building it in bulk.

python -m bench.vectors [--vectors 8000] [--dimensions 256,1536]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from bench.processes import Programs
from evals.database import Urls, migrated
from services.storage import chunks, nearest, publish, reach, spaces, versions
from services.storage.chunks import Chunk
from services.storage.reach import Filter
from services.storage.spaces import Space
from services.storage.vector_index import NEVER, Builder
from services.storage.versions import Beginning
from waybill.runtime.postgres import Database

TENANT, COLLECTION = "bench", "default"
DOCUMENT_VECTORS, WRITERS = 40, 3
QUESTIONS, BEST = 200, 10
# Text's vectors fill few of their dimensions; were these even, no index could tell near from far.
LATENT, NOISE = 32, 0.3
POSTMASTER = "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
AS_BEFORE = sql.SQL("""
create index {name} on waybill_index.vectors
using hnsw ((e::extensions.halfvec({dimension})) extensions.halfvec_cosine_ops)
with (m = 16, ef_construction = 64) where space_id = {space_id}
""")
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Vectors that are written, and those that are looked for."""

    space: Space
    vectors: Matrix
    questions: Matrix

    @classmethod
    def made(cls, dimension: int, count: int) -> Corpus:
        """No two alike."""
        random = np.random.default_rng(dimension)
        made = random.standard_normal((count + QUESTIONS, LATENT)) @ random.standard_normal(
            (LATENT, dimension)
        )
        made += NOISE * np.sqrt(LATENT) * random.standard_normal(made.shape)
        made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
        return cls(Space("bench", dimension, ""), made[:count], made[count:])

    def best(self) -> list[set[int]]:
        """The nearest of each question, of vectors as halfvec keeps them."""
        cosines = self.questions @ self.vectors.astype(np.float16).astype(np.float32).T
        return [set(row.tolist()) for row in np.argsort(-cosines, axis=1)[:, :BEST]]


def main() -> None:
    """Measures each way in a database of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.vectors", description=__doc__)
    parser.add_argument("--vectors", type=int, default=8_000)
    parser.add_argument("--dimensions", default="256,1536")
    wanted = parser.parse_args()
    print(
        "| vectors | HNSW | state | Postgres CPU s | wall s | search p50 ms | search CPU ms | recall@10"
        " | indexes |\n" + "| --- " * 9 + "|"
    )
    for dimension in map(int, wanted.dimensions.split(",")):
        corpus = Corpus.made(dimension, wanted.vectors)
        for as_before in (True, False):
            with migrated() as urls:
                asyncio.run(_measure(urls, corpus, as_before))


async def _measure(urls: Urls, corpus: Corpus, as_before: bool) -> None:
    async with (
        Database.opened(urls.storage) as database,
        Database.opened(urls.owner, max_size=1) as owner,
    ):
        await spaces.make(owner, corpus.space)
        async with database.transaction(TENANT) as connection:
            space_id = await spaces.space_id(connection, corpus.space)
        way = "row by row" if as_before else "in bulk"
        bench = _Bench(database, urls.admin, corpus, space_id, way)
        if as_before:
            _index_as_before(urls.admin, corpus.space, space_id)
            async with bench.row("written"):
                await bench.write()
            return
        builder = Builder(owner, urls.owner)
        async with bench.row("written"), builder.running():
            await bench.write()
        async with bench.row("built"):
            await Builder(owner, urls.owner, most_open=1).build()


def _postmaster(url: str) -> int:
    with psycopg.connect(url) as admin:
        row = admin.execute(POSTMASTER).fetchone()
    assert row is not None
    return int(row[0])


def _index_as_before(url: str, space: Space, space_id: int) -> None:
    name = sql.Identifier(f"vectors_{space_id}_0_{NEVER}")
    with psycopg.connect(url) as admin:
        admin.execute(
            AS_BEFORE.format(
                name=name, dimension=sql.Literal(space.dimension), space_id=sql.Literal(space_id)
            )
        )
        admin.execute(
            "update waybill_index.spaces set segments = %s where space_id = %s", [[NEVER], space_id]
        )


class _Bench:
    """One database, one way of keeping indexes."""

    def __init__(self, database: Database, admin_url: str, corpus: Corpus, space_id: int, way: str) -> None:
        self._database = database
        self._admin_url = admin_url
        self._corpus = corpus
        self._space_id = space_id
        self._programs = Programs({_postmaster(admin_url): "postgres"})
        self._way = way
        self._places: dict[tuple[int, int], int] = {}

    @asynccontextmanager
    async def row(self, state: str) -> AsyncIterator[None]:
        """Prints what the block cost Postgres, and how searches are then."""
        before = self._programs.read()
        yield
        wall_seconds = self._programs.read().since(before).wall_seconds
        await asyncio.sleep(1)  # a session that has just ended is counted once it is reaped
        used = self._programs.read().since(before)
        with psycopg.connect(self._admin_url, autocommit=True) as admin:
            admin.execute("analyze")  # as autovacuum does it within a minute
        before = self._programs.read()
        milliseconds, recall, indexes = await self._search()
        search_ms = 1000 * self._programs.read().since(before).cpu_seconds["postgres"] / QUESTIONS
        vectors, dimension = self._corpus.vectors.shape
        print(
            f"| {vectors:,} × {dimension} | {self._way} | {state} | {used.cpu_seconds['postgres']:.1f}"
            f" | {wall_seconds:.1f} | {milliseconds:.1f} | {search_ms:.1f} | {recall:.3f} | {indexes} |",
            flush=True,
        )

    async def write(self) -> None:
        """Documents of some vectors each, some at once."""
        waiting = list(range(0, len(self._corpus.vectors), DOCUMENT_VECTORS))

        async def some() -> None:
            while waiting:
                await self._document(waiting.pop(0))

        await asyncio.gather(*(some() for _ in range(WRITERS)))

    async def _document(self, first: int) -> None:
        rows = self._corpus.vectors[first : first + DOCUMENT_VECTORS]
        key, sha256 = f"{first}.md", hashlib.sha256(str(first).encode()).hexdigest()
        beginning = Beginning(COLLECTION, key, sha256, "bench", self._corpus.space, key)
        passages = [_passage(place, f"passage {first + place}") for place in range(len(rows))]
        begun = (await chunks.put_chunks(self._database, TENANT, beginning, passages)).begun
        assert begun is not None
        vectors = {place: row.tobytes() for place, row in enumerate(rows)}
        async with self._database.transaction(TENANT) as connection:
            await chunks.put_vectors(connection, TENANT, begun.version_id, self._corpus.space, vectors)
            number = (await versions.find(connection, begun.version_id, to_write=False)).number
        await publish.publish(self._database, TENANT, publish.Wanted(begun.version_id, len(rows)))
        self._places |= {(number, place): first + place for place in range(len(rows))}

    async def _search(self) -> tuple[float, float, int]:
        """Median milliseconds, share found of the best, and how many indexes there are."""
        milliseconds, shares = [], []
        for question, best in zip(self._corpus.questions, self._corpus.best(), strict=True):
            began = time.perf_counter()
            found = await self._nearest(question)
            milliseconds.append(1000 * (time.perf_counter() - began))
            shares.append(len(best & {self._places[one] for one in found}) / BEST)
        async with self._database.transaction(TENANT) as connection:
            query = "select cardinality(segments) as parts from spaces where space_id = %s"
            (row,) = await (await connection.execute(query, [self._space_id])).fetchall()
        return float(np.median(milliseconds)), float(np.mean(shares)), row["parts"]

    async def _nearest(self, question: Matrix) -> list[tuple[int, int]]:
        """As a search does it, whose candidates they are."""
        values = Filter(COLLECTION).values(TENANT) | {
            "depth": nearest.DEPTH,
            "space_id": self._space_id,
            "vector": spaces.packed(question.tobytes(), self._corpus.space.dimension),
        }
        async with self._database.transaction(TENANT, snapshot=True) as connection:
            spaces.teach(connection)
            scope = await reach.scope(connection, Filter(COLLECTION), values)
            return await nearest.nearest(
                connection, self._corpus.space, values, in_reach=scope.vectors, on_pages=False
            )


def _passage(ordinal: int, text: str) -> Chunk:
    return Chunk(ordinal, text, "", 1, 0, len(text), hashlib.sha256(text.encode()).hexdigest(), 2)


if __name__ == "__main__":
    main()
