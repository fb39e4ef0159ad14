"""Finding chunks of published versions: by vector, by text, or both fused by reciprocal rank.

Three lists of up to 50 join the fusion: nearest vectors, chunks with any of the question's words, and
of these the ones with all of them. Words are English lexemes; a question's syntax has no meaning.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from services.storage import spaces
from services.storage.spaces import Space
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.postgres import Connection, Database

DEFAULT_LIMIT, MAX_LIMIT = 10, 100
MAX_QUERY_BYTES = 8 * 1024

# Without iterative scans, a filter after the index silently loses hits.
TUNE = """
select set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', '100', true)
"""

# The published versions that are searched.
REACH = """
reach as not materialized (
    select document_id, document_key, current_version_id as version_id
    from documents
    where collection = %(collection)s and current_version_id is not null
        and (%(document_keys)s::text[] is null or document_key = any(%(document_keys)s))
)
"""

# The index is on the expression of its space, so both numbers must stand in the statement itself.
# It answers nearly in order: the outer row_number puts it right.
NEAREST = """
nearest as (
    select version_id, ordinal,
        row_number() over (order by distance, document_key, ordinal) as place
    from (
        select version_id, ordinal, document_key, e::halfvec({dimension}) <=> {vector} as distance
        from vectors join reach using (version_id)
        where space_id = {space_id}
        order by (e::halfvec({dimension}) <=> {vector}) {exactly}
        limit %(depth)s
    ) found
)
"""

# The question as lexemes. array_to_tsvector quotes each as Postgres itself would.
QUESTION = """
question as (
    select plainto_tsquery('pg_catalog.english', %(query)s) as every_word,
        (select string_agg(array_to_tsvector(array[lexeme])::text, ' | ')::tsquery
            from unnest(tsvector_to_array(to_tsvector('pg_catalog.english', %(query)s))) lexeme
        ) as any_word
)
"""

# Beyond some hundred equal vectors the index may not see what else there is, and answers too few.
# Ordered by a sum, which no index is on, Postgres looks at each vector instead.
EXACTLY = "+ 0"

# Chunks with any of the words, best first; `place_with_every` counts those that have all.
MATCHED = """
matched as (
    select version_id, ordinal, document_key, ts_rank(tsv, any_word) as rank, tsv @@ every_word as has_every
    from chunks join reach using (version_id) cross join question
    where tsv @@ any_word
), any_word as (
    select version_id, ordinal, row_number() over (order by rank desc, document_key, ordinal) as place
    from matched
    order by place
    limit %(depth)s
), every_word as (
    select version_id, ordinal, row_number() over (order by rank desc, document_key, ordinal) as place
    from matched
    where has_every
    order by place
    limit %(depth)s
)
"""

# Reciprocal rank fusion with the usual constant. Numeric, as a sum of floats depends on its order.
FUSED = """
with {parts}, fused as (
    select version_id, ordinal, sum(1.0 / (60 + place)) as score
    from ({lists}) lists
    group by version_id, ordinal
)
select {nearest_count} as nearest_count, fused.score::float8 as score,
    document_id, document_key, version_id, ordinal,
    text, heading, page, start_char, end_char, sha256, token_count, lead
from fused join reach using (version_id) join chunks using (version_id, ordinal)
order by fused.score desc, document_key, ordinal
limit %(limit)s
"""

# Counted when published: how much was in reach, and how much of it by vector.
COVERAGE = """
with {reach}
select coalesce(sum(chunk_count), 0)::bigint as chunks,
    coalesce(sum(vector_count) filter (where space_id = %(space_id)s), 0)::bigint as vectors
from document_versions join reach using (version_id)
"""


class Mode(enum.Enum):
    """How chunks are looked for."""

    VECTOR = "VECTOR"
    TEXT = "TEXT"
    HYBRID = "HYBRID"


@dataclass(frozen=True, slots=True)
class Question:
    """A search. Vector and space may be left out in TEXT mode, the query in VECTOR mode."""

    collection: str
    mode: Mode
    query: str = ""
    vector: bytes = b""
    space: Space | None = None
    limit: int = DEFAULT_LIMIT
    document_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first, as rows; and what was in reach."""

    hits: Sequence[dict[str, Any]]
    chunks: int
    vectors: int


