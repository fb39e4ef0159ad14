"""Finding chunks of published versions: by vector, by words, or by both, their scores added.

Candidates come from two lists: the nearest vectors, and the chunks that words fit best (matching.py).
Each candidate gets both scores, whichever list it is from; fusion.py makes them one.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from services.storage import fusion, hits, nearest, reach, spaces, words
from services.storage.collection_spaces import enter
from services.storage.fusion import Parts
from services.storage.hits import Candidate, Hit
from services.storage.matching import CANDIDATES, Matcher, Matches
from services.storage.phrases import Phrases
from services.storage.reach import REACH, Filter, Scope
from services.storage.spaces import Space
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.postgres import Connection, Database

DEFAULT_LIMIT, MAX_LIMIT = 10, 100
MAX_QUERY_BYTES = 8 * 1024
# Candidates where many of them may turn out to be on other pages, or to lack the phrase.
CANDIDATES_ON_PAGES, CANDIDATES_FOR_PHRASES = 5_000, 300
# Candidates at most where the first ones are copies of each other, and how many times more are taken then.
MOST_CANDIDATES, MORE_CANDIDATES = 6_400, 8

# Candidates, each with its vector's cosine where it has one.
DETAILS = sql.SQL("""
with {reach}
select number, chunks.ordinal, document_key, chunks.version_id, sha256, {cosine} as cosine
from unnest(%(numbers)s::bigint[], %(ordinals)s::int[]) as candidates (number, ordinal)
join document_versions using (number) join reach using (version_id)
join chunks using (version_id, ordinal) {vectors}
where page >= %(first_page)s and (%(last_page)s::int is null or page <= %(last_page)s)
""")
VECTORS = sql.SQL("""
left join vectors on (vectors.version_id, vectors.ordinal, vectors.space_id)
    = (chunks.version_id, chunks.ordinal, {space_id})
""")
COSINE = sql.SQL("coalesce(1 - (e::halfvec({dimension}) <=> {vector}), 0)")


class Mode(enum.Enum):
    """How chunks are looked for."""

    VECTOR = "VECTOR"
    TEXT = "TEXT"
    HYBRID = "HYBRID"


@dataclass(frozen=True, slots=True)
class Question:
    """A search. Vector and space may be left out in TEXT mode, the query in VECTOR mode.

    Attributes:
        beside: The space may be the one beside that which the collection is searched in.
        exact: Every vector is looked at, instead of an index.
    """

    within: Filter
    mode: Mode
    query: str = ""
    vector: bytes = b""
    space: Space | None = None
    limit: int = DEFAULT_LIMIT
    beside: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first; what was in reach; and why there is no hit."""

    hits: Sequence[Hit]
    chunks: int
    vectors: int
    hint: str = ""


async def search(database: Database, tenant: str, question: Question) -> Answer:
    """Answers from one state of the index.

    Raises:
        InvalidRequest: INVALID_REQUEST, VECTOR_INVALID.
        Precondition: SPACE_UNKNOWN, SPACE_MOVED.
    """
    _check(question)
    async with database.transaction(tenant, snapshot=True) as connection:
        return await _Search(connection, tenant, question).answer()


def _check(question: Question) -> None:
    if not 1 <= question.limit <= MAX_LIMIT:
        raise InvalidRequest("INVALID_REQUEST", f"limit is 1 to {MAX_LIMIT}, or 0 for {DEFAULT_LIMIT}.")
    if question.mode is not Mode.VECTOR and not question.query.strip():
        raise InvalidRequest("INVALID_REQUEST", "query is empty; only MODE_VECTOR does without words.")
    if len(question.query.encode()) > MAX_QUERY_BYTES:
        raise InvalidRequest("INVALID_REQUEST", f"query has at most {MAX_QUERY_BYTES} bytes.")
    if question.mode is not Mode.TEXT and question.space is None:
        raise InvalidRequest("INVALID_REQUEST", "vector and space are missing; only MODE_TEXT does without.")
    if min(question.within.first_page, question.within.last_page) < 0:
        raise InvalidRequest("INVALID_REQUEST", "Pages count from 1; 0 means the first, or the last.")


