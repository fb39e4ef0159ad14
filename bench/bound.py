"""The lower bound: what the job costs by hand, in one process, with no service, engine, ledger or span.

    python -m bench.bound DATABASE_URL FOLDER     (a pass for each line on standard input)

The same libraries, chunker and embedding engine as the services', and the same rows under the same
indexes, by binary COPY, a transaction for each document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg.types import TypeInfo

from bench import rows
from bench.answers import Done, serve
from bench.rows import Document, Row
from services.embedder.models.words import WordVectors
from services.orchestrator.chunks.cutting import Passage
from waybill import tokens


class Bound:
    """Puts documents into an index."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._model = WordVectors()
        connection.execute(rows.SCHEMA)
        rows.teach(connection, TypeInfo.fetch(connection, rows.HALFVEC))
        space = self._model.space
        row = connection.execute(rows.SPACE, [space.model, space.dimension, space.revision]).fetchone()
        assert row is not None
        self._space_id = row[0]
        connection.commit()
        # Vocabularies are unpacked at their first use, as the services' were long ago.
        tokens.count(["warm"])

    def ingest(self, files: Sequence[Path]) -> int:
        """Writes what has changed; answers how many chunks that were."""
        known: dict[str, str] = dict(self._connection.execute(rows.KNOWN).fetchall())
        written = sum(map(self._write, rows.changed(files, known)))
        self._connection.commit()
        return written

    def _write(self, document: Document) -> int:
        chunks = (rows.chunk_row(document.version, *numbered) for numbered in enumerate(document.passages))
        self._connection.execute(rows.ADD_DOCUMENT, document.values(self._space_id, published=True))
        self._copy(rows.COPY_CHUNKS, rows.CHUNK_TYPES, chunks)
        self._copy(rows.COPY_VECTORS, rows.VECTOR_TYPES, self._vector_rows(document))
        self._connection.commit()
        return len(document.passages)

    def _vector_rows(self, document: Document) -> Iterator[Row]:
        ordinal = 0
        for batch in _batches(document.passages):
            for half in rows.halves(self._model.vectors([one.embedded_text for one in batch])):
                yield rows.TENANT, self._space_id, document.version, ordinal, half
                ordinal += 1

    def _copy(self, statement: str, types: Sequence[str], lines: Iterable[Row]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(types)
            for line in lines:
                copy.write_row(line)


def _batches(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    batch: list[Passage] = []
    for passage in passages:
        if batch and sum(one.token_count for one in (*batch, passage)) > rows.BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(passage)
    yield batch


def main() -> None:
    """See above."""
    url, folder = sys.argv[1:]
    files = sorted(Path(folder).iterdir())
    with psycopg.connect(url) as connection:
        bound = Bound(connection)
        serve(lambda: Done(bound.ingest(files)))


if __name__ == "__main__":
    main()
