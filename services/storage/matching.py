"""Chunks by words: rarest words first, and common ones only where the rare ones have been.

Rows of postings are read, never chunks. What is read for a question has a bound, whatever is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.storage import postings, ranking
from services.storage.ranking import Keys, Rows, Scores, Totals, Versions, Weighed
from services.storage.words import Group
from waybill.runtime.postgres import Connection

# Words are read until they have so many entries; the others, more common, only score what was found.
MOST_ENTRIES = 10_000
# Rows read of one word, those with most of it first.
MOST_ROWS = 2_000
# Rows of one word and rank that are counted; of more of them, the rest is reckoned from these.
SAMPLE_ROWS = 64
# So many versions are few enough to read all words of.
FEW_VERSIONS = 100
# Candidates that common words score.
CANDIDATES = 100
ORDINARY_RANKS = list(range(len(postings.RANKS) + 1))

# Rows of a word and rank stand in the index in their order: the first ones are found without the others.
# The planner does not know how uneven words are, and would read and sort them all.
TUNE = "select set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)"

UNSEEN = """
select number from document_versions
where tenant = %(tenant)s and state in ('BUILDING', 'SUPERSEDED', 'ABANDONED')
"""

# Numbers are random: where a sample of the lowest ends says what share of all it is.
FREQUENCIES = f"""
select word, sum(case
    when rows < {SAMPLE_ROWS} then entries
    else entries * (9.2e18 / greatest(last, 1)) end)::float8 as entries
from (
    select asked.word, count(*) as rows, sum(size) / {postings.ENTRY.size} as entries, max(number) as last
    from unnest(%(words)s::bigint[]) as asked (word)
    cross join unnest(%(ranks)s::smallint[]) as asked_rank (rank)
    cross join lateral (
        select number, octet_length(entries) as size from postings
        where postings.word = asked.word and postings.rank = asked_rank.rank and number not in ({UNSEEN})
        order by number limit {SAMPLE_ROWS}) sample
    group by asked.word, asked_rank.rank
) ranks
group by word
"""  # noqa: S608 - of constants

READ = f"""
select word, string_agg(int8send(number), ''::bytea) as numbers,
    string_agg(int4send(octet_length(entries)), ''::bytea) as sizes,
    string_agg(entries, ''::bytea) as entries
from unnest(%(words)s::bigint[]) as asked (word)
cross join lateral (
    select number, entries from postings
    where postings.word = asked.word and rank = any(%(ranks)s::smallint[]) and number not in ({UNSEEN})
        and (%(within)s::bigint[] is null or number = any(%(within)s))
    order by rank, number limit %(rows)s) best
group by word
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Matches:
    """What the words say of some chunks.

    Attributes:
        words: The question's, each with its weight.
        numbers: Version of each chunk.
        ordinals: Its place in it.
        shares: What each word adds to each chunk, as a share of what all could: chunks × words.
        most: The most that each word could add.
    """

    words: Sequence[Weighed]
    numbers: NDArray[np.int64]
    ordinals: NDArray[np.int64]
    shares: NDArray[np.float64]
    most: NDArray[np.float64]


class Matcher:
    """Looks words up in one collection, within one transaction."""

    def __init__(self, connection: Connection, tenant: str, collection: str, totals: Totals) -> None:
        self._connection = connection
        self._tenant = tenant
        self._name: Callable[[str], int] = postings.hasher(tenant, collection)
        self._totals = totals

    async def match(
        self,
        asked: Sequence[Group],
        required: Collection[str],
        others: Sequence[tuple[int, int]],
        within: Sequence[int] | None,
        most: int = CANDIDATES,
    ) -> Matches:
        """Scores the chunks that fit best, and these others.

        Args:
            asked: The question's words.
            required: Words that each chunk must have.
            others: Version's number and ordinal of chunks to score whether or not they fit.
            within: Only these versions.
            most: How many to score.
        """
        await self._connection.execute(TUNE)
        frequencies = await self._frequencies(asked)
        words = [ranking.weigh(group, frequencies, self._totals) for group in asked]
        known = sorted((word for word in words if word.terms), key=lambda one: one.frequency)
        # Of a few versions all is read, since a word that is rare in the collection may not be in them.
        few = within is not None and len(within) <= FEW_VERSIONS
        rare, common = (known, []) if few else _split(known)
        lists = await self._read(rare, within, MOST_ROWS)
        more = np.array(others, np.int64).reshape(-1, 2)
        versions = Versions([*map(ranking.numbers_of, lists.values()), more[:, 0]])
        found = {word.word: ranking.scored(word, lists, versions, self._totals) for word in rare}
        keys = ranking.top(*_with_required(found, required), most)
        keys = np.union1d(keys, versions.keys(more[:, 0], more[:, 1]))
        numbers, ordinals = versions.chunks(keys)
        lists = await self._read(common, np.unique(numbers).tolist(), None)
        found |= {word.word: ranking.scored(word, lists, versions, self._totals) for word in common}
        nowhere = np.empty(0, np.int64), np.empty(0)
        columns = [ranking.at(found.get(word.word, nowhere), keys) for word in words]
        weights = np.array([word.most for word in words])
        whole = weights.sum() or 1.0
        shares = np.reshape(columns, (len(words), len(keys))).T / whole
        return Matches(words, numbers, ordinals, shares, weights / whole)

    async def _frequencies(self, asked: Sequence[Group]) -> dict[str, float]:
        terms = {self._name(term): term for group in asked for term in (group.word, *group.others)}
        values = {"words": list(terms), "ranks": ORDINARY_RANKS, "tenant": self._tenant}
        rows = await (await self._connection.execute(FREQUENCIES, values)).fetchall()
        return {terms[row["word"]]: row["entries"] for row in rows}

    async def _read(
        self, words: Sequence[Weighed], within: Sequence[int] | None, rows: int | None
    ) -> dict[str, Rows]:
        terms = {self._name(term): term for word in words for term in word.terms}
        if not terms or (within is not None and not len(within)):
            return {}
        values: dict[str, Any] = {
            "words": list(terms),
            "ranks": ORDINARY_RANKS,
            "tenant": self._tenant,
            "within": within,
            "rows": rows,
        }
        cursor = self._connection.cursor(binary=True)
        found = await (await cursor.execute(READ, values)).fetchall()
        return {terms[row["word"]]: Rows(row["numbers"], row["sizes"], row["entries"]) for row in found}


def _split(words: Sequence[Weighed]) -> tuple[list[Weighed], list[Weighed]]:
    """The words to read whole, at least the rarest, and those that only score."""
    read = 0.0
    for place, word in enumerate(words):
        read += word.frequency
        if place and read > MOST_ENTRIES:
            return list(words[:place]), list(words[place:])
    return list(words), []


def _with_required(
    found: Mapping[str, tuple[Keys, Scores]], required: Collection[str]
) -> tuple[Keys, Scores]:
    """All that the rare words say; of chunks that lack a required one, nothing."""
    keys, scores = ranking.summed(list(found.values()))
    for word in found.keys() & required:
        kept = np.isin(keys, found[word][0])
        keys, scores = keys[kept], scores[kept]
    return keys, scores
