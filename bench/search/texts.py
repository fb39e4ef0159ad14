"""Documents as large as wanted, of words that real documents have, as often as words are in texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals import corpus
from evals.search.reading import DOCUMENTS
from services.storage import words

CHUNK_WORDS = 250
MEAN_CHUNKS = 40
VOCABULARY = 200_000
# Of a document's words, those of its own subject; the others are anybody's.
OWN_SHARE = 0.7
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words, most frequent first."""

    words: Sequence[str]

    @classmethod
    def real(cls) -> Vocabulary:
        """The words of the documents of `make eval-search`, and pairs of them as names until it is full."""
        found: Counter[str] = Counter()
        for package in corpus.packages(listed=DOCUMENTS):
            for document in package.documents():
                text = document.path.read_text(encoding="utf-8", errors="replace")
                found.update(run for run in words.runs(text.casefold()) if not run.isdigit())
        ranked = [word for word, _ in found.most_common()]
        chosen = np.random.default_rng(1)
        pairs = chosen.integers(50, len(ranked), (VOCABULARY, 2))
        names = (f"{ranked[left]}_{ranked[right]}" for left, right in pairs)
        return cls(list(dict.fromkeys([*ranked, *names]))[:VOCABULARY])


@dataclass(frozen=True, slots=True)
class Text:
    """A document: for each word its chunk, in the order of the text."""

    words: Ids
    chunks: Ids

    @property
    def size(self) -> int:
        """How many chunks."""
        return int(self.chunks[-1]) + 1


def texts(vocabulary: Vocabulary, chunks: int, seed: int) -> Iterator[Text]:
    """Documents of so many chunks together, of very different sizes."""
    random = np.random.default_rng(seed)
    shares = 1 / (np.arange(len(vocabulary.words)) + 2.7)
    anybody = np.cumsum(shares / shares.sum())
    while chunks:
        size = min(chunks, max(1, int(random.lognormal(np.log(MEAN_CHUNKS) - 0.7, 1.2))))
        subject = np.searchsorted(anybody, random.random(150 + 60 * int(size**0.5)))
        weights = np.cumsum(1 / (np.arange(len(subject)) + 2.7))
        count = size * CHUNK_WORDS
        own = subject[np.searchsorted(weights, random.random(count) * weights[-1])]
        ids = np.where(random.random(count) < OWN_SHARE, own, np.searchsorted(anybody, random.random(count)))
        yield Text(np.minimum(ids, len(vocabulary.words) - 1), np.repeat(np.arange(size), CHUNK_WORDS))
        chunks -= size
