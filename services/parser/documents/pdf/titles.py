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
_RUN_IN_GAP = 1.5  # em
_NUMBER = r"\d{1,4}(?:[.-]\d{1,4})*|[A-Z](?:\.\d{1,4})*|[IVXLC]{1,6}"
_LABEL = re.compile(
    rf"\s*(?:(?:[^\W\d]{{2,12}}\s)?(?P<number>{_NUMBER})|第\w{{1,4}}[章节節部回])[.:)、]?(?:\s+|$)"
)


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


def divided(lines: Sequence[Line], titles: Sequence[Title]) -> list[Line]:
    """The lines, where a title that runs into text has one of its own: bold, or far from what follows."""
    keys = [_key(title.text) for title in titles]
    return [part for line in lines for part in _parts(line, keys)]


def _parts(line: Line, keys: Sequence[str]) -> list[Line]:
    whole = _key(line.text)
    for key in keys:
        if key and whole.startswith(key) and whole != key:
            for at in range(1, len(line.words)):
                if _key(" ".join(word.text for word in line.words[:at])) == key and _is_border(line, at):
                    return [Line(line.words[:at]), Line(line.words[at:])]
    return [line]


def _is_border(line: Line, at: int) -> bool:
    before, word = line.words[at - 1], line.words[at]
    return word.left - before.right > _RUN_IN_GAP * line.size or (before.bold and not word.bold)


class _Forms(NamedTuple):
    """A text as it is compared: "Chapter 3: Tides" also as "3 Tides" and as "Tides"."""

    whole: str
    numbered: str
    bare: str


class _Keys:
    """A page's lines without what titles and lines differ in: case, space, marks, numbers before them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._forms = [_forms(line.text) for line in lines]

    def places(self, title: str) -> list[tuple[int, int]]:
        """Runs of lines that are the title: the first, and the one after the last."""
        want = _forms(title)
        starts: dict[int, int] = {}
        for at, line in enumerate(self._forms):
            pairs = {(line.whole, want.whole), (line.whole, want.bare)}
            if any(map(str.isalpha, line.whole)):
                pairs |= {(line.numbered, want.whole), (line.bare, want.whole)}
            for end in filter(None, (self._end(at, *pair) for pair in pairs if line.whole)):
                starts.setdefault(end, at)
        return [(start, end) for end, start in starts.items()]

    def _end(self, start: int, text: str, want: str) -> int:
        """The line after the run that is the text from its first line on; 0 where none is."""
        end = start + 1
        while want and want.startswith(text):
            if text == want:
                return end
            if end == min(len(self._forms), start + _MOST_LINES) or not self._is_below(end):
                break
            text += self._forms[end].whole
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
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKD", text).casefold()
    return _SEPARATORS.sub("", plain) or "".join(text.split())


def _forms(text: str) -> _Forms:
    whole, label = _key(text), _LABEL.match(text)
    if not label:
        return _Forms(whole, whole, whole)
    bare = _key(text[label.end() :])
    return _Forms(whole, _key(label["number"] or "") + bare, bare)