class _Search:
    """One question, in one transaction."""

    def __init__(self, connection: Connection, tenant: str, question: Question) -> None:
        self._connection = connection
        self._tenant = tenant
        self._question = question
        query = "" if question.mode is Mode.VECTOR else question.query
        self._asked = words.of_question(query)
        self._phrases = Phrases(query)
        self._values: dict[str, Any] = question.within.values(tenant)
        self._values |= {"depth": max(nearest.DEPTH, question.limit), "space_id": None}
        self._beside = False

    async def answer(self) -> Answer:
        question, space = self._question, self._question.space
        if space is not None:
            await self._enter(space)
            question, space = self._question, self._question.space
        if space is not None and question.mode is not Mode.TEXT:
            self._values["vector"] = spaces.packed(question.vector, space.dimension)
            spaces.teach(self._connection)
        scope = await reach.scope(self._connection, question.within, self._values)
        if self._beside:
            scope = replace(scope, vectors=await reach.vectors(self._connection, self._values))
        near = await self._near(scope)
        most = self._most()
        while True:
            matches = await self._matches(scope, near, most)
            candidates = await self._candidates(matches)
            distinct = len({one.row["sha256"] for one in candidates})
            if distinct >= question.limit or len(matches.numbers) < most or most >= MOST_CANDIDATES:
                break
            most *= MORE_CANDIDATES
        fitting = _fitting(candidates, question, scope.totals.chunks)
        found = await hits.made(
            self._connection, self._values, fitting, self._phrases, matches.words, question.limit
        )
        hint = "" if found else self._hint(scope, candidates)
        return Answer(found, scope.chunks, scope.vectors, hint)

    async def _enter(self, space: Space) -> None:
        """Finds the space; where nothing was ever written to it, words speak alone."""
        collection, beside = self._question.within.collection, self._question.beside
        try:
            entered = await enter(self._connection, self._tenant, collection, space, beside=beside)
            self._values["space_id"] = entered.space_id
            self._beside = entered.beside
        except Precondition as error:
            if self._question.mode is Mode.VECTOR or error.reason != "SPACE_UNKNOWN":
                raise
            self._question = replace(self._question, mode=Mode.TEXT, space=None)

    def _most(self) -> int:
        """How many candidates words score."""
        most = max(CANDIDATES, 2 * self._question.limit)
        if self._phrases:
            most = max(most, CANDIDATES_FOR_PHRASES)
        return max(most, CANDIDATES_ON_PAGES) if self._question.within.by_page else most

    async def _near(self, scope: Scope) -> list[tuple[int, int]]:
        """The nearest vectors' chunks."""
        if self._question.mode is Mode.TEXT:
            return []
        assert self._question.space is not None
        return await nearest.nearest(
            self._connection,
            self._question.space,
            self._values,
            in_reach=scope.vectors,
            on_pages=self._question.within.by_page,
            exact=self._question.exact,
        )

    async def _matches(self, scope: Scope, near: Sequence[tuple[int, int]], most: int) -> Matches:
        matcher = Matcher(self._connection, self._tenant, self._question.within.collection, scope.totals)
        return await matcher.match(self._asked, self._phrases.words, near, scope.within, most)

    async def _candidates(self, matches: Matches) -> list[Candidate]:
        """The chunks at hand, in no order; not yet judged."""
        places = {"numbers": matches.numbers.tolist(), "ordinals": matches.ordinals.tolist()}
        rows = await (await self._connection.execute(self._details(), self._values | places)).fetchall()
        lines = {chunk: line for line, chunk in enumerate(zip(*places.values(), strict=True))}
        whole = matches.shares.sum(axis=1).tolist()
        covered = ((matches.shares > 0) @ matches.most).tolist()
        at = [lines[row["number"], row["ordinal"]] for row in rows]
        return [
            Candidate(row, Parts(whole[line], covered[line], row["cosine"]), matches.shares[line])
            for line, row in zip(at, rows, strict=True)
        ]

    def _hint(self, scope: Scope, candidates: Sequence[Candidate]) -> str:
        """Why nothing was found."""
        if not scope.chunks:
            return "Nothing is published where you search. Ingest documents, or change the filter."
        if not self._asked and self._question.mode is not Mode.VECTOR:
            return "The question has no words. Ask with some."
        if self._phrases:
            return "No passage has what you quoted word for word. Ask without the quotes."
        best = max((one.parts.covered for one in candidates), default=0.0)
        if not best:
            where = "on these pages " if self._question.within.by_page else ""
            return f"No passage {where}has any of these words. Use words that the documents use."
        return (
            f"Nothing fits well enough: the best passage has {best:.0%} of the question. Ask in other words."
        )

    def _details(self) -> sql.Composed:
        space = self._question.space
        if self._question.mode is Mode.TEXT or space is None:
            return DETAILS.format(reach=REACH, cosine=sql.SQL("0.0::float8"), vectors=sql.SQL(""))
        cosine = COSINE.format(dimension=sql.Literal(space.dimension), vector=nearest.vector_of(space))
        vectors = VECTORS.format(space_id=sql.Literal(self._values["space_id"]))
        return DETAILS.format(reach=REACH, cosine=cosine, vectors=vectors)


def _fitting(candidates: Sequence[Candidate], question: Question, chunks: int) -> list[Candidate]:
    """The candidates that fit, with their scores, best first."""
    by_vector = question.mode is not Mode.TEXT and question.space is not None
    weighing = fusion.weighing(question.space) if by_vector and question.space else None
    parts = fusion.judged(
        [one.parts for one in candidates],
        weighing,
        words_asked=question.mode is not Mode.VECTOR,
        chunks=chunks,
    )
    fitting = [
        replace(one, parts=judged)
        for one, judged in zip(candidates, parts, strict=True)
        if judged is not None
    ]
    return sorted(fitting, key=Candidate.order)
