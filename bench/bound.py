"""The lower bound by hand: one asyncio process, requests of 32k tokens, eight at a time.

    python -m bench.bound DATABASE_URL FOLDER BASE_URL KEY     (a pass for each line on standard input)

The same chunker as the services', answers in base64, requests filled across documents, and the same rows
under the same indexes by binary COPY, a transaction for each answer; a document is published when all of
its chunks are in.
"""

from __future__ import annotations

import asyncio
import binascii
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import orjson
import psycopg
from psycopg.types import TypeInfo

from bench import rows
from bench.answers import Done, serve
from bench.rows import Document, Half, Row
from waybill import limits, tokens

MODEL, DIMENSION = "text-embedding-3-small", 1536
REQUESTS_IN_FLIGHT = 8
# On two cores one is slower (17 to 20 s where two took 7 to 13), and four are no faster (7 to 14).
WRITERS = 2
PUBLISH = """
with version as (
    update document_versions set state = 'PUBLISHED' where version_id = any(%s)
    returning version_id, document_id
)
update documents set current_version_id = version.version_id
from version where documents.document_id = version.document_id
"""
Connection = psycopg.AsyncConnection


@dataclass(frozen=True)
class Batch:
    """One request: chunks by document and ordinal, and the documents that it is the first to hold."""

    chunks: Sequence[tuple[Document, int]]
    begun: Sequence[Document]

    @property
    def texts(self) -> list[str]:
        """What is embedded."""
        return [document.passages[ordinal].embedded_text for document, ordinal in self.chunks]


class Bound:
    """Puts documents into an index."""

    def __init__(
        self, space_id: int, http: httpx2.AsyncClient, beginner: Connection, writers: Sequence[Connection]
    ) -> None:
        self._space_id = space_id
        self._http = http
        self._beginner = beginner
        self._writers: asyncio.Queue[Connection] = asyncio.Queue()
        for writer in writers:
            self._writers.put_nowait(writer)
        self._stored: Counter[uuid.UUID] = Counter()
        self._calls: dict[str, float] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, base_url: str, key: str) -> AsyncIterator[Bound]:
        """With connections of its own."""
        async with AsyncExitStack() as stack:
            beginner, *writers = [
                await stack.enter_async_context(await Connection.connect(url)) for _ in range(1 + WRITERS)
            ]
            for connection in (beginner, *writers):
                await connection.execute(rows.SCHEMA)
                rows.teach(connection, await TypeInfo.fetch(connection, rows.HALFVEC))
                await connection.commit()
            row = await (await beginner.execute(rows.SPACE, [MODEL, DIMENSION, ""])).fetchone()
            assert row is not None
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            http = httpx2.AsyncClient(base_url=base_url, headers=headers, timeout=60.0)
            yield cls(row[0], await stack.enter_async_context(http), beginner, writers)

    async def ingest(self, files: Sequence[Path]) -> Done:
        """Writes what has changed."""
        self._calls = {}
        known: dict[str, str] = dict(await (await self._beginner.execute(rows.KNOWN)).fetchall())
        batches = _batches(rows.changed(files, known))
        slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
        written = 0
        async with asyncio.TaskGroup() as group:
            while batch := await asyncio.to_thread(next, batches, None):
                await self._begin(batch.begun)
                await slots.acquire()
                group.create_task(self._put(batch, slots))
                written += len(batch.chunks)
        return Done(written, self._calls)

    async def _begin(self, documents: Iterable[Document]) -> None:
        values = [document.values(self._space_id, published=False) for document in documents]
        async with self._beginner.cursor() as cursor:
            await cursor.executemany(rows.ADD_DOCUMENT, values)
        await self._beginner.commit()

    async def _put(self, batch: Batch, slots: asyncio.Semaphore) -> None:
        try:
            vectors = await self._embed(batch.texts)
        finally:
            slots.release()
        writer = await self._writers.get()
        try:
            await self._write(writer, batch, vectors)
        finally:
            self._writers.put_nowait(writer)

    async def _embed(self, texts: Sequence[str]) -> Iterator[Half]:
        call = str(uuid.uuid4())
        body = orjson.dumps({"model": MODEL, "input": texts, "encoding_format": "base64"})
        began = time.monotonic()
        response = await self._http.post("embeddings", content=body, headers={"X-Client-Request-Id": call})
        self._calls[call] = time.monotonic() - began
        response.raise_for_status()
        data = orjson.loads(response.content)["data"]
        raw = b"".join(binascii.a2b_base64(one["embedding"]) for one in data)
        return rows.halves(np.frombuffer(raw, dtype="<f4").reshape(len(texts), DIMENSION))

    async def _write(self, connection: Connection, batch: Batch, vectors: Iterable[Half]) -> None:
        chunks, placed = [], []
        for (document, ordinal), half in zip(batch.chunks, vectors, strict=True):
            chunks.append(rows.chunk_row(document.version, ordinal, document.passages[ordinal]))
            placed.append((rows.TENANT, self._space_id, document.version, ordinal, half))
        await _copy(connection, rows.COPY_CHUNKS, rows.CHUNK_TYPES, chunks)
        await _copy(connection, rows.COPY_VECTORS, rows.VECTOR_TYPES, placed)
        await connection.commit()
        await connection.execute(PUBLISH, [list(self._whole(batch))])
        await connection.commit()

    def _whole(self, batch: Batch) -> Iterator[uuid.UUID]:
        """The versions whose last missing chunks a batch has brought."""
        for document, _ in batch.chunks:
            self._stored[document.version] += 1
            if self._stored[document.version] == len(document.passages):
                del self._stored[document.version]
                yield document.version


async def _copy(connection: Connection, statement: str, types: Sequence[str], lines: Sequence[Row]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.set_types(types)
        for line in lines:
            await copy.write_row(line)


def _batches(documents: Iterable[Document]) -> Iterator[Batch]:
    chunks: list[tuple[Document, int]] = []
    begun: list[Document] = []
    used = 0
    for document in documents:
        begun.append(document)
        for ordinal, passage in enumerate(document.passages):
            if chunks and used + passage.token_count > limits.REQUEST_TOKENS:
                yield Batch(chunks, begun)
                chunks, begun, used = [], [], 0
            chunks.append((document, ordinal))
            used += passage.token_count
    if chunks:
        yield Batch(chunks, begun)


async def _opened(stack: AsyncExitStack, url: str, base_url: str, key: str) -> Bound:
    return await stack.enter_async_context(Bound.opened(url, base_url, key))


def main() -> None:
    """See above."""
    url, folder, base_url, key = sys.argv[1:]
    files = sorted(Path(folder).iterdir())
    # The vocabulary is unpacked at its first use, as the services' was long ago.
    tokens.count(["warm"])
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        bound = runner.run(_opened(stack, url, base_url, key))
        serve(lambda: runner.run(bound.ingest(files)))
        runner.run(stack.aclose())


if __name__ == "__main__":
    main()
