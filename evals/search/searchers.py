"""What is compared: plain BM25, vectors alone, our words alone, and the whole of ours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from evals.search.plain import PlainSearch
from services.embedder.backends.local import LocalEmbedder
from services.storage import chunks, publish, search, versions
from services.storage.chunks import Chunk
from services.storage.reach import Filter
from services.storage.search import Mode
from services.storage.spaces import Space
from services.storage.versions import Beginning
from waybill.runtime.postgres import Database

TENANT, COLLECTION = "evals", "default"
DEPTH = 10
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a search answers: document and text of each hit, and the best one's score."""

    hits: Sequence[tuple[str, str]]
    best: float = 0.0


Searcher = Callable[[str], Awaitable[Found]]


class Ours:
    """The index, filled and asked as the services do it, but for the wire."""

    def __init__(self, database: Database, embedder: LocalEmbedder) -> None:
        self._database = database
        self._embedder = embedder
        space = embedder.space
        self.space = Space(space.model, space.dimension, space.revision)

    async def fill(self, documents: Mapping[str, Sequence[Chunk]]) -> None:
        """Publishes documents."""
        for key, passages in documents.items():
            sha256 = hashlib.sha256(key.encode()).hexdigest()
            beginning = Beginning(COLLECTION, key, sha256, "", self.space, "eval")
            async with self._database.transaction(TENANT) as connection:
                begun = await versions.begin(connection, TENANT, beginning, validate_only=False)
            for start in range(0, len(passages), _BATCH):
                some = passages[start : start + _BATCH]
                await chunks.put_chunks(self._database, TENANT, begun.version_id, some)
                embedded = await self._vectors([one.embedded_text.decode() for one in some])
                vectors = {one.ordinal: vector for one, vector in zip(some, embedded, strict=True)}
                async with self._database.transaction(TENANT) as connection:
                    await chunks.put_vectors(connection, TENANT, begun.version_id, self.space, vectors)
            await publish.publish(self._database, TENANT, publish.Wanted(begun.version_id, len(passages)))

    def searcher(self, mode: Mode) -> Searcher:
        """Asks in this way."""

        async def ask(question: str) -> Found:
            (vector,) = await self._vectors([question])
            asked = search.Question(Filter(COLLECTION), mode, question, vector, self.space, DEPTH)
            answer = await search.search(self._database, TENANT, asked)
            hits = [
                (hit.candidate.row["document_key"], hit.row["lead"] + hit.row["text"]) for hit in answer.hits
            ]
            return Found(hits, answer.hits[0].candidate.parts.score if answer.hits else 0.0)

        return ask

    async def _vectors(self, texts: Sequence[str]) -> list[bytes]:
        embedded = await self._embedder.embed(texts, "eval")
        return [vector.tobytes() for vector in embedded.vectors]


def plain(documents: Mapping[str, Sequence[Chunk]]) -> Searcher:
    """The yardstick over the same chunks."""
    passages = [(key, one) for key, some in documents.items() for one in some]
    index = PlainSearch([one.embedded_text.decode() for _, one in passages])

    async def ask(question: str) -> Found:
        places = await asyncio.to_thread(index.search, question, DEPTH)
        return Found(
            [(passages[place][0], passages[place][1].lead + passages[place][1].text) for place in places]
        )

    return ask
