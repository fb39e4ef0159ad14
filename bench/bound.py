"""The lower bound: what the job costs by hand, in one process, with no service, engine, ledger or span.

    python -m bench.bound DATABASE_URL FOLDER     (a pass for each line on standard input)

The same libraries, chunker and embedding engine as the services', and the same rows under the same
indexes, by binary COPY, a transaction for each document.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from bench.processes import peak_mb
from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import Vectors
from services.orchestrator.chunking import RECIPE, Page, Passage, cut
from services.parser import extract, text
from services.parser.limits import Limits

TENANT, COLLECTION = "bench", "default"
BATCH_TOKENS = 32_000

# As the administrator: COPY does not go through row-level security.
SCHEMA = "set search_path = waybill_index, extensions"
KNOWN = """
select document_key, source_sha256
from documents join document_versions on version_id = current_version_id
"""
SPACE = "select space_id from spaces where (model, dimension, revision) = (%s, %s, %s)"
# Both at once: foreign keys, which point both ways, are checked at the statement's end.
ADD_DOCUMENT = """
with version as (
    insert into document_versions (version_id, tenant, document_id, run_id, source_sha256, recipe, space_id,
        state, chunk_count, vector_count)
    values (%(version)s, %(tenant)s, %(document)s, %(version)s::text, %(sha256)s, %(recipe)s, %(space)s,
        'PUBLISHED', %(chunks)s, %(chunks)s)
)
insert into documents (document_id, tenant, collection, document_key, current_version_id)
values (%(document)s, %(tenant)s, %(collection)s, %(key)s, %(version)s)
"""
COPY_CHUNKS = """
copy chunks (tenant, version_id, ordinal, sha256, text, heading, page, start_char, end_char, token_count)
from stdin (format binary)
"""
CHUNK_TYPES = ["text", "uuid", "int4", "text", "text", "text", "int4", "int4", "int4", "int4"]
COPY_VECTORS = "copy vectors (tenant, space_id, version_id, ordinal, e) from stdin (format binary)"
VECTOR_TYPES = ["text", "int4", "uuid", "int4", "halfvec"]


class Half(bytes):
    """A vector in pgvector's binary form for `halfvec`."""


class Bound:
    """Puts documents into an index."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._embedder = LocalEmbedder()
        connection.execute(SCHEMA)
        _teach(connection)
        space = self._embedder.space
        row = connection.execute(SPACE, [space.model, space.dimension, space.revision]).fetchone()
        assert row is not None
        self._space_id = row[0]
        connection.commit()
        # Vocabularies are unpacked at their first use, as the services' were long ago.
        self._embedder._embed(["warm"])

    def ingest(self, files: Sequence[Path]) -> int:
        """Writes what has changed; answers how many chunks that were."""
        known: dict[str, str] = dict(self._connection.execute(KNOWN).fetchall())
        written = 0
        for file in files:
            content = file.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if known.get(file.name) != sha256:
                written += self._write(file.name, content, sha256)
        self._connection.commit()
        return written

    def _write(self, key: str, content: bytes, sha256: str) -> int:
        passages = list(cut(_pages(key, content)))
        version = uuid.uuid4()
        values = {
            "version": version,
            "document": uuid.uuid4(),
            "tenant": TENANT,
            "collection": COLLECTION,
            "key": key,
            "sha256": sha256,
            "recipe": RECIPE,
            "space": self._space_id,
            "chunks": len(passages),
        }
        self._connection.execute(ADD_DOCUMENT, values)
        self._copy(COPY_CHUNKS, CHUNK_TYPES, _chunk_rows(version, passages))
        self._copy(COPY_VECTORS, VECTOR_TYPES, self._vector_rows(version, passages))
        self._connection.commit()
        return len(passages)

    def _vector_rows(self, version: uuid.UUID, passages: Sequence[Passage]) -> Iterator[tuple[Any, ...]]:
        ordinal = 0
        for batch in _batches(passages):
            for half in _halves(self._embedder._embed([one.embedded_text for one in batch]).vectors):
                yield TENANT, self._space_id, version, ordinal, half
                ordinal += 1

    def _copy(self, statement: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)


def _pages(name: str, content: bytes) -> Iterator[Page]:
    if name.endswith(".pdf"):
        for page in extract.pages(extract.open_pdf(content), Limits()):
            yield Page(page["page"], page["markdown"])
        return
    for plain in text.parse([content], Limits()):
        yield Page(plain.page, plain.markdown)


def _batches(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    batch: list[Passage] = []
    for passage in passages:
        if batch and sum(one.token_count for one in (*batch, passage)) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(passage)
    yield batch


def _chunk_rows(version: uuid.UUID, passages: Sequence[Passage]) -> Iterator[tuple[Any, ...]]:
    for ordinal, one in enumerate(passages):
        place = (one.page, one.start, one.end, one.token_count)
        yield TENANT, version, ordinal, one.sha256, one.text, one.heading, *place


def _halves(vectors: Vectors) -> Iterator[Half]:
    head = struct.pack(">hh", vectors.shape[1], 0)
    for row in vectors.astype(">f2"):
        yield Half(head + row.tobytes())


def _teach(connection: psycopg.Connection) -> None:
    info = TypeInfo.fetch(connection, "extensions.halfvec")
    assert info is not None
    info.register(connection)
    halfvec_oid = info.oid

    class HalfDumper(Dumper):
        format = Format.BINARY
        oid = halfvec_oid

        def dump(self, obj: bytes) -> Buffer:
            return obj

    connection.adapters.register_dumper(Half, HalfDumper)


def main() -> None:
    """A pass for each line of standard input, which ends it."""
    url, folder = sys.argv[1:]
    files = sorted(Path(folder).iterdir())
    with psycopg.connect(url) as connection:
        bound = Bound(connection)
        _say(startup_cpu_seconds=time.process_time())
        for _ in sys.stdin:
            wall, cpu = time.monotonic(), time.process_time()
            chunks = bound.ingest(files)
            _say(
                chunks=chunks,
                wall_seconds=time.monotonic() - wall,
                cpu_seconds=time.process_time() - cpu,
                peak_mb=peak_mb(os.getpid()),
            )


def _say(**values: float) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
