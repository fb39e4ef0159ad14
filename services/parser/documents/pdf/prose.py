"""What stands in rows and is no table: tables of contents, and columns of running text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from services.parser.documents.pdf.rows import Columns, Row

_NUMBER = re.compile(r"\d{1,4}|[ivxlcdm]{1,7}", re.IGNORECASE)
_FORMULA_NUMBER = re.compile(r"\(\w{1,4}(?:\.\d{1,4})*\)")
_LEADERS = re.compile(r"(?:[.·…_]\s?){4,}\s*(?:[\w-]{1,7})?$")


def has_leaders(text: str) -> bool:
    """Whether dots lead to the end of a line: "Tides . . . . 12"."""
    return bool(_LEADERS.search(text))


def is_no_table(rows: Sequence[Row], columns: Columns, pages: int, in_contents: bool) -> bool:
    """Whether rows are a table of contents, numbered formulas, or justified text in columns."""
    last = [row.pieces[-1].text for row in rows]
    return (
        _is_contents(rows, last, pages, fewest=1 if in_contents else 4)
        or all(map(_FORMULA_NUMBER.fullmatch, last))
        or _is_prose(rows, columns)
    )


def _is_contents(rows: Sequence[Row], last: Sequence[str], pages: int, fewest: int) -> bool:
    if sum(has_leaders(" ".join(piece.text for piece in row.pieces)) for row in rows) * 2 >= len(rows):
        return True
    if len(rows[0].pieces) > 3 or not all(map(_NUMBER.fullmatch, last)):
        return False
    numbers = [int(text) for text in last if text.isdecimal()]
    grow = all(before <= after for before, after in pairwise(numbers))
    return grow and len(rows) >= fewest and all(number <= pages for number in numbers)


def _is_prose(rows: Sequence[Row], columns: Columns) -> bool:
    if len(rows) < 4 or len(columns) > 3:
        return False
    words = sum(piece.text.count(" ") + 1 for row in rows for piece in row.pieces)
    pieces = sum(len(row.pieces) for row in rows)
    full = sum(abs(row.pieces[0].right - columns[0][1]) < 0.6 * row.size for row in rows)
    return words >= 4 * pieces and full * 3 >= len(rows) * 2
