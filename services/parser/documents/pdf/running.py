"""Running headers and footers: what stands at the same place on page after page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from services.parser.documents.pdf.lines import Line

_FEWEST_PAGES = 3
_NEAR_PAGES = 8  # hold three of a kind: left and right pages differ, a chapter's first page has none
_APART = 1.6  # em between a running header and the text
_BAND = 3  # baselines that it may take
_SAME_LINE = 0.3  # em
_LARGER = 1.15  # times the body's size: then it looks like a heading
_CELL_GAP = 2.0  # em between a page number and what stands beside it
_GRID = 6.0  # points that one place is large
_FEW_LETTERS = 12
_AROUND_NUMBERS = "-–— |[]()"
_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"(?=.)(?:x{0,3})(?:ix|iv|v?i{0,3})", re.IGNORECASE)
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}


class _Key(NamedTuple):
    """What pages have in common: "same" text, "count" (text up to a number that grows with the pages),
    "number" (such a number beside any text)."""

    kind: str
    edge: str
    place: int
    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class _Level:
    """What stands on one baseline near a page's upper or lower edge."""

    page: int
    lines: tuple[int, ...]
    size: float
    bold: bool
    keys: tuple[_Key, ...]


class Running:
    """Collects what may be a running header or footer, then tells what is."""

    def __init__(self) -> None:
        self._pages = 0
        self._levels: list[_Level] = []
        self._counts: dict[int, int] = {}

    def add(self, number: int, lines: Sequence[Line]) -> None:
        """Takes a page."""
        self._pages = number
        levels = _levels(lines)
        bands = {"top": _band(levels, lines), "bottom": _band(levels[::-1], lines)}
        self._counts[number] = len(lines)
        for edge, band in bands.items():
            for level, inner in band:
                members = [lines[at] for at in level]
                in_rows = _are_rows(members[0], lines[inner[0]])
                self._levels.append(
                    _Level(
                        number,
                        tuple(level),
                        max(line.size for line in members),
                        all(line.bold for line in members),
                        tuple(_keys(members, edge, number, in_rows=in_rows)),
                    )
                )

    def lines(self, body: float) -> dict[int, frozenset[int]]:
        """Of each page that has any, by their numbers in it. `body` is the size of most text."""
        found = self._found(body, frozenset())
        # A page's only text says nothing of what runs beside text.
        alone = {page for page, lines in found.items() if len(lines) == self._counts[page]}
        return self._found(body, frozenset(alone))

    def _found(self, body: float, alone: frozenset[int]) -> dict[int, frozenset[int]]:
        pages: defaultdict[_Key, list[int]] = defaultdict(list)
        for level in self._levels:
            for key in level.keys if level.page not in alone else ():
                pages[key].append(level.page)
        running = {key for key, seen in pages.items() if _is_near(seen)}
        found: defaultdict[int, set[int]] = defaultdict(set)
        for level in self._levels:
            heads = level.bold or level.size > body * _LARGER
            if any(key in running and self._suffices(key, len(pages[key]), heads) for key in level.keys):
                found[level.page].update(level.lines)
        return {page: frozenset(lines) for page, lines in found.items()}

    def _suffices(self, key: _Key, pages: int, heads: bool) -> bool:
        """Whether so many pages are enough; more is asked of what looks like a heading."""
        most = pages * 2 >= self._pages
        match key.kind:
            case "same":
                return most or not heads
            case "count":
                return not heads or key.edge == "bottom" or not any(map(str.isalpha, key.text))
        return True


def _levels(lines: Sequence[Line]) -> list[list[int]]:
    """Line numbers by baseline, the highest first; margins' text stands on none."""
    upright = [at for at, line in enumerate(lines) if not line.turn]
    levels: list[list[int]] = []
    for at in sorted(upright, key=lambda at: -lines[at].baseline):
        line = lines[at]
        if levels and lines[levels[-1][0]].baseline - line.baseline < _SAME_LINE * line.size:
            levels[-1].append(at)
        else:
            levels.append([at])
    return levels


def _band(levels: Sequence[list[int]], lines: Sequence[Line]) -> list[tuple[list[int], list[int]]]:
    """The outermost levels, where a gap keeps them apart from the text; each with the next one inwards."""
    neighbours = list(pairwise(levels[: _BAND + 1]))
    for count, (outer, inner) in enumerate(neighbours, start=1):
        line, other = lines[outer[0]], lines[inner[0]]
        if abs(line.baseline - other.baseline) > _APART * max(line.size, other.size):
            return neighbours[:count]
    return []


def _are_rows(line: Line, other: Line) -> bool:
    """Whether two lines have the same cells: a table's header is no running header."""
    cells, others = line.cells(1.0), other.cells(1.0)
    return len(cells) == len(others) > 1 and all(
        cell.left <= below.right and below.left <= cell.right
        for cell, below in zip(cells, others, strict=True)
    )


def _keys(lines: Sequence[Line], edge: str, page: int, *, in_rows: bool) -> Iterator[_Key]:
    """What a level may have in common with those of other pages; of a row of a table only its page number."""
    ordered = sorted(lines, key=lambda line: line.left)
    text = " ".join(line.text for line in ordered)
    cells = [cell.text for line in ordered for cell in line.cells(_CELL_GAP)]
    pattern, numbers = _counted(text)
    outer = [_counted(cells[0]), _counted(cells[-1])] if len(cells) > 1 else []
    for place in _places(lines[0].baseline):
        if not in_rows:
            yield _Key("same", edge, place, text)
            for at, number in enumerate(numbers if _is_counter(text, pattern) else ()):
                yield _Key("count", edge, place, f"{at} {pattern}", number - page)
        for shape, (number, *others) in ((shape, numbers) for shape, numbers in outer if numbers):
            if not others and not any(map(str.isalpha, shape)):
                yield _Key("number", edge, place, "", number - page)


def _counted(text: str) -> tuple[str, list[int]]:
    """A text without its numbers, and these."""
    bare = text.strip(_AROUND_NUMBERS)
    if _ROMAN.fullmatch(bare):
        return "", [_roman(bare.lower())]
    return _DIGITS.sub("", text), [int(digits[-9:]) for digits in _DIGITS.findall(text)]


def _is_counter(text: str, pattern: str) -> bool:
    """Whether a page number may stand there: at an end, or among few letters, as in "Page 3 of 57"."""
    bare = text.strip(_AROUND_NUMBERS)
    ends = bare[:1].isdigit() or bare[-1:].isdigit() or _ROMAN.fullmatch(bare)
    return bool(ends) or sum(map(str.isalpha, pattern)) <= _FEW_LETTERS


def _roman(text: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in text]
    return sum(
        -value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True)
    )


def _places(baseline: float) -> tuple[int, int]:
    """Two grids, half a field apart, so that near is never divided by both."""
    return 2 * round(baseline / _GRID), 2 * round(baseline / _GRID + 0.5) + 1


def _is_near(pages: Sequence[int]) -> bool:
    return any(
        last - first < _NEAR_PAGES for first, last in zip(pages, pages[_FEWEST_PAGES - 1 :], strict=False)
    )
