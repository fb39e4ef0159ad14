"""Rows of a table that grows line by line: which line begins one, which goes on with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from services.parser.documents.pdf.lines import Line

CELL_GAP = 1.0  # em between cells of a table; words of a justified line seldom stand so far apart
TIGHT = 1.45  # em between lines of one cell
MOST_CELL_LINES = 12
_ROWS_APART = 4.0  # em between rows of one table
_SAME_LINE = 0.3  # em

Span = tuple[float, float]
Columns = list[Span]


@dataclass(frozen=True, slots=True)
class Piece:
    """A cell's text on one line."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool


@dataclass(slots=True)
class Row:
    """Pieces of one row, in the order of the page's text.

    Attributes:
        start: Its first line.
        end: The line after its last.
    """

    start: int
    end: int
    pieces: list[Piece]
    top: float = field(init=False)
    lowest: float = field(init=False)
    places: Columns = field(init=False)

    def __post_init__(self) -> None:
        self.top = max(piece.baseline for piece in self.pieces)
        self.lowest = min(piece.baseline for piece in self.pieces)
        self.places = merged((), self.pieces)

    def take(self, other: Row) -> None:
        """Adds what belongs to the same row."""
        self.pieces.extend(other.pieces)
        self.end = other.end
        self.__post_init__()

    @property
    def bold(self) -> bool:
        """Whether all of it is."""
        return all(piece.bold for piece in self.pieces)

    @property
    def size(self) -> float:
        """Of its first piece."""
        return self.pieces[0].size

    def is_followed_by(self, row: Row) -> bool:
        """Whether a row stands below, near enough for one table. A lone cell may be the lowest of its row."""
        most = _ROWS_APART + (MOST_CELL_LINES if len(row.pieces) == 1 else 0)
        return 0.2 * row.size < self.lowest - row.top <= most * row.size

    def holds(self, row: Row, ceiling: float) -> bool:
        """Whether a line belongs to this row by its height, and takes no place that is taken."""
        highest = min(ceiling, self.top + MOST_CELL_LINES * row.size)
        if not self.lowest - _SAME_LINE * row.size <= row.top < highest:
            return False
        beside = [each for each in self.pieces if abs(each.baseline - row.top) < _SAME_LINE * row.size]
        return not any(_overlap((each.left, each.right), piece) for each in beside for piece in row.pieces)

    def wraps_into(self, row: Row, first_column: Span | None) -> bool:
        """Whether a line of one piece continues a cell of this row, outside the column that rows begin in."""
        (piece, *others) = row.pieces
        over = [place for place in self.places if _overlap(place, piece)]
        if others or len(over) != 1 or (first_column and _overlap(first_column, piece)):
            return False
        cell = [each for each in self.pieces if _overlap(over[0], each)]
        distance = min(each.baseline for each in cell) - piece.baseline
        return len(cell) < MOST_CELL_LINES and 0 < distance <= TIGHT * piece.size


def row_of(lines: Sequence[Line], at: int, columns: Columns) -> Row:
    """A line's cells as a row of its own; narrower gaps part them where a known column begins."""
    line = lines[at]
    cells = line.cells(CELL_GAP)
    if max(len(cells), 2) < len(columns) and line.widest_gap < inf:
        # Of two columns the second begins too often below any word.
        narrow = line.cells_at([left for left, _ in columns])
        cells = narrow if len(narrow) == len(columns) else cells
    pieces = [Piece(cell.text, cell.left, cell.right, line.baseline, line.size, line.bold) for cell in cells]
    return Row(at, at + 1, pieces)


def merged(columns: Sequence[Span], pieces: Iterable[Piece]) -> Columns:
    """Columns, with what the pieces cover besides; places that touch are one."""
    spans: Columns = []
    for left, right in sorted((*columns, *((piece.left, piece.right) for piece in pieces))):
        if spans and left <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return spans


def _overlap(span: Span, piece: Piece) -> bool:
    return span[0] <= piece.right and piece.left <= span[1]
