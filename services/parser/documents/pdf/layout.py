"""Lines on pages → Markdown: headings by size, paragraphs, list items, tables. Pure and deterministic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.parser.documents.pdf.lines import BULLET, MARKER, Cell, Line, joined, packed, unpacked
from services.parser.documents.pdf.style import (
    HEADING_CHARS,
    MOST_LEVELS,
    PUNCTUATION,
    Census,
    Style,
    can_head,
)

_BOLD_HEADING_CHARS = 90
_CELL_GAP = 1.0  # em between cells of a table; words of a justified line seldom stand so far apart
_ROW_GAP = 3.0  # em that make a lone line a row of cells
_PARAGRAPH_GAP = 1.3  # times the usual distance of lines
_STARTS_ITEM = re.compile(rf"(?:{BULLET.pattern}|{MARKER.pattern})\s")
_CAPTION = re.compile(r"(?:figure|fig\.|table|chart|exhibit)\s*\d", re.IGNORECASE)
_LOOKS_LIKE_MARKDOWN = re.compile(r"(#{1,6}\s|```|~~~)")


class Layout:
    """Collects a document's pages, then renders them: sizes mean something only side by side."""

    def __init__(self) -> None:
        self._pages: list[bytes] = []
        self._census = Census()

    def add_page(self, lines: Sequence[Line]) -> None:
        """Adds the next page; pieces of one baseline are joined first."""
        page = joined(lines)
        self._census.add(page)
        self._pages.append(packed(page))

    def render(self) -> Iterator[str]:
        """Markdown of each page."""
        style = self._census.style()
        for page in self._pages:
            yield "\n\n".join(_blocks(unpacked(page), style))


def _blocks(lines: list[Line], style: Style) -> Iterator[str]:
    index = 0
    while index < len(lines):
        if rows := _table_at(lines, index):
            yield _table(rows)
            index += len(rows)
            continue
        end = index + 1
        while end < len(lines) and _continues(lines[end - 1], lines[end], lines[index], style):
            end += 1
        block = lines[index:end]
        level = _heading_level(block, lines[index - 1] if index else None, style)
        text = _flowing(block, style.words)
        if level:
            yield f"{'#' * level} {text}"
        elif len(block) == 1 and len(cells := block[0].cells(_ROW_GAP)) > 1:
            yield " | ".join(cell.text for cell in cells)
        else:
            yield _as_item(text)
        index = end


def _continues(above: Line, line: Line, first: Line, style: Style) -> bool:
    """Whether a line goes on with the block that began with `first`."""
    distance = above.baseline - line.baseline
    if above.size != line.size or not 0 < distance <= style.pitch * line.size * _PARAGRAPH_GAP:
        return False
    if above.bold != line.bold and above.bold:
        return False
    if _STARTS_ITEM.match(line.text) or _CAPTION.match(line.text):
        return False
    if any(len(each.cells(_ROW_GAP)) > 1 for each in (above, line)):
        return False
    if not above.text.endswith((".", "!", "?", ":")):
        return True
    if _STARTS_ITEM.match(first.text):
        return line.left > first.words[1].left - 0.5 * line.size
    return line.left - first.left <= 0.8 * line.size


def _heading_level(block: list[Line], above: Line | None, style: Style) -> int:
    """1 to 4, or 0 where the block is no heading."""
    first, text_chars = block[0], sum(len(line.text) for line in block)
    if first.size in style.levels:
        return style.levels[first.size] if text_chars <= HEADING_CHARS else 0
    alone = len(block) == 1 and len(first.cells(_ROW_GAP)) == 1
    if not (alone and first.bold and not style.bold_body and first.size >= style.body and can_head(first)):
        return 0
    if (
        text_chars > _BOLD_HEADING_CHARS
        or first.text.endswith((".", ",", ";", ":"))
        or _CAPTION.match(first.text)
    ):
        return 0
    apart = above is None or above.baseline - first.baseline > style.pitch * first.size * _PARAGRAPH_GAP
    jumped = above is not None and above.baseline < first.baseline
    return min(len(set(style.levels.values())) + 1, MOST_LEVELS) if apart or jumped else 0


def _flowing(block: list[Line], known: frozenset[str]) -> str:
    """Lines joined to one text. A hyphen at a line's end goes, unless the document shows that it stays."""
    text = block[0].text
    for line in block[1:]:
        stem = text.removesuffix("-")
        if stem == text or not stem[-1:].isalpha():
            text += f" {line.text}"
            continue
        head, tail = stem.rpartition(" ")[2].lower(), line.words[0].text
        whole, parts = head + tail.lower().strip(PUNCTUATION), f"{head}-{tail.lower().strip(PUNCTUATION)}"
        stays = not tail[0].islower() or (parts in known and whole not in known)
        text = stem + "-" * stays + line.text
    return text


def _as_item(text: str) -> str:
    if BULLET.match(text) and text[1:2] == " ":
        return f"- {text[2:]}"
    return f"\\{text}" if _LOOKS_LIKE_MARKDOWN.match(text) else text


def _table_at(lines: list[Line], start: int) -> list[list[str]]:
    """Rows of the table that begins at a line, or nothing.

    Columns are the places on the x axis that cells share: cells aligned left, right or centred overlap,
    while gaps of running text do not line up and melt into one column.
    """
    block: list[list[Cell]] = []
    found: list[list[str]] = []
    for line in lines[start:]:
        if block and abs(lines[start + len(block) - 1].baseline - line.baseline) > 4 * line.size:
            break
        cells = line.cells(_CELL_GAP)
        if len(cells) < 2:
            break
        block.append(cells)
        rows = _rows(block)
        if not rows:
            break
        found = rows
    return found if len(found) > 1 else []


def _rows(block: list[list[Cell]]) -> list[list[str]]:
    columns: list[tuple[float, float]] = []
    for cell in sorted((cell for row in block for cell in row), key=lambda cell: cell.left):
        if columns and cell.left <= columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], cell.right))
        else:
            columns.append((cell.left, cell.right))
    if len(columns) != max(map(len, block)):
        return []
    rows = []
    for cells in block:
        row = [""] * len(columns)
        for cell in cells:
            at = next(i for i, (left, right) in enumerate(columns) if left <= cell.left <= right)
            if row[at]:
                return []
            row[at] = cell.text
        rows.append(row)
    return rows


def _table(rows: list[list[str]]) -> str:
    header, *body = ("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows)
    return "\n".join((header, "|" + " --- |" * len(rows[0]), *body))
