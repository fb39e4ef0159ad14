"""Workbooks → pages: a sheet is a page, its title the heading, its first row the table's header."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

from services.parser.documents import flow, office, ole
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import NEW_PAGE, Piece
from services.parser.pages import Page

# The engine's tree takes 3 KB a cell and ends at 10,000 rows a sheet. Its Markdown takes 0.2 KB and has all
# rows, but no formulas without a value.
_MOST_TREE_BYTES, _MOST_TREE_ROWS = 4_000_000, 10_000
_HEADING_LEVEL = 2
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_CELLS = re.compile(r"(?<!\\)((?:\\\\)*)\|")


def read(kind: Literal["xlsx", "xls"], document: Document) -> Iterator[Page]:
    """Raises Refused."""
    content = document.content()
    try:
        return _read(kind, content, document.limits.page_text_bytes)
    except Refused as refused:
        if kind != "xls" or refused.reason != "FILE_IS_PROTECTED":
            raise
    return _read(kind, ole.unlocked(content), document.limits.page_text_bytes)


read_xlsx, read_xls = partial(read, "xlsx"), partial(read, "xls")


def _read(kind: Literal["xlsx", "xls"], content: bytes, most_page_bytes: int) -> Iterator[Page]:
    if _size(content) <= _MOST_TREE_BYTES:
        sections = office.parsed(content, kind, "to_ir")["sections"]
        if not any(_is_cut(section) for section in sections):
            return flow.given(_of_tree(sections), most_page_bytes)
    lines = office.parsed(content, kind, "to_markdown").split("\n")
    return flow.given(_of_markdown(lines), most_page_bytes)


def _size(content: bytes) -> int:
    """Bytes of the sheets, unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(each.file_size for each in archive.infolist() if "/worksheets/" in each.filename)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return len(content)


def _is_cut(section: office.Node) -> bool:
    tables = (each for each in section["elements"] if each.get("type") == "table")
    return any(len(each["rows"]) >= _MOST_TREE_ROWS for each in tables)


def _of_tree(sections: Iterable[office.Node]) -> Iterator[Piece]:
    for section in sections:
        yield NEW_PAGE
        yield from flow.heading(_HEADING_LEVEL, section.get("title") or "")
        for node in section["elements"]:
            if node.get("type") == "table":
                yield from flow.table(office.grid(node["rows"]))
            else:
                yield from office.elements([node])


def _of_markdown(lines: Sequence[str]) -> Iterator[Piece]:
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if line.startswith("## "):
            yield NEW_PAGE
            yield from flow.heading(_HEADING_LEVEL, _plain(line[3:]))
        elif line.startswith("|"):
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            # The second line is the rule between the header and the rows.
            yield from flow.table(map(_cells, [line, *lines[at + 2 : end]]))
        else:
            yield from flow.paragraph(_plain(line))
        at = end


def _cells(line: str) -> list[str]:
    row = line.strip()[1:-1].replace("<br>", " ")
    if "\\" not in row:
        return row.split("|")
    parts = _CELLS.split(row)
    return [_plain(cell + slashes) for cell, slashes in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)
