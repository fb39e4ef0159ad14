"""Finds the titles that a document's outline names among a page's lines."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.parser.documents.pdf.lines import Line

_MOST_LINES = 4
_SEPARATORS = re.compile(r"[\W_]+")
_LINES_APART = 4.0  # em between the lines of one title: "Chapter 3" stands well above its name
_NUMBER = r"\d{1,4}(?:[.-]\d{1,4})*|[A-Z](?:\.\d{1,4})*|[IVXLC]{1,6}"
_LABEL = re.compile(rf"\s*(?:(?:[^\W\d]{{2,12}}\s)?(?:{_NUMBER})|第\w{{1,4}}[章节節部回])[.:)、]?(?:\s+|$)")


class Title(NamedTuple):
    """A heading as the document itself names it.

    Attributes:
        level: From 1.
        top: Points from the page's lower edge to the view that its entry opens; None where it says nothing.
    """

    text: str
    level: int
    top: float | None = None


class Heading(NamedTuple):
    """Lines that are known to be a heading: the first, and the one after the last."""

    start: int
    end: int
    level: int


def find(lines: Sequence[Line], titles: Sequence[Title]) -> list[Heading]:
    """The headings that the titles stand for: no line is two of them, and what is not found is left out."""
    page = _Keys(lines)
    alike: defaultdict[str, list[Title]] = defaultdict(list)
    for title in titles:
        alike[_key(title.text)].append(title)
    found: dict[int, Heading] = {}
    for group in sorted(alike.values(), key=lambda group: -len(group[0].text)):
        places = [place for place in page.places(group[0].text) if not _is_taken(place, found)]
        places.sort(key=lambda place: _rank(lines, place, group[0].top))
        for title, (start, end) in zip(group, sorted(places[: len(group)]), strict=False):
            found.update(dict.fromkeys(range(start, end), Heading(start, end, title.level)))
    return sorted(set(found.values()))


class _Keys:
    """A page's lines without what titles and lines differ in: case, space, marks, numbers before them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._keys = [_key(line.text) for line in lines]
        self._bare = [_key(_without_label(line.text)) for line in lines]

    def places(self, title: str) -> list[tuple[int, int]]:
        """Runs of lines that are the title: the first, and the one after the last."""
        want, bare = _key(title), _key(_without_label(title))
        starts: dict[int, int] = {}
        for at, (key, without_label) in enumerate(zip(self._keys, self._bare, strict=True)):
            forms = {(key, want), (key, bare), (without_label, want)} if key else set()
            if not without_label and not any(map(str.isalpha, key)):
                forms.discard((without_label, want))
            for end in filter(None, (self._end(at, first, whole) for first, whole in forms)):
                starts.setdefault(end, at)
        return [(start, end) for end, start in starts.items()]

    def _end(self, start: int, text: str, want: str) -> int:
        """The line after the run that is the text from its first line on; 0 where none is."""
        end = start + 1
        while want and want.startswith(text):
            if text == want:
                return end
            if end == min(len(self._keys), start + _MOST_LINES) or not self._is_below(end):
                break
            text += self._keys[end]
            end += 1
        return 0

    def _is_below(self, at: int) -> bool:
        above, line = self._lines[at - 1], self._lines[at]
        return -0.3 * line.size < above.baseline - line.baseline < _LINES_APART * max(line.size, above.size)


def _rank(lines: Sequence[Line], place: tuple[int, int], top: float | None) -> tuple[float, bool, float]:
    """The likeliest first: large, bold, near the place that the entry opens."""
    start, end = place
    first, last = lines[start], lines[end - 1]
    distance = 0.0 if top is None else abs(top - first.baseline - first.size)
    return -last.size, not last.bold, distance


def _is_taken(place: tuple[int, int], found: Mapping[int, Heading]) -> bool:
    return any(at in found for at in range(*place))


def _key(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return _SEPARATORS.sub("", plain) or "".join(text.split())


def _without_label(text: str) -> str:
    label = _LABEL.match(text)
    return text[label.end() :] if label else text
