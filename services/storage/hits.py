"""Hits of candidates: each passage once, with its text, and with the other documents that have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from services.storage import words
from services.storage.excerpts import Excerpt, Excerpter
from services.storage.fusion import Parts
from services.storage.phrases import Phrases
from services.storage.ranking import Weighed
from services.storage.reach import REACH
from waybill.runtime.postgres import Connection

# Other documents that a hit names.
MOST_COPIES = 20
# Candidates whose best windows are looked for, at least; that costs most of a question's time.
LOOKED_AT = 20

TEXTS = """
select version_id, ordinal, documents.document_id,
    text, heading, page, start_char, end_char, sha256, token_count, lead,
    backends, vector_count < chunk_count as vectors_pending
from unnest(%(version_ids)s::uuid[], %(ordinals)s::int[]) as wanted (version_id, ordinal)
join chunks using (version_id, ordinal) join documents on current_version_id = version_id
join document_versions using (version_id)
"""

# Where the same passages stand, by document.
COPIES = sql.SQL("""
with {reach}
select wanted.sha256, copies.*
from unnest(%(hashes)s::text[]) as wanted (sha256)
cross join lateral (
    select document_id, document_key, version_id, min(ordinal) as ordinal, min(page) as page
    from chunks join reach using (version_id)
    where tenant = %(tenant)s and chunks.sha256 = wanted.sha256
    group by document_id, document_key, version_id
    order by document_key
    limit {most}
) copies
""").format(reach=REACH, most=sql.Literal(MOST_COPIES + 1))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that may be a hit.

    Attributes:
        row: Where it is: document_key, version_id, ordinal, and its hash.
        parts: Its score.
        shares: What each word of the question adds to it, in the question's order.
    """

    row: Mapping[str, Any]
    parts: Parts
    shares: NDArray[np.float64]

    def order(self) -> tuple[float, float, str, int]:
        """Best first; where scores are equal, the nearer one, then by name and place."""
        return -self.parts.score, -self.parts.cosine, self.row["document_key"], self.row["ordinal"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        candidate: Where it is, and its score.
        row: The chunk, and what its version's hits say of it.
        excerpt: The best part of it.
        matched: What each word of the question that it has adds to it.
        copies: Other documents with the same passage.
    """

    candidate: Candidate
    row: Mapping[str, Any]
    excerpt: Excerpt
    matched: Mapping[str, float]
    copies: Sequence[Mapping[str, Any]] = ()


async def made(
    connection: Connection,
    values: Mapping[str, Any],
    candidates: Sequence[Candidate],
    phrases: Phrases,
    weights: Sequence[Weighed],
    limit: int,
) -> list[Hit]:
    """The best of candidates, which come best first, by their best windows; each passage once.

    Of a question with phrases only those that have them.
    """
    once = list({one.row["sha256"]: one for one in reversed(candidates)}.values())[::-1]
    enough = max(limit, LOOKED_AT)
    excerpter = Excerpter(weights)
    found: list[Hit] = []
    if not phrases:
        once = once[:enough] + _with_all(once[enough:], [one.word in phrases.question for one in weights])
    at_once = 5 * enough if phrases else len(once)
    for start in range(0, len(once), at_once or 1):
        some = once[start : start + at_once]
        for place, (one, row) in enumerate(zip(some, await _texts(connection, some), strict=True)):
            flat = words.flat(row["text"])
            if phrases and not phrases.are_in(words.flat(f"{row['heading']}\n\n{row['lead']}"), flat):
                continue
            verbatim = phrases.question_is_in(flat)
            if phrases or verbatim or place < enough:
                found.append(_hit(one, row, excerpter.excerpt(row["text"], flat), verbatim, weights))
        if len(found) >= enough:
            break
    best = sorted(found, key=lambda hit: hit.candidate.order())[:limit]
    copies = await _copies(connection, values, [hit.row["sha256"] for hit in best])
    return [replace(hit, copies=_others(copies[hit.row["sha256"]], hit.row)) for hit in best]


def _with_all(candidates: Sequence[Candidate], asked: Sequence[bool]) -> list[Candidate]:
    """The candidates that have all of these words: one of them may have the whole question as it is."""
    return [one for one in candidates if one.shares[asked].all()] if any(asked) else []


def _hit(
    candidate: Candidate,
    row: Mapping[str, Any],
    excerpt: Excerpt,
    verbatim: bool,
    weights: Sequence[Weighed],
) -> Hit:
    parts = candidate.parts
    if parts.words:
        parts = replace(parts, excerpt=excerpt.share, verbatim=verbatim).scored(parts.weight)
    each = zip(weights, candidate.shares.tolist(), strict=True)
    matched = {word.word: share for word, share in each if share}
    return Hit(replace(candidate, parts=parts), row, excerpt, matched)


async def _texts(connection: Connection, some: Sequence[Candidate]) -> list[dict[str, Any]]:
    wanted = {
        "version_ids": [one.row["version_id"] for one in some],
        "ordinals": [one.row["ordinal"] for one in some],
    }
    rows = await (await connection.execute(TEXTS, wanted)).fetchall()
    by_place = {(row["version_id"], row["ordinal"]): row for row in rows}
    return [by_place[one.row["version_id"], one.row["ordinal"]] for one in some]


async def _copies(
    connection: Connection, values: Mapping[str, Any], hashes: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    by_hash: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await (await connection.execute(COPIES, {**values, "hashes": list(hashes)})).fetchall():
        by_hash[row["sha256"]].append(row)
    return by_hash


def _others(copies: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [copy for copy in copies if copy["document_id"] != row["document_id"]][:MOST_COPIES]
