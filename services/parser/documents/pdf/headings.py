"""The headings that a document names itself, by its outline and its structure tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from services.parser.documents.pdf.lines import Line
from services.parser.documents.pdf.style import HEADING_CHARS, Style
from services.parser.documents.pdf.tags import Tag
from services.parser.documents.pdf.titles import Heading, Title, divided, find


class Headings:
    """Collects them page by page."""

    def __init__(self, outline: Mapping[int, Sequence[Title]]) -> None:
        self._outline = outline
        self._found: dict[int, list[Heading]] = {}
        self._sizes: set[float] = set()
        self._titles = self._matched = 0

    def add(self, number: int, lines: list[Line], tags: Mapping[int, Tag]) -> list[Line]:
        """Looks for those of a page. Gives its lines, in which each of them stands alone."""
        titles = self._outline.get(number, ())
        if titles:
            lines = divided(lines, titles)
        found = find(lines, titles) if titles else []
        self._titles += len(titles)
        self._matched += len(found)
        if tags:
            taken = {at for heading in found for at in range(heading.start, heading.end)}
            found = sorted([*found, *_tagged(lines, tags, taken)])
        if found:
            self._found[number] = found
            self._sizes.update(lines[heading.end - 1].size for heading in found)
        return lines

    def on(self, number: int) -> list[Heading]:
        """Those of a page."""
        return self._found.get(number, [])

    def style(self, style: Style) -> Style:
        """The style with what it still says of headings: sizes below those that the document names."""
        if not self._sizes or self._matched * 2 < self._titles:
            return style
        deepest = max(heading.level for page in self._found.values() for heading in page)
        smaller = sorted((size for size in style.levels if size < min(self._sizes)), reverse=True)
        levels = {size: deepest + below for below, size in enumerate(smaller, start=1)}
        return replace(style, levels=levels, bold_level=0)


def _tagged(lines: Sequence[Line], tags: Mapping[int, Tag], taken: set[int]) -> list[Heading]:
    """Runs of lines that belong to one heading of the structure tree."""
    found = []
    for tag, run in groupby(enumerate(lines), key=lambda each: _tag(each[1], tags)):
        members = list(run)
        start, end = members[0][0], members[-1][0] + 1
        chars = sum(len(line.text) for _, line in members)
        if tag and chars <= HEADING_CHARS and taken.isdisjoint(range(start, end)):
            found.append(Heading(start, end, tag.level))
    return found


def _tag(line: Line, tags: Mapping[int, Tag]) -> Tag | None:
    found = {tags.get(word.mcid) for word in line.words}
    return found.pop() if len(found) == 1 else None
