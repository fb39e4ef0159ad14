"""OpenDocument texts, sheets and slides → pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.parser.documents import flow, trees
from services.parser.documents.archives import Archive
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import NEW_PAGE, PICTURE, Piece
from services.parser.pages import BlockKind, Page

_CONTENT, _STYLES, _MANIFEST = "content.xml", "styles.xml", "META-INF/manifest.xml"
# Charts and sheets inside a text.
_EMBEDDED = re.compile(r"(?:\./)?Object \d+/content\.xml")
_PARAGRAPHS = frozenset(("text:p", "text:h"))
# Deleted text, and what only tells a program how to compute or show.
_UNSEEN = frozenset(
    (
        "text:tracked-changes", "office:scripts", "office:font-face-decls", "office:automatic-styles",
        "office:styles", "office:event-listeners", "text:variable-decls", "text:sequence-decls",
        "text:user-field-decls", "text:note-citation", "text:ruby-text", "office:forms", "dc:date",
        "table:content-validations", "table:tracked-changes", "office:binary-data", "style:style",
        "meta:creator-initials",
    )
)  # fmt: skip
_EDGES = ("style:header", "style:footer")
_TITLE_LEVEL = 2
_MOST_REPEATS, _MOST_SPACES = 200, 100


def read(document: Document) -> Iterator[Page]:
    """Raises Refused: FILE_IS_PROTECTED, FILE_IS_BROKEN, DOCUMENT_TOO_LARGE."""
    archive = Archive(document.content())
    if _MANIFEST in archive.names and b"encryption-data" in archive.read(_MANIFEST):
        raise Refused("FILE_IS_PROTECTED")
    if _CONTENT not in archive.names:
        raise Refused("FILE_IS_BROKEN")
    kind = archive.read("mimetype") if "mimetype" in archive.names else b""
    if b".text" in kind:
        return flow.running(_texts(archive))
    return flow.given(_pieces(archive), document.limits.page_text_bytes)


def _texts(archive: Archive) -> Iterator[Piece]:
    yield from _pieces(archive)
    if _STYLES in archive.names:
        yield from trees.pieces(archive.pieces(_STYLES), _RunningText())


def _pieces(archive: Archive) -> Iterator[Piece]:
    yield from trees.pieces(archive.pieces(_CONTENT), _Body())
    for name in sorted(filter(_EMBEDDED.fullmatch, archive.names)):
        yield from trees.pieces(archive.pieces(name), _Body())


@dataclass(slots=True)
class _Table:
    headers: int = 0
    in_header: bool = False
    row: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] = field(default_factory=list)
    blanks: int = 0


class _Body:
    """Collects the pieces of content.xml."""

    def __init__(self) -> None:
        self._out: list[Piece] = []
        self._later: list[Piece] = []
        self._texts: list[list[str]] = []
        self._levels: list[int] = []
        self._tables: list[_Table] = []
        self._lists = self._unseen = 0
        self._notes: list[tuple[str, list[str]]] = []
        self._repeats: list[int] = []
        self._marker = self._sheets = self._titles = self._noted = False

    def taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def text(self, data: str) -> None:
        if self._texts and not self._unseen:
            self._texts[-1].append(data)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if self._unseen or name in _UNSEEN:
            self._unseen += 1
        elif name in _PARAGRAPHS or name in ("svg:desc", "dc:creator"):
            self._texts.append([])
            self._levels.append(_number(attributes, "text:outline-level", 1) if name == "text:h" else 0)
        elif name.startswith("text:"):
            self._begin_text(name, attributes)
        elif name.startswith("table:"):
            self._begin_table(name, attributes)
        elif name == "office:annotation":
            self._notes.append(("Comment", []))
        else:
            self._begin_drawing(name, attributes)

    def end(self, name: str) -> None:
        if self._unseen:
            self._unseen -= 1
        elif name in _PARAGRAPHS or name in ("svg:desc", "dc:creator"):
            self._say("".join(self._texts.pop()), self._levels.pop())
        elif name == "text:list":
            self._lists -= 1
        elif name in ("text:note", "office:annotation"):
            self._end_note()
        elif name.startswith("table:"):
            self._end_table(name)
        elif name in ("draw:frame", "presentation:notes"):
            self._titles = self._noted = False
        elif name == "office:body":
            self._out += self._later

    def _begin_text(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "text:s":
                self.text(" " * min(_number(attributes, "text:c", 1), _MOST_SPACES))
            case "text:tab":
                self.text("\t")
            case "text:line-break":
                self.text("\n")
            case "text:list":
                self._lists += 1
            case "text:list-item":
                self._marker = True
            case "text:note":
                label = f"[^{len(self._later) + len(self._notes) + 1}]"
                self.text(label)
                self._notes.append((label, []))

    def _begin_drawing(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "office:spreadsheet":
                self._sheets = True
            case "draw:page":
                self._out.append(NEW_PAGE)
            case "draw:image":
                self._out.append(PICTURE)
            case "draw:frame":
                self._titles = attributes.get("presentation:class") == "title"
            case "presentation:notes":
                self._noted = True

    def _begin_table(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "table:table":
                if self._sheets and not self._tables:
                    self._out += (NEW_PAGE, *flow.heading(_TITLE_LEVEL, attributes.get("table:name", "")))
                self._tables.append(_Table())
            case "table:table-header-rows" if self._tables:
                self._tables[-1].in_header = True
            case "table:table-row" if self._tables:
                self._tables[-1].row, self._tables[-1].blanks = [], 0
                self._repeats.append(_number(attributes, "table:number-rows-repeated", 1))
            case "table:table-cell" | "table:covered-table-cell" if self._tables:
                self._tables[-1].cell = []
                self._repeats.append(_number(attributes, "table:number-columns-repeated", 1))

    def _end_table(self, name: str) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        match name:
            case "table:table-cell" | "table:covered-table-cell":
                self._end_cell(table, " ".join(table.cell), self._repeats.pop())
            case "table:table-row":
                repeats = self._repeats.pop()
                table.headers += table.in_header
                if table.row:
                    table.rows += [table.row] * min(repeats, _MOST_REPEATS)
            case "table:table-header-rows":
                table.in_header = False
            case "table:table":
                self._tables.pop()
                pieces = flow.table(flow.filled(table.rows), headers=max(table.headers, 1))
                if self._tables:
                    self._tables[-1].cell += (cell for row in table.rows for cell in row if cell)
                else:
                    self._out += pieces

    @staticmethod
    def _end_cell(table: _Table, text: str, repeats: int) -> None:
        if not text.strip():
            table.blanks += repeats
            return
        table.row += [""] * min(table.blanks, _MOST_REPEATS)
        table.row += [text] * min(repeats, _MOST_REPEATS)
        table.blanks = 0

    def _end_note(self) -> None:
        label, parts = self._notes.pop()
        self._later += flow.paragraph(f"{label}: {' '.join(parts)}" if parts else "")

    def _say(self, text: str, level: int) -> None:
        if self._notes:
            self._notes[-1][1].append(text)
        elif self._tables:
            self._tables[-1].cell.append(text)
        elif self._texts:
            self._texts[-1].append(f" {text} ")  # a text box inside a paragraph
        elif level or self._titles:
            self._out += flow.heading(level or _TITLE_LEVEL, text)
        elif self._lists:
            self._out += self._item(text)
        else:
            self._out += flow.paragraph(f"Note: {text}" if self._noted and text.strip() else text)

    def _item(self, text: str) -> Iterator[Piece]:
        marker, self._marker = self._marker, False
        yield from flow.item(self._lists - 1, text, "-" if marker else " ")


class _RunningText(_Body):
    """Headers and footers of styles.xml: in no chunk."""

    def __init__(self) -> None:
        super().__init__()
        self._edges = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self._edges += name in _EDGES
        super().begin(name, attributes)

    def end(self, name: str) -> None:
        super().end(name)
        self._edges -= name in _EDGES

    def _say(self, text: str, level: int) -> None:
        if self._edges:
            self._out += flow.paragraph(text, BlockKind.OMITTED)


def _number(attributes: dict[str, str], name: str, default: int) -> int:
    value = attributes.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 9 else default
