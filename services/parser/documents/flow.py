"""What a reader finds, piece by piece, laid out on pages with blocks.

Pieces are small, so memory stays flat and a page can be cut between any two of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from services.parser.documents.paging import MOST_PAGE_CHARS, PAGE_CHARS
from services.parser.documents.plain import plain
from services.parser.pages import Block, BlockKind, Mark, Page

_PART_BYTES = 4_000
# Long documents have longer pages, so that they have no more of them than a document may have.
_PAGES_OF_A_LENGTH = 500
_MOST_LEVEL, _MOST_DEPTH = 6, 8
_EXPONENT = re.compile(r"[-+\u2212]?\d")
_TICKS = re.compile("`{3,}")
_ESCAPED = str.maketrans({"|": r"\|", "\\": r"\\"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a document, of at most some thousand characters.

    Attributes:
        kind: See Block, as for the three below.
        text: As it stands on the page.
        level: Of a heading.
        title: Of a heading.
        lead: What a later part needs before it.
        glue: Joins it to a block of its kind before it; None where it is a block of its own.
        continued: The block began in an earlier piece.
    """

    kind: BlockKind
    text: str
    level: int = 0
    title: str = ""
    lead: str = ""
    glue: str | None = None
    continued: bool = False


NEW_PAGE = Piece(BlockKind.OMITTED, "")
# What is shown and cannot be read; a page of nothing else is told.
PICTURE = Piece(BlockKind.OMITTED, "")
# Here text is missing, because an engine has a limit of its own.
CUT = Piece(BlockKind.OMITTED, "")


def clean(text: str) -> str:
    """Text as it is kept: NFC, no controls. What word processors hyphenate by is left out."""
    if text.isascii() and text.isprintable():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # halves of characters
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(plain([text])).replace("\f", "\n").replace("\xad", "")


def one_line(text: str) -> str:
    """Clean text with single spaces."""
    return " ".join(clean(text).split())


def raised(before: str, text: str) -> str:
    """Superscript text as it follows other text: behind a figure, another one is an exponent."""
    return f"^{text}" if before[-1:].isdecimal() and _EXPONENT.match(text) else text


def heading(level: int, text: str) -> Iterator[Piece]:
    """A title; a long one is a paragraph."""
    title = one_line(text)
    if len(title) > _PART_BYTES // 4:
        yield from paragraph(title)
    elif title:
        level = min(max(level, 1), _MOST_LEVEL)
        yield Piece(BlockKind.HEADING, f"{'#' * level} {title}", level, title)


def paragraph(text: str, kind: BlockKind = BlockKind.TEXT) -> Iterator[Piece]:
    """Running text, its line ends kept."""
    for number, (part, glue) in enumerate(_parts(clean(text).strip("\n").rstrip())):
        yield Piece(kind, part, glue=glue if number else None, continued=number > 0)


def item(depth: int, text: str, marker: str = "-") -> Iterator[Piece]:
    """One point of a list."""
    indent = "  " * min(depth, _MOST_DEPTH)
    lines = clean(text).strip().split("\n")
    hanging = f"\n{indent}{' ' * (len(marker) + 1)}"
    for piece in paragraph(f"{indent}{marker} {hanging.join(lines)}", BlockKind.LIST) if any(lines) else ():
        yield piece if piece.continued else replace(piece, glue="\n")


def table(rows: Iterable[Sequence[str]], *, width: int = 0, headers: int = 1) -> Iterator[Piece]:
    """A table whose first rows are its header. Short rows are filled up to `width`, blank ones left out."""
    source = (row for row in rows if any(map(str.strip, row)))
    head = list(itertools.islice(source, headers))
    if not head:
        return
    width = max(width, *map(len, head))
    first, *others = [_row(row, width) for row in head]
    lead = "\n".join([first, f"| {' | '.join(['---'] * width)} |", *others])
    lines, size, begun = [lead], len(lead), False
    for row in source:
        line = _row(row, width)
        size += len(line.encode()) + 1
        if size > _PART_BYTES:
            yield _table_part(lines, lead, begun=begun)
            lines, size, begun = [], len(line), True
        lines.append(line)
    yield _table_part(lines, lead, begun=begun)


def filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of one length, without the columns that are blank in all of them."""
    used = sorted({at for row in rows for at, cell in enumerate(row) if cell.strip()})
    return [[row[at] if at < len(row) else "" for at in used] for row in rows]


def code(text: str, language: str = "") -> Iterator[Piece]:
    """Text in a fence that no line of it can close."""
    text = clean(text).strip("\n").rstrip()
    if not text:
        return
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in _TICKS.findall(text))])
    lead = f"{fence}{language}"
    parts = _line_parts([lead, *text.split("\n"), fence])
    for number, part in enumerate(parts):
        yield Piece(BlockKind.CODE, part, lead=lead, glue="\n" if number else None, continued=number > 0)


def running(pieces: Iterable[Piece]) -> Iterator[Page]:
    """Pages of a document that has none of its own: as long as printed ones, cut before a block."""
    return _pages(pieces, PAGE_CHARS, MOST_PAGE_CHARS, flowing=True)


def given(pieces: Iterable[Piece], page_bytes: int) -> Iterator[Page]:
    """A page for each NEW_PAGE: a slide, a sheet. One with more text goes on on the next page."""
    return _pages(pieces, page_bytes, page_bytes, flowing=False)


@dataclass(slots=True)
class _Sheet:
    """The page that is being filled."""

    parts: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    chars: int = 0
    size: int = 0
    pictures: bool = False
    cut: bool = False

    @property
    def blank(self) -> bool:
        return not (self.blocks or self.pictures or self.cut)

    def has_room_for(self, piece: Piece, soft: int, hard: int) -> bool:
        if not self.blocks:
            return True
        full = self.chars >= soft and self.blocks[-1].kind is not BlockKind.HEADING
        return not full and self.size + len(piece.text.encode()) + 2 <= hard

    def take(self, piece: Piece) -> None:
        if piece is PICTURE:
            self.pictures = True
        elif piece is CUT:
            self.cut = True
        elif piece.text.strip():
            self._add(piece)

    def _add(self, piece: Piece) -> None:
        joins = piece.glue is not None and bool(self.blocks) and self.blocks[-1].kind is piece.kind
        glue = (piece.glue or "") if joins else "\n\n" if self.blocks else ""
        start, end = self.chars + len(glue), self.chars + len(glue) + len(piece.text)
        self.parts += (glue, piece.text)
        self.chars, self.size = end, self.size + len(glue) + len(piece.text.encode())
        if joins:
            self.blocks[-1] = replace(self.blocks[-1], end=end)
        else:
            block = Block(piece.kind, start, end, piece.level, piece.title, piece.lead, piece.continued)
            self.blocks.append(block)

    def page(self, number: int) -> Page:
        page = Page(number, "".join(self.parts), tuple(self.blocks))
        page = page.marked(Mark.CUT) if self.cut else page
        return page.marked(Mark.WITHOUT_TEXT) if self.pictures and not self.blocks else page


def _pages(pieces: Iterable[Piece], soft: int, hard: int, *, flowing: bool) -> Iterator[Page]:
    number, sheet, length = 1, None, 1
    for piece in pieces:
        full = sheet is not None and not sheet.has_room_for(piece, length * soft, length * hard)
        if sheet is not None and (piece is NEW_PAGE or full) and not (flowing and sheet.blank):
            yield sheet.page(number)
            number, sheet = number + 1, None
            length = 1 + number // _PAGES_OF_A_LENGTH if flowing else 1
        sheet = sheet or _Sheet()
        sheet.take(piece)
    if sheet is not None and not (flowing and sheet.blank):
        yield sheet.page(number)


def _table_part(lines: Sequence[str], lead: str, *, begun: bool) -> Piece:
    return Piece(BlockKind.TABLE, "\n".join(lines), lead=lead, glue="\n" if begun else None, continued=begun)


def _row(cells: Sequence[str], width: int) -> str:
    filled = [one_line(cell).translate(_ESCAPED) for cell in cells]
    return f"| {' | '.join([*filled, *[''] * (width - len(filled))])} |"


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Stretches of a long text and what joins each to the one before it."""
    at, glue, most = 0, "", _PART_BYTES // 2
    while len(text) - at > most:
        line_end = text.rfind("\n", at + most // 2, at + most)
        white = line_end if line_end > 0 else text.rfind(" ", at + most // 2, at + most)
        end = white if white > 0 else at + most
        yield text[at:end], glue
        glue = text[end] if white > 0 else ""
        at = end + len(glue)
    if at < len(text):
        yield text[at:], glue


def _line_parts(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for line in lines:
        for piece, _ in _parts(line) if line else [("", "")]:
            if size + len(piece.encode()) > _PART_BYTES and held:
                yield "\n".join(held)
                held, size = [], 0
            held.append(piece)
            size += len(piece.encode()) + 1
    yield "\n".join(held)
