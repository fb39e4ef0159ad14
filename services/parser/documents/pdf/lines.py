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

_ALIGNED = 0.3  # em


class Word(NamedTuple):
    """A run of characters without space, in points as its page is read (see `direction.py`).

    Attributes:
        turn: Degrees against the clock from the way that most of its page runs: not 0 for a margin's text
            or a watermark, which come last on their page.
        mcid: The marked content that it belongs to, in a tagged document; -1 for none.
    """

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool = False
    turn: int = 0
    mcid: int = -1


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
        return " ".join([word.text for word in self.words])

    @cached_property
    def size(self) -> float:
        first = self.words[0].size
        if all(word.size == first for word in self.words):
            return first
        weights: Counter[float] = Counter()
        for word in self.words:
            weights[word.size] += len(word.text)
        return max(weights, key=lambda size: (weights[size], size))

    @cached_property
    def bold(self) -> bool:
        return all(word.bold for word in self.words)

    @property
    def turn(self) -> int:
        return self.words[0].turn

    @property
    def baseline(self) -> float:
        return self.words[0].baseline

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return self.words[-1].right

    @cached_property
    def widest_gap(self) -> float:
        """Points between neighbours; endless where words do not follow each other from left to right."""
        widest = 0.0
        for before, word in pairwise(self.words):
            if not before.left <= word.left <= word.right:
                return float("inf")
            widest = max(widest, word.left - before.right)
        return widest

    def cells(self, gap: float) -> list[Cell]:
        """The line cut where `gap` em are empty, in reading order; a list marker belongs to what follows."""
        if self.widest_gap <= gap * self.size:
            return [_cell(self.words)]
        groups = _groups(self.words, gap * self.size)
        if len(groups) > 1 and len(groups[0]) == 1 and _is_marker(groups[0][0].text):
            groups[:2] = [groups[0] + groups[1]]
        return [_cell(group) for group in groups]

    def cells_at(self, lefts: Sequence[float]) -> list[Cell]:
        """The line cut before words that begin at these places, if they stand farther off than others."""
        groups, cuts, spaces = [[self.words[0]]], [], []
        for before, word in pairwise(self.words):
            begins = any(abs(word.left - left) < _ALIGNED * self.size for left in lefts)
            (cuts if begins else spaces).append(word.left - before.right)
            if begins:
                groups.append([])
            groups[-1].append(word)
        apart = min(cuts, default=0.0) > 1.25 * max(spaces, default=0.0)
        return [_cell(group) for group in (groups if apart else [self.words])]


def joined(lines: Sequence[Line]) -> list[Line]:
    """Lines of a page; pieces of one baseline are one line."""
    whole: list[Line] = []
    for line in lines:
        if whole and _goes_on(whole[-1], line):
            whole[-1].words.extend(line.words)
        else:
            whole.append(Line(list(line.words)))
    return whole


def _goes_on(line: Line, piece: Line) -> bool:
    apart = abs(line.baseline - piece.baseline)
    return apart < 0.2 * piece.size and piece.left >= line.right and piece.turn == line.turn


def packed(lines: Sequence[Line]) -> bytes:
    """A page's lines in a quarter of the memory."""
    return marshal.dumps([list(map(tuple, line.words)) for line in lines])


def unpacked(page: bytes) -> list[Line]:
    """What was packed, in this process."""
    return [Line(list(map(Word._make, words))) for words in marshal.loads(page)]  # noqa: S302 - our own bytes, of this process


def _groups(words: Sequence[Word], gap: float) -> list[list[Word]]:
    """Words with no more than `gap` points between them: they may run leftwards, or to and fro."""
    reach, group = float("-inf"), 0
    group_of = [0] * len(words)
    for at in sorted(range(len(words)), key=lambda at: min(words[at].left, words[at].right)):
        left, right = sorted(words[at][1:3])
        group += left - reach > gap
        reach = max(reach, right)
        group_of[at] = group
    groups: dict[int, list[Word]] = {}
    for word, number in zip(words, group_of, strict=True):
        groups.setdefault(number, []).append(word)
    return list(groups.values())


def _cell(words: Sequence[Word]) -> Cell:
    left, right = min(word.left for word in words), max(word.right for word in words)
    return Cell(" ".join([word.text for word in words]), min(left, right), max(left, right))


def _is_marker(text: str) -> bool:
    return bool(BULLET.fullmatch(text) or MARKER.fullmatch(text))