async def search(database: Database, tenant: str, question: Question) -> Answer:
    """Answers from one state of the index.

    Raises:
        InvalidRequest: INVALID_REQUEST, VECTOR_INVALID.
        Precondition: SPACE_UNKNOWN.
    """
    _check(question)
    async with database.transaction(tenant) as connection:
        values: dict[str, Any] = {
            "collection": question.collection,
            "document_keys": list(question.document_keys) or None,
            "query": question.query.replace("\0", " "),
            "depth": max(50, question.limit),
            "limit": question.limit,
            "space_id": await spaces.space_id(connection, question.space) if question.space else None,
        }
        if question.mode is not Mode.TEXT:
            assert question.space is not None
            values["vector"] = spaces.packed(question.vector, question.space.dimension)
            spaces.teach(connection)
            await connection.execute(TUNE)
        coverage_of = sql.SQL(COVERAGE).format(reach=sql.SQL(REACH))
        coverage = await (await connection.execute(coverage_of, values)).fetchone()
        assert coverage is not None
        hits = await _hits(connection, question, values)
        nearest = hits[0]["nearest_count"] if hits else 0
        if question.mode is not Mode.TEXT and nearest < min(values["depth"], coverage["vectors"]):
            hits = await _hits(connection, question, values, exactly=EXACTLY)
    return Answer(hits, coverage["chunks"], coverage["vectors"])


async def _hits(
    connection: Connection, question: Question, values: dict[str, Any], *, exactly: LiteralString = ""
) -> list[dict[str, Any]]:
    statement = _statement(question, values["space_id"], exactly)
    return await (await connection.execute(statement, values)).fetchall()


def _check(question: Question) -> None:
    if not 1 <= question.limit <= MAX_LIMIT:
        raise InvalidRequest("INVALID_REQUEST", f"limit is 1 to {MAX_LIMIT}, or 0 for {DEFAULT_LIMIT}.")
    if question.mode is not Mode.VECTOR and not question.query.strip():
        raise InvalidRequest("INVALID_REQUEST", "query is empty; only MODE_VECTOR does without words.")
    if len(question.query.encode()) > MAX_QUERY_BYTES:
        raise InvalidRequest("INVALID_REQUEST", f"query has at most {MAX_QUERY_BYTES} bytes.")
    if question.mode is not Mode.TEXT and question.space is None:
        raise InvalidRequest("INVALID_REQUEST", "vector and space are missing; only MODE_TEXT does without.")


def _statement(question: Question, space_id: int | None, exactly: LiteralString) -> sql.Composed:
    parts: list[sql.Composable] = [sql.SQL(REACH)]
    lists = []
    if question.mode is not Mode.TEXT:
        assert question.space is not None
        dimension = sql.Literal(question.space.dimension)
        vector = sql.SQL("(%(vector)b::vector)::halfvec({})").format(dimension)
        nearest = sql.SQL(NEAREST).format(
            dimension=dimension, space_id=sql.Literal(space_id), vector=vector, exactly=sql.SQL(exactly)
        )
        parts.append(nearest)
        lists.append("nearest")
    if question.mode is not Mode.VECTOR:
        parts += [sql.SQL(QUESTION), sql.SQL(MATCHED)]
        lists += ["any_word", "every_word"]
    selects = [sql.SQL("select * from {}").format(sql.Identifier(name)) for name in lists]
    return sql.SQL(FUSED).format(
        parts=sql.SQL(", ").join(parts),
        lists=sql.SQL(" union all ").join(selects),
        nearest_count=sql.SQL("(select count(*) from nearest)" if "nearest" in lists else "0"),
    )
