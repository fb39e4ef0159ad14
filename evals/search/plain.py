"""The yardstick: Okapi BM25 over Unicode words, as anybody would write it in an afternoon."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

K1, B = 1.2, 0.75
_WORD = re.compile(r"\w+")


class PlainSearch:
    """An index of texts in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(_words(text)) for text in texts]
        self._lengths = [sum(count.values()) for count in counts]
        self._average = sum(self._lengths) / len(texts)
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, count in enumerate(counts):
            for word, times in count.items():
                self._places[word].append((place, times))

    def search(self, question: str, most: int) -> list[int]:
        """Places of the texts that fit best."""
        scores: dict[int, float] = defaultdict(float)
        for word in set(_words(question)):
            found = self._places.get(word, [])
            rarity = math.log1p((len(self._lengths) - len(found) + 0.5) / (len(found) + 0.5))
            for place, times in found:
                spread = K1 * (1 - B + B * self._lengths[place] / self._average)
                scores[place] += rarity * times * (K1 + 1) / (times + spread)
        return sorted(scores, key=lambda place: (-scores[place], place))[:most]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
