"""Puts documents into the index by COPY: what the storage service would have written, sooner."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from bench.search.texts import CHUNK_WORDS, Text, Vocabulary, texts
from services.storage import languages, postings

COLLECTION = "default"
_TABLES = {
    "documents": "document_id uuid, tenant text, collection text, document_key text",
    "document_versions": "version_id uuid, tenant text, document_id uuid, run_id text, source_sha256 text,"
    " recipe text, space_id int4, number int8, chunk_count int4, length int8",
    "chunks": "tenant text, version_id uuid, ordinal int4, sha256 text, text text, heading text, page int4,"
    " start_char int4, end_char int4, token_count int4, length int4",
    "postings": "word int8, number int8, rank int2, tenant text, entries bytea",
}
PUBLISH = "update waybill_index.document_versions set state = 'PUBLISHED' where tenant = %s"
POINT = """
update waybill_index.documents set current_version_id = version_id
from waybill_index.document_versions
where documents.document_id = document_versions.document_id and documents.tenant = %s
"""
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading cost.

    Attributes:
        seconds: Of COPY into the postings and of making their indexes.
    """

    documents: int
    postings: int
    seconds: float


class Loader:
    """Loads tenants, one after the other."""

    def __init__(self, connection: psycopg.Connection, vocabulary: Vocabulary) -> None:
        self._connection = connection
        self._words = vocabulary.words
        self._stems = [languages.stem("english", word) if word.isalpha() else "" for word in self._words]

    def load(self, tenant: str, chunks: int, seed: int) -> Loaded:
        """Loads a tenant."""
        name = postings.hasher(tenant, COLLECTION)
        terms = zip(self._words, self._stems, strict=True)
        names = [(name(word), name(stem) if stem else None) for word, stem in terms]
        random = np.random.default_rng(seed)
        documents = rows = 0
        seconds = 0.0
        batch: list[tuple[Text, int]] = []
        for text in texts(Vocabulary(self._words), chunks, seed):
            batch.append((text, int(random.integers(1, 1 << 62)) * 2))
            documents += 1
            if len(batch) == _AT_ONCE:
                rows, seconds = self._flush(tenant, batch, names, rows, seconds)
                batch = []
        rows, seconds = self._flush(tenant, batch, names, rows, seconds)
        self._connection.execute(PUBLISH, [tenant])
        self._connection.execute(POINT, [tenant])
        self._connection.execute("analyze")
        return Loaded(documents, rows, seconds)

    def _flush(
        self, tenant: str, batch: list[tuple[Text, int]], names: list[Any], rows: int, seconds: float
    ) -> tuple[int, float]:
        made = [(uuid.uuid4(), uuid.uuid4(), text, number) for text, number in batch]
        self._copy("documents", ((one, tenant, COLLECTION, f"{number}.md") for one, _, _, number in made))
        self._copy(
            "document_versions",
            (
                (version, tenant, one, "bench", "", "", 1, number, text.size, text.size * CHUNK_WORDS)
                for one, version, text, number in made
            ),
        )
        for _, version, text, _ in made:
            self._copy("chunks", self._chunks(tenant, version, text))
        found = [row for text, number in batch for row in _postings(tenant, number, text, names)]
        began = time.perf_counter()
        self._copy("postings", iter(found))
        return rows + len(found), seconds + time.perf_counter() - began

    def _chunks(self, tenant: str, version: uuid.UUID, text: Text) -> Iterator[tuple[Any, ...]]:
        for ordinal in range(text.size):
            ids = text.words[ordinal * CHUNK_WORDS : (ordinal + 1) * CHUNK_WORDS]
            body = " ".join(self._words[one] for one in ids.tolist())
            sha256 = hashlib.sha256(body.encode()).hexdigest()
            yield tenant, version, ordinal, sha256, body, "", 1, 0, len(body), 400, CHUNK_WORDS

    def _copy(self, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
        columns = [column.split() for column in _TABLES[table].split(", ")]
        names = ", ".join(name for name, _ in columns)
        with self._connection.cursor().copy(
            f"copy waybill_index.{table} ({names}) from stdin (format binary)"
        ) as copy:
            copy.set_types([kind for _, kind in columns])
            for row in rows:
                copy.write_row(row)


def _postings(tenant: str, number: int, text: Text, names: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a document's words and of their stems."""
    spread = postings.K1 * (1 - postings.B + postings.B * CHUNK_WORDS / postings.USUAL_LENGTH)
    pairs, counts = np.unique(text.words << 24 | text.chunks, return_counts=True)
    ids, starts = np.unique(pairs >> 24, return_index=True)
    counts = np.minimum(counts, postings.MOST_COUNT)
    entries = np.zeros(len(pairs), [("place", "<u4"), ("length", "<u2")])
    entries["place"] = (pairs & 0xFFFFFF) << postings.COUNT_BITS | counts
    entries["length"] = CHUNK_WORDS
    best = np.maximum.reduceat(counts, starts)
    packed = entries.tobytes()
    ends = [*starts[1:].tolist(), len(pairs)]
    for one, start, end, most in zip(ids.tolist(), starts.tolist(), ends, best.tolist(), strict=True):
        rank = postings.rank_of(most / (most + spread))
        for word in names[one]:
            if word is not None:
                yield word, number, rank, tenant, packed[6 * start : 6 * end]
