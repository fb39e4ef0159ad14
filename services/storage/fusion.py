"""One score of three: what a chunk's words say, what its best window says, and how near its vector is.

They are added, never ranked: (words + ½ excerpt + weight · cosine) / (1½ + weight), from 0 to 1, and half
way from there to 1 for a chunk that has the whole question as it is. Weights and floors were chosen by
`make eval-search` on the half of its questions that is for that.
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
_MEASURED = {
    "wordllama-l2-supercat": Weighing(0.0, 0.5),
    # 0.4 is as good at rank 1 and finds less across languages.
    "universal-sentence-encoder-multilingual-3": Weighing(0.8, 0.3),
}
# A model that we have not measured is taken for a sentence encoder.
_OTHERS = Weighing(0.8, 0.2)
# What the best window of a chunk says, beside the whole chunk.
EXCERPT_WEIGHT = 0.5
# The share of the question's words, by rarity, that the best chunk has at least, or the words have failed.
COVERAGE_FLOOR = 0.33
# Of fewer chunks, rarity says too little to judge by.
FEWEST_CHUNKS = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """A score, and what it was made of.

    Attributes:
        words: BM25 over the most that any chunk could have.
        covered: Share of the question's words, by rarity, that the chunk has at all.
        cosine: Of the vectors; 0 where there is none.
        excerpt: Share of the question's words, by rarity, in the best window; known of the first ones.
        verbatim: Whether the chunk has the whole question as it is.
        weight: Of the cosine.
        score: From 0 to 1.
    """

    words: float
    covered: float
    cosine: float
    excerpt: float = 0.0
    verbatim: bool = False
    weight: float = 0.0
    score: float = 0.0

    def scored(self, weight: float) -> Parts:
        """With its score, of words and vector."""
        words = self.words + EXCERPT_WEIGHT * self.excerpt
        score = (words + weight * max(0.0, self.cosine)) / (1 + EXCERPT_WEIGHT + weight)
        if self.verbatim:
            score = (1 + score) / 2
        return Parts(self.words, self.covered, self.cosine, self.excerpt, self.verbatim, weight, score)

    def by_vector(self) -> Parts:
        """With its score, where vectors alone speak."""
        return replace(self, words=0.0, weight=1.0, score=min(max(0.0, self.cosine), 1.0))


def weighing(space: Space) -> Weighing:
    """How far a space's vectors are trusted."""
    return _MEASURED.get(space.model, _OTHERS)


def judged(
    parts: Sequence[Parts], vectors: Weighing | None, *, words_asked: bool, chunks: int
) -> list[Parts | None]:
    """The score of each candidate; None for one that does not fit.

    Args:
        parts: Of the candidates; the scores are not yet made.
        vectors: Of the space; None where there are no vectors.
        words_asked: Whether the question has words.
        chunks: How many the collection has.
    """
    if not words_asked:
        return [one.by_vector() for one in parts]
    floor = COVERAGE_FLOOR if chunks >= FEWEST_CHUNKS else 0.0
    found = max((one.covered for one in parts), default=0.0) > floor
    if vectors is None:
        return [one.scored(0.0) if found and one.words else None for one in parts]
    if found or vectors.weight:
        fits = [bool(found and one.words) or one.cosine >= vectors.floor for one in parts]
        return [one.scored(vectors.weight) if fit else None for one, fit in zip(parts, fits, strict=True)]
    return [one.by_vector() if one.cosine >= vectors.floor else None for one in parts]
