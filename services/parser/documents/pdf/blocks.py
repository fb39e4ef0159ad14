"""A page's lines → its blocks: headings, paragraphs, items of lists, tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import inf

from services.parser.documents.pdf import tables
from services.parser.documents.pdf.hyphens import flowing
from services.parser.documents.pdf.lines import BULLET, MARKER, Line
from services.parser.documents.pdf.prose import has_leaders
from services.parser.documents.pdf.style import HEADING_CHARS, Style, can_head
from services.parser.documents.pdf.tables import Table, Tables
from services.parser.documents.pdf.titles import Heading
from services.parser.documents.pdf.writer import Writer
from services.parser.pages import Page

_BOLD_HEADING_CHARS = 90
_ROW_GAP = 3.0  # em that make a lone line a row of cells
_PARAGRAPH_GAP = 1.3  # times the usual distance of lines
_STARTS_ITEM = re.compile(rf"(?:{BULLET.pattern}|{MARKER.pattern})\s")
_DIVIDED_NUMBER = re.compile(r"\d[-\u2010]$")
_CAPTION = re.compile(r"(?:figure|fig\.|table|chart|exhibit)\s*\d", re.IGNORECASE)


class Blocks:
    """Reads one page.

    Attributes:
        carried: The table that the page ends with, once it is read.
    """

    def __init__(
        self,
        lines: list[Line],
        style: Style,
        *,
        headings: Mapping[int, Heading],
        omitted: frozenset[int],
        carried: Table | None,
    ) -> None:
        """`headings` by their first line, `omitted` are running headers and footers.

        `carried` is the table that the page before ended with, if it did.
        """
        self.carried: Table | None = None
        self._carried = carried
        self._lines, self._style = lines, style
        self._headings, self._omitted = headings, omitted
        self._borders = omitted.union(headings)
        self._tables = Tables(lines, self._borders, style)
        self._writer = Writer()

    def page(self, number: int) -> Page:
        """All of it as Markdown."""
        index = 0
        while index < len(self._lines):
            if index in self._omitted:
                self._writer.omitted(self._lines[index].text)
                index += 1
            else:
                index = self._block(index)
        return self._writer.page(number)

    def _block(self, index: int) -> int:
        """Writes the block that begins at a line; gives the line after it."""
        carried, self._carried, self.carried = self._carried, None, None
        if heading := self._headings.get(index):
            self._writer.heading(self._flowing(index, heading.end), heading.level)
            return heading.end
        if table := self._table(index, carried):
            return table.end
        end = index + 1
        while end < len(self._lines) and end not in self._borders and self._continues(index, end):
            end += 1
        text = self._flowing(index, end)
        if level := self._level(index, end):
            self._writer.heading(text, level)
        elif end == index + 1 and (cells := _row(self._lines[index])):
            self._writer.text(" | ".join(cells))
        elif _STARTS_ITEM.match(text):
            self._writer.item(f"- {text[2:]}" if BULLET.match(text) else text)
        else:
            self._writer.text(text)
        return end

    def _flowing(self, start: int, end: int) -> str:
        return flowing([line.text for line in self._lines[start:end]], self._style.words)

    def _table(self, index: int, carried: Table | None) -> Table | None:
        """Writes the table that begins at a line, if one does."""
        table = self._tables.at(index, carried) if carried else None
        if carried and table and tables.goes_on(carried, table):
            head, rows = carried.head, [row for row in (table.head, *table.rows) if any(row)]
            table = replace(table, head=head, bold_head=carried.bold_head)
            self._writer.table(tables.markdown_head(head), map(tables.markdown, rows), continued=True)
        elif table := self._tables.at(index):
            self._writer.table(tables.markdown_head(table.head), map(tables.markdown, table.rows))
        self.carried = table
        return table

    def _continues(self, start: int, at: int) -> bool:
        """Whether a line goes on with the block that began at `start`."""
        first, above, line = self._lines[start], self._lines[at - 1], self._lines[at]
        distance = above.baseline - line.baseline
        if above.size != line.size or not 0 < distance <= self._style.pitch * line.size * _PARAGRAPH_GAP:
            return False
        if above.turn != line.turn or (above.bold and not line.bold):
            return False
        if _starts_item(above, line) or _CAPTION.match(line.text) or has_leaders(above.text):
            return False
        if _row(above) or _row(line):
            return False
        if not above.text.endswith((".", "!", "?", ":")):
            return True
        if _STARTS_ITEM.match(first.text):
            return line.left > first.words[:2][-1].left - 0.5 * line.size
        return line.left - first.left <= 0.8 * line.size

    def _level(self, start: int, end: int) -> int:
        """Of a heading by its looks; 0 where the block is none."""
        style, first = self._style, self._lines[start]
        text_chars = sum(len(line.text) for line in self._lines[start:end])
        if first.turn:
            return 0
        if first.size in style.levels:
            return style.levels[first.size] if text_chars <= HEADING_CHARS else 0
        alone = end == start + 1 and not _row(first)
        if not (style.bold_level and alone and first.bold and first.size >= style.body and can_head(first)):
            return 0
        if (
            text_chars > _BOLD_HEADING_CHARS
            or first.text.endswith((".", ",", ";", ":"))
            or _CAPTION.match(first.text)
        ):
            return 0
        return style.bold_level if self._stands_apart(start) else 0

    def _stands_apart(self, at: int) -> bool:
        if not at:
            return True
        above, line = self._lines[at - 1], self._lines[at]
        distance = above.baseline - line.baseline
        return distance < 0 or distance > self._style.pitch * line.size * _PARAGRAPH_GAP


def _starts_item(above: Line, line: Line) -> bool:
    """Whether a line starts an item of a list: "77." does not where the line above ends with "2301-"."""
    divided = _DIVIDED_NUMBER.search(above.text) and line.text[0].isdigit()
    return not divided and _STARTS_ITEM.match(line.text) is not None


def _row(line: Line) -> list[str]:
    """The cells of a line that is a row of its own, where it is one."""
    if not _ROW_GAP * line.size < line.widest_gap < inf:
        return []
    cells = line.cells(_ROW_GAP)
    return [cell.text for cell in cells] if len(cells) > 1 else []
