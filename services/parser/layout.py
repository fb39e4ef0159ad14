"""Lines on pages → Markdown: headings by size, paragraphs, list items, tables. Pure and deterministic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

_MOST_LEVELS = 4
_LARGER = 1.1  # times the body's size: below that it is emphasis, not a heading
_HEADING_CHARS = 200
_BOLD_HEADING_CHARS = 90
_CELL_GAP = 1.0  # em between cells of a table; words of a justified line seldom stand so far apart
_ROW_GAP = 3.0  # em that make a lone line a row of cells
_PARAGRAPH_GAP = 1.3  # times the usual distance of lines
_BULLET = re.compile(r"[•◦▪‣●○■□·∙\uf0a7\uf0b7\uf0d8–—*-]")
_MARKER = re.compile(r"(?:\d{1,3}|[A-Za-z])[.)]")
_STARTS_ITEM = re.compile(rf"(?:{_BULLET.pattern}|{_MARKER.pattern})\s")
_CAPTION = re.compile(r"(?:figure|fig\.|table|chart|exhibit)\s*\d", re.IGNORECASE)
_PUNCTUATION = ".,;:()"
_LOOKS_LIKE_MARKDOWN = re.compile(r"(#{1,6}\s|```|~~~)")


@dataclass(frozen=True, slots=True)
class Word:
    """A run of characters without space. Points, the origin at the page's lower left."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Words that stand close together."""

    text: str
    left: float
    right: float


@dataclass(eq=False)
class Line:
    """Words on one baseline, in reading order."""

    words: list[Word]

    @cached_property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @cached_property
    def size(self) -> float:
        weights: Counter[float] = Counter()
        for word in self.words:
            weights[word.size] += len(word.text)
        return max(weights, key=lambda size: (weights[size], size))

    @cached_property
    def bold(self) -> bool:
        return all(word.bold for word in self.words)

    @property
    def baseline(self) -> float:
        return self.words[0].baseline

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return self.words[-1].right

    def cells(self, gap: float) -> list[Cell]:
        """The line cut where words stand `gap` em apart; a list marker belongs to what follows it."""
        groups = [[self.words[0]]]
        for before, word in pairwise(self.words):
            wide = word.left - before.right > gap * self.size
            marker = len(groups) == 1 and len(groups[0]) == 1 and _is_marker(before.text)
            if wide and not marker:
                groups.append([])
            groups[-1].append(word)
        return [Cell(" ".join(w.text for w in group), group[0].left, group[-1].right) for group in groups]


class Layout:
    """Collects a document's pages, then renders them: sizes mean something only side by side."""

    def __init__(self) -> None:
        self._pages: list[list[Line]] = []

    def add_page(self, lines: Sequence[Line]) -> None:
        """Adds the next page; pieces of one baseline are joined first."""
        self._pages.append(_joined(lines))

    def render(self) -> Iterator[str]:
        """Markdown of each page."""
        style = _Style.of(self._pages)
        for lines in self._pages:
            yield "\n\n".join(_blocks(lines, style))


@dataclass(frozen=True, slots=True)
class _Style:
    body: float
    levels: dict[float, int]
    pitch: float
    bold_body: bool
    words: frozenset[str]

    @classmethod
    def of(cls, pages: list[list[Line]]) -> _Style:
        lines = [line for page in pages for line in page]
        chars: Counter[float] = Counter()
        for line in lines:
            chars[line.size] += len(line.text)
        body = max(chars, key=lambda size: (chars[size], -size), default=0.0)
        larger = {line.size for line in lines if line.size >= body * _LARGER and _can_head(line)}
        pitches = [
            (above.baseline - line.baseline) / line.size
            for page in pages
            for above, line in pairwise(page)
            if above.size == line.size == body and 0 < above.baseline - line.baseline < 3 * body
        ]
        bold_chars = sum(len(line.text) for line in lines if line.bold)
        return cls(
            body=body,
            levels={
                size: min(level, _MOST_LEVELS)
                for level, size in enumerate(sorted(larger, reverse=True), start=1)
            },
            pitch=median(pitches) if pitches else 1.2,
            bold_body=bold_chars * 2 > sum(chars.values()),
            words=frozenset(word.text.lower().strip(_PUNCTUATION) for line in lines for word in line.words),
        )


def _blocks(lines: list[Line], style: _Style) -> Iterator[str]:
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


def _continues(above: Line, line: Line, first: Line, style: _Style) -> bool:
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


def _heading_level(block: list[Line], above: Line | None, style: _Style) -> int:
    """1 to 4, or 0 where the block is no heading."""
    first, text_chars = block[0], sum(len(line.text) for line in block)
    if first.size in style.levels:
        return style.levels[first.size] if text_chars <= _HEADING_CHARS else 0
    alone = len(block) == 1 and len(first.cells(_ROW_GAP)) == 1
    if not (alone and first.bold and not style.bold_body and first.size >= style.body and _can_head(first)):
        return 0
    if (
        text_chars > _BOLD_HEADING_CHARS
        or first.text.endswith((".", ",", ";", ":"))
        or _CAPTION.match(first.text)
    ):
        return 0
    apart = above is None or above.baseline - first.baseline > style.pitch * first.size * _PARAGRAPH_GAP
    jumped = above is not None and above.baseline < first.baseline
    return min(len(set(style.levels.values())) + 1, _MOST_LEVELS) if apart or jumped else 0


def _can_head(line: Line) -> bool:
    return len(line.text) <= _HEADING_CHARS and sum(map(str.isalpha, line.text)) >= 2


def _flowing(block: list[Line], known: frozenset[str]) -> str:
    """Lines joined to one text. A hyphen at a line's end goes, unless the document shows that it stays."""
    text = block[0].text
    for line in block[1:]:
        stem = text.removesuffix("-")
        if stem == text or not stem[-1:].isalpha():
            text += f" {line.text}"
            continue
        head, tail = stem.rpartition(" ")[2].lower(), line.words[0].text
        whole, parts = head + tail.lower().strip(_PUNCTUATION), f"{head}-{tail.lower().strip(_PUNCTUATION)}"
        stays = not tail[0].islower() or (parts in known and whole not in known)
        text = stem + "-" * stays + line.text
    return text


def _as_item(text: str) -> str:
    if _BULLET.match(text) and text[1:2] == " ":
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


def _joined(lines: Sequence[Line]) -> list[Line]:
    joined: list[Line] = []
    for line in lines:
        above = joined[-1] if joined else None
        if above and abs(above.baseline - line.baseline) < 0.2 * line.size and line.left >= above.right:
            joined[-1] = Line([*above.words, *line.words])
        else:
            joined.append(line)
    return joined


def _is_marker(text: str) -> bool:
    return bool(_BULLET.fullmatch(text) or _MARKER.fullmatch(text))
