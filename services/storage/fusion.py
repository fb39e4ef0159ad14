"""One score of two: what a chunk's words say, and how near its vector is. Added, never ranked.

A score is from 0 to 1. The words' share is BM25 over the most that any chunk could have; the vector's is
the cosine, times the weight of its space. `make eval-search` measures weights and floors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.storage.spaces import Space


@dataclass(frozen=True, slots=True)
class Weighing:
    """How far a space's vectors are trusted.

    Attributes:
        weight: Of the cosine beside the words' share. 0: they speak only where words fail.
        floor: A cosine below it is no answer.
    """

    weight: float
    floor: float


# Word vectors at any weight lowered BM25 alone on both halves of the questions.
_MEASURED = {"wordllama-l2-supercat": Weighing(0.0, 0.45)}
# Not measured by us: a sentence encoder's was 0.8.
_OTHERS = Weighing(0.8, 0.2)
# The best chunk's share of the question's words; below it the words have failed.
WORDS_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Parts:
    """A score, and what it was made of.

    Attributes:
        words: Share of the most that words could give.
        cosine: Of the vectors; 0 where there is none.
        score: From 0 to 1.
        weight: Of the cosine.
    """

    words: float
    cosine: float
    score: float = 0.0
    weight: float = 0.0


def weighing(space: Space) -> Weighing:
    """How far a space's vectors are trusted."""
    return _MEASURED.get(space.model, _OTHERS)


def judged(parts: Sequence[Parts], weight: Weighing | None, *, words_asked: bool) -> list[Parts | None]:
    """The score of each candidate; None for one that does not fit.

    Args:
        parts: Of the candidates; the scores are not yet made.
        weight: Of the space; None where there are no vectors.
        words_asked: Whether the question has words.
    """
    if not words_asked:
        return [_by_vector(one) for one in parts]
    found = max((one.words for one in parts), default=0.0) >= WORDS_FLOOR
    if weight is None:
        return [_fused(one, 0.0) if found and one.words else None for one in parts]
    if weight.weight or found:
        kept = [bool(found and one.words) or one.cosine >= weight.floor for one in parts]
        return [_fused(one, weight.weight) if keep else None for one, keep in zip(parts, kept, strict=True)]
    return [_by_vector(one) if one.cosine >= weight.floor else None for one in parts]


def _fused(parts: Parts, weight: float) -> Parts:
    score = (parts.words + weight * max(0.0, parts.cosine)) / (1 + weight)
    return replace(parts, score=score, weight=weight)


def _by_vector(parts: Parts) -> Parts:
    return replace(parts, score=min(max(0.0, parts.cosine), 1.0), words=0.0, weight=1.0)
