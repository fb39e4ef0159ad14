"""Words, the lines that they stand on, and lines kept small."""

from __future__ import annotations

import marshal
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

BULLET = re.compile(r"[•◦▪‣●○■□·∙\uf0a7\uf0b7\uf0d8–—*-]")
MARKER = re.compile(r"(?:\d{1,3}|[A-Za-z])[.)]")


class Word(NamedTuple):
    """A run of characters without space. Points, the origin at the page's lower left."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Words that stand close together."""

    text: str
    left: float
    right: float


@dataclass(eq=False)
class Line:
    """Words on one baseline, in reading order."""

    words: list[Word]

    @cached_property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @cached_property
    def size(self) -> float:
        weights: Counter[float] = Counter()
        for word in self.words:
            weights[word.size] += len(word.text)
        return max(weights, key=lambda size: (weights[size], size))

    @cached_property
    def bold(self) -> bool:
        return all(word.bold for word in self.words)

    @property
    def baseline(self) -> float:
        return self.words[0].baseline

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return self.words[-1].right

    def cells(self, gap: float) -> list[Cell]:
        """The line cut where words stand `gap` em apart; a list marker belongs to what follows it."""
        groups = [[self.words[0]]]
        for before, word in pairwise(self.words):
            wide = word.left - before.right > gap * self.size
            marker = len(groups) == 1 and len(groups[0]) == 1 and _is_marker(before.text)
            if wide and not marker:
                groups.append([])
            groups[-1].append(word)
        return [Cell(" ".join(w.text for w in group), group[0].left, group[-1].right) for group in groups]


def joined(lines: Sequence[Line]) -> list[Line]:
    """Lines of a page; pieces of one baseline are one line."""
    whole: list[Line] = []
    for line in lines:
        above = whole[-1] if whole else None
        if above and abs(above.baseline - line.baseline) < 0.2 * line.size and line.left >= above.right:
            whole[-1] = Line([*above.words, *line.words])
        else:
            whole.append(line)
    return whole


def packed(lines: Sequence[Line]) -> bytes:
    """A page's lines in a quarter of the memory."""
    return marshal.dumps([list(map(tuple, line.words)) for line in lines])


def unpacked(page: bytes) -> list[Line]:
    """What was packed, in this process."""
    return [Line(list(map(Word._make, words))) for words in marshal.loads(page)]  # noqa: S302 - our own bytes, of this process


def _is_marker(text: str) -> bool:
    return bool(BULLET.fullmatch(text) or MARKER.fullmatch(text))
