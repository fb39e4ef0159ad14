"""CSV and TSV → pages: titles, then one table, whose first row is the header that each later part repeats."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from services.parser.documents import decoding, flow
from services.parser.documents.document import Document
from services.parser.documents.flow import NEW_PAGE, Piece
from services.parser.pages import Page

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50
_MOST_CELL_CHARS = 1 << 24
_LINE_END = re.compile(r"\r\n|\r|\n")
# Excel writes it as a first line of its own.
_NAMED = re.compile(r"sep=(.)\s*", re.IGNORECASE)
csv.field_size_limit(_MOST_CELL_CHARS)


def read(document: Document) -> Iterator[Page]:
    """Raises Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED."""
    return flow.given(_pieces(decoding.texts(document)), document.limits.page_text_bytes)


def _pieces(texts: Iterable[str]) -> Iterator[Piece]:
    lines = _lines(texts)
    sample = list(itertools.islice(lines, _SAMPLE_LINES))
    named = _NAMED.fullmatch(sample[0]) if sample else None
    sample = sample[1:] if named else sample
    delimiter = named[1] if named else _delimiter(sample)
    yield NEW_PAGE
    rows = _rows(itertools.chain(sample, lines), delimiter)
    first = list(itertools.islice(rows, _SAMPLE_LINES))
    width = max(map(len, first), default=0)
    titles = _titles(first, width)
    for title in first[:titles]:
        yield from flow.paragraph("".join(title).strip())
    yield from flow.table(itertools.chain(first[titles:], rows), width=width)


def _titles(rows: list[list[str]], width: int) -> int:
    """How many rows are a title: one cell is filled, and it is no name of a column beside a blank one."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    header = next((at for at, cells in enumerate(filled) if cells > 1), 0)
    return header if width > 2 or all(len(row) < 2 for row in rows[:header]) else 0


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Rows as far as they can be told apart, and what is left as rows of one cell."""
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield from rows
            return
        except csv.Error:  # a cell without end
            continue


def _delimiter(lines: list[str]) -> str:
    """What cuts most lines into the same number of cells, two at least."""

    def score(delimiter: str) -> tuple[int, int]:
        rows = Counter(map(len, _rows(iter(lines), delimiter)))
        rows.pop(1, None)
        width, times = max(rows.items(), key=lambda each: each[1], default=(1, 0))
        return times, width

    return max(_DELIMITERS, key=score)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    rest = ""
    for text in texts:
        # A line feed may follow in the next piece.
        held = "\r" if text.endswith("\r") else ""
        *whole, last = _LINE_END.split(rest + text.removesuffix("\r"))
        yield from (f"{line}\n" for line in whole)
        rest = last + held
    yield from (f"{line}\n" for line in _LINE_END.split(rest) if line)
