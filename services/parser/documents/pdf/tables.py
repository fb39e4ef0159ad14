"""Lines → the table that they draw, or none.

Columns are the places on the x axis that cells share: cells aligned left, right or centred overlap, while
gaps of running text do not line up and melt into one column. Some producers write a row line by line,
others cell by cell; then a cell's second line comes before the next cell's first.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from services.parser.documents.pdf.hyphens import flowing
from services.parser.documents.pdf.lines import Line
from services.parser.documents.pdf.prose import has_leaders, is_no_table
from services.parser.documents.pdf.rows import (
    CELL_GAP,
    MOST_CELL_LINES,
    TIGHT,
    Columns,
    Piece,
    Row,
    Span,
    merged,
    row_of,
)
from services.parser.documents.pdf.style import Style

_MOST_COLUMNS = 64
_WIDER = 1.2  # times the distance of lines: then rows stand farther apart than a cell's lines
_MOST_HEAD_WORDS = 5
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Table:
    """A table on one page.

    Attributes:
        head: Text of each cell of its header row; all are empty where it has none.
        rows: The rows below; each has as many cells.
        columns: Their places on the x axis.
        end: The line after its last.
        bold_head: Its header row is bold and the next is not.
    """

    head: list[str]
    rows: list[list[str]]
    columns: Columns
    end: int
    bold_head: bool


class Tables:
    """Finds the tables among the lines of one page."""

    def __init__(self, lines: Sequence[Line], borders: frozenset[int], style: Style) -> None:
        """`borders` are lines that belong to no table."""
        self._lines, self._borders = lines, borders
        self._known, self._pages = style.words, style.pages
        # Lines that stand beside and above the one before: the next cell, where text comes cell by cell.
        self._returns = [
            at
            for at, (before, line) in enumerate(pairwise(lines), start=1)
            if line.baseline > before.baseline + 0.3 * line.size
            and (line.left >= before.right or line.right <= before.left)
        ]
        self._searched = 0  # no table begins before this line

    def at(self, start: int, carried: Table | None = None) -> Table | None:
        """The table that begins at a line; of one that goes on from another page, a row is enough."""
        if start < self._searched or not self._may_begin(start):
            return None
        places = carried.columns if carried else []
        rows, columns = self._grown(start, places)
        if len(rows) < (1 if carried else 2) or len(columns) < len(places):
            return None
        if not carried and is_no_table(rows, columns, self._pages, self._in_contents):
            self._searched = rows[-1].end
            return None
        rows = _folded(rows, columns)
        texts = [self._texts(row, columns) for row in rows]
        if not all(texts):
            return None
        bold_head = rows[0].bold and not (len(rows) > 1 and rows[1].bold)
        if not (bold_head or _is_head(texts)):
            texts.insert(0, [""] * len(columns))
        return Table(texts[0], texts[1:], columns, rows[-1].end, bold_head)

    def _grown(self, start: int, columns: Columns) -> tuple[list[Row], Columns]:
        """The rows from a line on, while their columns agree."""
        rows: list[Row] = []
        most = len(columns)
        row: Row | None = None
        for at in range(start, len(self._lines) + 1):
            line = row_of(self._lines, at, columns) if self._is_free(at) else None
            if row and line and self._goes_on(row, line, rows, columns):
                row.take(line)
                continue
            if row:
                wider = merged(columns, row.pieces)
                most = max(most, len(row.places))
                if not 2 <= len(wider) == most <= _MOST_COLUMNS or len(row.places) < 2:
                    break
                rows.append(row)
                columns = wider
            if line is None or (row and not row.is_followed_by(line)):
                break
            if len(line.pieces) < 2 and not self._may_begin(at):
                break
            row = line
        return rows, columns

    def _is_free(self, at: int) -> bool:
        return at < len(self._lines) and at not in self._borders and not self._lines[at].turn

    @cached_property
    def _in_contents(self) -> bool:
        """Whether the page has other lines of a table of contents."""
        return sum(has_leaders(line.text) for line in self._lines) > 1

    def _goes_on(self, row: Row, line: Row, rows: list[Row], columns: Columns) -> bool:
        ceiling = rows[-1].lowest - 0.3 * line.size if rows else float("inf")
        first_column: Span | None = columns[0] if columns else row.places[0]
        wider_apart = rows and rows[-1].lowest - row.top > _WIDER * (row.lowest - line.top)
        if wider_apart or len(row.places) == 1:
            first_column = None
        return row.holds(line, ceiling) or row.wraps_into(line, first_column)

    def _may_begin(self, at: int) -> bool:
        """Whether a line has cells, or the text soon comes back up to it, to a cell beside."""
        if len(self._lines[at].cells(CELL_GAP)) > 1:
            return True
        index = bisect_right(self._returns, at)
        if index == len(self._returns) or self._returns[index] > at + MOST_CELL_LINES:
            return False
        line, back = self._lines[at], self._lines[self._returns[index]]
        return back.baseline <= line.baseline + MOST_CELL_LINES * line.size

    def _texts(self, row: Row, columns: Columns) -> list[str]:
        """Of each column; empty where two pieces claim one place."""
        cells: list[list[Piece]] = [[] for _ in columns]
        lefts = [left for left, _ in columns]
        for piece in row.pieces:
            cells[bisect_right(lefts, piece.left) - 1].append(piece)
        for cell in cells:
            cell.sort(key=lambda piece: -piece.baseline)
            if any(above.baseline - piece.baseline < 0.3 * piece.size for above, piece in pairwise(cell)):
                return []
        return [flowing([piece.text for piece in cell], self._known) if cell else "" for cell in cells]


def goes_on(table: Table, following: Table) -> bool:
    """Whether a table on the next page has no header of its own: where that cannot be told, it has one."""
    if len(table.columns) != len(following.columns) or table.head == following.head:
        return False
    if table.bold_head or following.bold_head:
        return table.bold_head and not following.bold_head
    return not any(following.head)


def markdown_head(row: Sequence[str]) -> str:
    """The header of a table of Markdown."""
    return f"{markdown(row)}\n|{' --- |' * len(row)}"


def markdown(row: Sequence[str]) -> str:
    """One row of a table of Markdown."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"


def _is_head(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row says what stands below it: short words, and no figures above figures."""
    first, *body = rows
    if any(text.count(" ") >= _MOST_HEAD_WORDS or text.endswith((".", ";", ",")) for text in first):
        return False
    return not any(
        _has_digit(text) and not _YEAR.fullmatch(text) and all(map(_has_digit, filter(None, below)))
        for text, *below in zip(first, *body, strict=True)
    )


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _folded(rows: list[Row], columns: Columns) -> list[Row]:
    """Lines that only go on with the cells above them join its row: they stand closer than rows."""
    gaps = [above.lowest - row.top for above, row in pairwise(rows)]
    usual = median(
        [gap for gap, row in zip(gaps, rows[1:], strict=True) if len(row.places) == len(columns)] or [0.0]
    )
    folded = [rows[0]]
    for gap, row in zip(gaps, rows[1:], strict=True):
        near = gap <= TIGHT * row.size and (gap * _WIDER < usual or _heads_both(folded, row))
        if near and len(row.places) < len(folded[-1].places) and _lies_under(row, folded[-1]):
            folded[-1].take(row)
        else:
            folded.append(row)
    return folded


def _heads_both(rows: list[Row], row: Row) -> bool:
    return len(rows) == 1 and rows[0].bold and row.bold


def _lies_under(row: Row, above: Row) -> bool:
    return len(merged(above.places, row.pieces)) == len(above.places)
