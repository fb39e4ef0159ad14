"""Words, the lines that they stand on, and lines kept small."""

from __future__ import annotations

import marshal
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Generic, NamedTuple, TypeVar

BULLET = re.compile(r"[•◦▪‣●○■□·∙\uf0a7\uf0b7\uf0d8–—*-]")
MARKER = re.compile(r"(?:\d{1,3}|[A-Za-z])[.)]")

_ALIGNED = 0.3  # em
_FACTS = ("text", "size", "bold", "turn", "baseline", "left", "right", "widest_gap")

T = TypeVar("T")


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


class _Once(Generic[T]):
    """A property that is worked out when it is first asked for: without the lock of `cached_property`."""

    def __init__(self, work_out: Callable[[Line], T]) -> None:
        self._work_out = work_out

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, line: Line, owner: type) -> T:
        value = line.__dict__[self._name] = self._work_out(line)
        return value


class Line:
    """Words on one baseline, in reading order."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words

    def __getattr__(self, name: str) -> list[Word]:
        """A line that was packed makes its words when they are asked for: few are."""
        if name != "words":
            raise AttributeError(name)
        texts, places = self.text.split(" "), array("f", self.__dict__["places"])
        self.words = [
            Word(text, left, right, self.baseline, self.size, self.bold, self.turn)
            for text, left, right in zip(texts, *_halves(places), strict=True)
        ]
        return self.words

    @_Once
    def text(self) -> str:
        return " ".join([word.text for word in self.words])

    @_Once
    def size(self) -> float:
        """Of most characters."""
        weights: defaultdict[float, int] = defaultdict(int)
        for word in self.words:
            weights[word.size] += len(word.text)
        return (
            max(weights, key=lambda size: (weights[size], size)) if len(weights) > 1 else self.words[0].size
        )

    @_Once
    def bold(self) -> bool:
        return all(word.bold for word in self.words)

    @_Once
    def turn(self) -> int:
        return self.words[0].turn

    @_Once
    def baseline(self) -> float:
        return self.words[0].baseline

    @_Once
    def left(self) -> float:
        return self.words[0].left

    @_Once
    def right(self) -> float:
        return self.words[-1].right

    @_Once
    def widest_gap(self) -> float:
        """Points between neighbours; endless where words do not follow each other from left to right."""
        widest = 0.0
        for before, word in pairwise(self.words):
            if not before.left <= word.left <= word.right:
                return inf
            if word.left - before.right > widest:
                widest = word.left - before.right
        return widest

    def cells(self, gap: float) -> list[Cell]:
        """The line cut where `gap` em are empty, in reading order; a list marker belongs to what follows."""
        if self.widest_gap <= gap * self.size:
            return [Cell(self.text, self.left, self.right)]
        groups = _groups(self.words, gap * self.size)
        if len(groups) > 1 and len(groups[0]) == 1 and _is_marker(groups[0][0].text):
            groups[:2] = [groups[0] + groups[1]]
        return [_cell(group) for group in groups]

    def cells_at(self, lefts: Sequence[float]) -> list[Cell]:
        """The line cut before words that begin at these places, if they stand farther off than others."""
        groups = [[self.words[0]]]
        cuts: list[float] = []
        spaces: list[float] = []
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
    whole: list[list[Word]] = []
    for line in lines:
        if whole and _goes_on(whole[-1][-1], whole[-1][0], line):
            whole[-1].extend(line.words)
        else:
            whole.append(list(line.words))
    return [Line(words) for words in whole]


def _goes_on(last: Word, first: Word, line: Line) -> bool:
    apart = abs(first.baseline - line.baseline)
    return apart < 0.2 * line.size and line.left >= last.right and line.turn == first.turn


def packed(lines: Sequence[Line]) -> bytes:
    """A page's lines in a tenth of the memory: what is asked of every line, and where its words stand."""
    facts = [[getattr(line, name) for line in lines] for name in _FACTS]
    return marshal.dumps([*facts, [_places(line).tobytes() for line in lines]])


def packed_text(lines: Sequence[Line]) -> bytes:
    """The text of a page's lines, and nothing else of them."""
    return marshal.dumps([[line.text for line in lines]])


def unpacked(page: bytes) -> list[Line]:
    """What was packed, in this process. A word has the baseline, size and weight of its line."""
    lines = []
    for facts in zip(*marshal.loads(page), strict=True):  # noqa: S302 - our own bytes, of this process
        line = Line.__new__(Line)
        line.__dict__.update(zip((*_FACTS, "places"), facts, strict=False))
        lines.append(line)
    return lines


def _places(line: Line) -> array[float]:
    return array("f", [*(word.left for word in line.words), *(word.right for word in line.words)])


def _halves(places: array[float]) -> tuple[array[float], array[float]]:
    middle = len(places) // 2
    return places[:middle], places[middle:]


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
