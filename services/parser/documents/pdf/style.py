"""What a document's lines have in common, which tells its headings from its body."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from services.parser.documents.pdf.hyphens import PUNCTUATION, divides
from services.parser.documents.pdf.lines import Line

MOST_LEVELS = 4
HEADING_CHARS = 200
_LARGER = 1.1  # times the body's size: below that it is emphasis, not a heading


@dataclass(frozen=True, slots=True)
class Style:
    """Of a whole document.

    Attributes:
        body: Size of most of its text, points.
        levels: Heading level by size.
        pitch: Usual distance of lines of the body, em.
        bold_level: Of a heading that is bold and no larger than the body; 0 where bold means nothing.
        words: All its words, in lower case.
        pages: How many it has.
    """

    body: float
    levels: dict[float, int]
    pitch: float
    bold_level: int
    words: frozenset[str]
    pages: int


class Census:
    """Counts what makes the style, page by page; what it keeps is small beside the text."""

    def __init__(self) -> None:
        self._chars: Counter[float] = Counter()
        self._bold_chars = 0
        self._heads: set[float] = set()
        self._pitches: defaultdict[float, array[float]] = defaultdict(lambda: array("d"))
        self._words: set[str] = set()
        self._pages = 0

    def add(self, page: Sequence[Line]) -> None:
        """Counts a page's lines in."""
        self._pages += 1
        for line in page:
            self._chars[line.size] += len(line.text)
            self._bold_chars += line.bold * len(line.text)
            if can_head(line):
                self._heads.add(line.size)
            words = line.text.lower().split(" ")
            self._words.update(words[:-1] if divides(words[-1]) else words)
        for above, line in pairwise(page):
            distance = above.baseline - line.baseline
            if above.size == line.size and 0 < distance < 3 * line.size:
                self._pitches[line.size].append(distance / line.size)

    def style(self) -> Style:
        """The style of what was counted."""
        body = max(self._chars, key=lambda size: (self._chars[size], -size), default=0.0)
        larger = sorted((size for size in self._heads if size >= body * _LARGER), reverse=True)
        pitches = self._pitches.get(body)
        levels = {size: min(level, MOST_LEVELS) for level, size in enumerate(larger, start=1)}
        bold_body = self._bold_chars * 2 > sum(self._chars.values())
        return Style(
            body=body,
            levels=levels,
            pitch=median(pitches) if pitches else 1.2,
            bold_level=0 if bold_body else min(len(set(levels.values())) + 1, MOST_LEVELS),
            words=frozenset([word.strip(PUNCTUATION) for word in self._words]),
            pages=self._pages,
        )


def can_head(line: Line) -> bool:
    """Whether a line is short and wordy enough for a heading; a margin's text is none."""
    return not line.turn and len(line.text) <= HEADING_CHARS and sum(map(str.isalpha, line.text)) >= 2
