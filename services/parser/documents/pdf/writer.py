"""A page under construction: blocks of Markdown one after the other, with their offsets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.parser.documents.pdf.lines import Line
from services.parser.pages import Block, BlockKind, Mark, Page

_BETWEEN = "\n\n"
_DEEPEST = 6
_LOOKS_LIKE_MARKDOWN = re.compile(r"^(?=#{1,6}(?:\s|$)|```|~~~)", re.MULTILINE)
# What CommonMark takes for the end of a heading, and drops.
_CLOSING_HASHES = re.compile(r"(?<=\s)(?=#+\s*$)")


class Writer:
    """Takes a page's blocks in order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._end = -len(_BETWEEN)

    def heading(self, title: str, level: int) -> None:
        """`title` is plain text."""
        level = min(level, _DEEPEST)
        inert = _CLOSING_HASHES.sub(r"\\", escaped(title))
        self._add(BlockKind.HEADING, f"{'#' * level} {inert}", level=level, title=title)

    def text(self, text: str) -> None:
        """A paragraph of plain text."""
        self._add(BlockKind.TEXT, escaped(text))

    def item(self, text: str) -> None:
        """One item of a list, with its marker; items that follow each other are one block."""
        self._add(BlockKind.LIST, text)
        if len(self._blocks) > 1 and self._blocks[-2].kind is BlockKind.LIST:
            item = self._blocks.pop()
            first = self._blocks.pop()
            self._blocks.append(Block(BlockKind.LIST, first.start, item.end))

    def omitted(self, text: str) -> None:
        """What stands in the page and in no chunk."""
        self._add(BlockKind.OMITTED, escaped(text))

    def table(self, head: str, rows: Iterable[str], *, continued: bool = False) -> None:
        """Rows of Markdown; the head of a continued table stands on an earlier page, so it is lead alone."""
        lines = (*rows,) if continued else (head, *rows)
        self._add(BlockKind.TABLE, "\n".join(lines), lead=head, continued=continued)

    def page(self, number: int) -> Page:
        """The page, written."""
        return Page(number, _BETWEEN.join(self._parts), tuple(self._blocks))

    def _add(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int = 0,
        title: str = "",
        lead: str = "",
        continued: bool = False,
    ) -> None:
        start = self._end + len(_BETWEEN)
        self._end = start + len(text)
        self._parts.append(text)
        self._blocks.append(Block(kind, start, self._end, level, title, lead, continued))


def plain(lines: Iterable[Line], number: int) -> Page:
    """A page as its text alone, line by line."""
    text = escaped("\n".join(line.text for line in lines))
    blocks = (Block(BlockKind.TEXT, 0, len(text)),) if text else ()
    return Page(number, text, blocks, (Mark.PLAIN,))


def escaped(text: str) -> str:
    """Plain text that no Markdown parser takes for a heading or a fence."""
    return _LOOKS_LIKE_MARKDOWN.sub(r"\\", text)
