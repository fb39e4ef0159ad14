"""What words are worth stays right whatever happens to documents: compared with a recount from the texts."""

from __future__ import annotations

import asyncio
import hashlib
import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.storage import chunks, delete, languages, publish, search, versions, words
from services.storage.chunks import Chunk
from services.storage.postings import K1, B
from services.storage.ranking import EXACT_SHARE, FORM_SHARE
from services.storage.reach import Filter
from services.storage.search import Mode, Question
from services.storage.spaces import Space
from services.storage.sweep import Patience, Sweeper
from services.storage.versions import Beginning
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import unit_vector
from waybill.runtime.postgres import Database

SPACES = [Space("wordllama-l2-supercat", 256, "0.4.0"), Space("text-embedding-3-small", 1536, "")]
VOCABULARY = ["harbour", "harbours", "pilot", "E-1042", "café", "cafe", "東京タワー", "snake_case", "tide"]
TEXTS = st.lists(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=5).map(" ".join), max_size=3)
KEYS = st.sampled_from(["a.md", "b.md", "c.md"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), KEYS, TEXTS.filter(bool), st.sampled_from(SPACES)),
        st.tuples(st.just("build"), KEYS, TEXTS.filter(bool), st.sampled_from(SPACES)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("sweep")),
    ),
    max_size=8,
)


@dataclass
class Corpus:
    """A tenant's documents in the index, and what should be there."""

    database: Database
    owner: Database
    tenant: str = field(default_factory=lambda: f"t-{uuid.uuid4()}")
    published: dict[str, tuple[Sequence[str], Space]] = field(default_factory=dict)

    async def publish(self, key: str, texts: Sequence[str], space: Space) -> None:
        """Makes these texts the document's content, in two calls and a repeat."""
        version = await self._filled(key, texts, space)
        await publish.publish(self.database, self.tenant, publish.Wanted(version, len(texts)))
        self.published[key] = (texts, space)

    async def build(self, key: str, texts: Sequence[str], space: Space) -> None:
        """Fills a version that is not published."""
        await self._filled(key, texts, space)

    async def delete(self, key: str) -> None:
        """Deletes the document, if it is there."""
        await delete.delete_document(self.database, self.tenant, "default", key, [])
        self.published.pop(key, None)

    async def sweep(self) -> None:
        """Drops what was replaced."""
        await Sweeper(self.owner, Patience(superseded_seconds=0)).sweep()

    async def _filled(self, key: str, texts: Sequence[str], space: Space) -> str:
        sha256 = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        beginning = Beginning("default", key, sha256, "", space, str(uuid.uuid4()))
        async with self.database.transaction(self.tenant) as connection:
            begun = await versions.begin(connection, self.tenant, beginning, validate_only=False)
        made = [made_chunk(ordinal, text) for ordinal, text in enumerate(texts)]
        for some in (made[:1], made, made[1:]):
            await chunks.put_chunks(self.database, self.tenant, begun.version_id, some)
        vectors = {one.ordinal: unit_vector(one.ordinal, space.dimension) for one in made}
        async with self.database.transaction(self.tenant) as connection:
            await chunks.put_vectors(connection, self.tenant, begun.version_id, space, vectors)
        return begun.version_id


def made_chunk(ordinal: int, text: str) -> Chunk:
    """A chunk under a heading."""
    heading = f"place {ordinal}"
    sha256 = hashlib.sha256(f"{heading}\n\n{text}".encode()).hexdigest()
    return Chunk(ordinal, text, heading, 1, 0, len(text), sha256, 1, "")


def recounted(texts: Mapping[str, Sequence[str]], question: str) -> dict[tuple[str, int], float]:
    """Each chunk's share of the question, from nothing but the texts."""
    read = {
        (key, ordinal): words.of_chunk(f"place {ordinal}", text)
        for key, some in texts.items()
        for ordinal, text in enumerate(some)
    }
    average = sum(one.length for one in read.values()) / max(len(read), 1)
    holders = Counter(term for one in read.values() for term in one.counts)

    def worth(term: str, place: tuple[str, int] | None) -> float:
        rarity = math.log1p((len(read) - holders[term] + 0.5) / (holders[term] + 0.5))
        if place is None:
            return rarity
        count = read[place].counts.get(term, 0)
        return rarity * count / (count + K1 * (1 - B + B * read[place].length / average))

    def of_word(group: words.Group, place: tuple[str, int] | None) -> float:
        others = [other for other in group.others if holders[other]]
        if not others and not holders[group.word]:
            counts = place is None and not languages.is_function_word(group.word)
            return worth(group.word, None) if counts else 0.0
        share = EXACT_SHARE if others else 1.0
        exact = share * worth(group.word, place) if holders[group.word] else 0.0
        form_share = 1 - EXACT_SHARE if holders[group.word] else FORM_SHARE
        return exact + max((form_share * worth(other, place) for other in others), default=0.0)

    asked = words.of_question(question)
    most = sum(of_word(group, None) for group in asked)
    scores = {place: sum(of_word(group, place) for group in asked) / most for place in read}
    return {place: score for place, score in scores.items() if score}


async def held_to_a_recount(database: MigratedPostgres, steps: Sequence[tuple[str, ...]]) -> None:
    """Takes the steps, then compares every answer and every total."""
    pool = await Database.open(database.url("storage"))
    owner = await Database.open(database.owner_url("storage"), max_size=1)
    try:
        corpus = Corpus(pool, owner)
        for name, *values in steps:
            await getattr(corpus, name)(*values)
        texts = {key: some for key, (some, _) in corpus.published.items()}
        for question in ("harbours E-1042", "cafe tide pilot 東京 snake_case", "place harbour"):
            asked = Question(Filter("default"), Mode.TEXT, question, limit=100)
            answer = await search.search(pool, corpus.tenant, asked)
            expected = recounted(texts, question)
            found = {
                (hit.candidate.row["document_key"], hit.candidate.row["ordinal"]): hit.candidate.parts.words
                for hit in answer.hits
            }
            # A passage that stands in several documents is one hit.
            assert {place: round(score, 9) for place, score in found.items()}.items() <= {
                place: round(score, 9) for place, score in expected.items()
            }.items()
            copies = {(copy["document_key"], copy["ordinal"]) for hit in answer.hits for copy in hit.copies}
            assert found.keys() | copies == expected.keys()
        assert answer.chunks == sum(map(len, texts.values()))
        await totals_are_those_of(database, corpus)
    finally:
        await pool.close()
        await owner.close()


async def totals_are_those_of(database: MigratedPostgres, corpus: Corpus) -> None:
    """The totals have what is published, and nothing of anything else."""
    query = "select space_id, sum(chunks), sum(vectors), sum(length) from totals where tenant = %s group by 1"
    async with await psycopg.AsyncConnection.connect(database.owner_url("storage")) as owner:
        rows = await (await owner.execute(query, [corpus.tenant])).fetchall()
    expected = {}
    for place, space in enumerate(SPACES, 1):
        some = [texts for texts, of in corpus.published.values() if of == space]
        lengths = [
            words.of_chunk(f"place {n}", text).length for texts in some for n, text in enumerate(texts)
        ]
        if some:
            expected[place] = (len(lengths), len(lengths), sum(lengths))
    assert {row[0]: tuple(map(int, row[1:])) for row in rows} == expected


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_after_any_steps_every_score_and_total_is_that_of_a_recount(
    database: MigratedPostgres, steps: list[tuple[str, ...]]
) -> None:
    asyncio.run(held_to_a_recount(database, steps))
