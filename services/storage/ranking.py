"""BM25 over lists of postings: which chunks have a question's words, and how well each fits.

A chunk is one number here, a key: its version's place among those at hand, and its ordinal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.storage import languages
from services.storage.postings import COUNT_BITS, K1, B
from services.storage.words import Group

ORDINAL_BITS = 24
# What the word itself is worth beside the best of its other forms.
EXACT_SHARE = 0.85
# What the best of its other forms is worth where no chunk has the word itself.
FORM_SHARE = 0.7
_ENTRY = np.dtype([("place", "<u4"), ("length", "<u2")])
Keys = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A word's rows of postings, end to end: each row's version, its bytes, and all entries."""

    numbers: bytes
    sizes: bytes
    entries: bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """What is in a collection: chunks, and words in all of them."""

    chunks: int
    length: int

    def rarity(self, frequency: float) -> float:
        """Okapi's idf of a word in so many chunks."""
        frequency = min(frequency, self.chunks)
        return math.log1p((self.chunks - frequency + 0.5) / (frequency + 0.5))


@dataclass(frozen=True, slots=True)
class Weighed:
    """A word of the question, and what its forms are worth in this collection.

    Attributes:
        word: The word itself.
        frequency: Entries that all its forms have; 0 where nothing has it.
        terms: Rarity × share of each form that some chunk has; the word itself first, if it is there.
        most: The most that the word can add to a score, as a share of K1 + 1. What nothing has counts in
            full, unless it is a function word.
    """

    word: str
    frequency: float
    terms: Mapping[str, float]
    most: float


def weigh(group: Group, frequencies: Mapping[str, float], totals: Totals) -> Weighed:
    """How much a word of the question says."""
    others = [other for other in group.others if other in frequencies]
    shares = {group.word: EXACT_SHARE if others else 1.0} if group.word in frequencies else {}
    terms = {term: share * totals.rarity(frequencies[term]) for term, share in shares.items()}
    best = 0.0
    form_share = 1 - EXACT_SHARE if group.word in frequencies else FORM_SHARE
    for other in others:
        terms[other] = form_share * totals.rarity(frequencies[other])
        best = max(best, terms[other])
    most = terms.get(group.word, 0.0) + best
    if not terms and not languages.is_function_word(group.word):
        most = totals.rarity(0)
    return Weighed(group.word, sum(frequencies.get(term, 0.0) for term in terms), terms, most)


class Versions:
    """The versions at hand; gives chunks their keys."""

    def __init__(self, numbers: Sequence[NDArray[np.int64]]) -> None:
        self._numbers = np.unique(np.concatenate([np.empty(0, np.int64), *numbers]))

    def keys(self, numbers: NDArray[np.int64], ordinals: NDArray[np.int64]) -> Keys:
        """The keys of chunks."""
        return np.searchsorted(self._numbers, numbers) << ORDINAL_BITS | ordinals

    def chunks(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Version's number and ordinal of each key."""
        return self._numbers[keys >> ORDINAL_BITS], keys & ((1 << ORDINAL_BITS) - 1)


def numbers_of(rows: Rows) -> NDArray[np.int64]:
    """The versions of rows."""
    return np.frombuffer(rows.numbers, ">i8").astype(np.int64)


def scored(
    word: Weighed, lists: Mapping[str, Rows], versions: Versions, totals: Totals
) -> tuple[Keys, Scores]:
    """The chunks that have a word in any form, by key, and what it adds to each."""
    found = {
        term: _list(lists[term], weight, versions, totals)
        for term, weight in word.terms.items()
        if term in lists
    }
    exact = [found.pop(word.word)] if word.word in found else []
    best = _joined(list(found.values()), np.maximum)
    return _joined([*exact, best], np.add)


def top(keys: Keys, scores: Scores, most: int) -> Keys:
    """The keys of the highest scores, in no order."""
    if len(keys) <= most:
        return keys
    return keys[np.argpartition(-scores, most)[:most]]


def summed(lists: Sequence[tuple[Keys, Scores]]) -> tuple[Keys, Scores]:
    """What all words together add to each chunk."""
    return _joined(lists, np.add)


def at(found: tuple[Keys, Scores], keys: Keys) -> Scores:
    """What a word adds to these chunks; 0 where it is not there."""
    known, scores = found
    if not len(known):
        return np.zeros(len(keys))
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, scores[places], 0.0)


def _list(rows: Rows, weight: float, versions: Versions, totals: Totals) -> tuple[Keys, Scores]:
    entries = np.frombuffer(rows.entries, _ENTRY)
    sizes = np.frombuffer(rows.sizes, ">i4") // _ENTRY.itemsize
    numbers = np.repeat(numbers_of(rows), sizes)
    places = entries["place"].astype(np.int64)
    counts = (places & ((1 << COUNT_BITS) - 1)).astype(np.float64)
    average = max(totals.length / max(totals.chunks, 1), 1.0)
    spread = K1 * (1 - B + B / average * entries["length"])
    return versions.keys(numbers, places >> COUNT_BITS), weight * counts / (counts + spread)


def _joined(lists: Sequence[tuple[Keys, Scores]], join: np.ufunc) -> tuple[Keys, Scores]:
    """One list of what several say of the same chunks."""
    if not lists:
        return np.empty(0, np.int64), np.empty(0)
    keys, scores = (np.concatenate(parts) for parts in zip(*lists, strict=True))
    order = np.argsort(keys, kind="stable")
    keys, scores = keys[order], scores[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[starts], join.reduceat(scores, starts) if len(starts) else scores
