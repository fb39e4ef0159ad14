"""Microsoft's formats → pages, by office-oxide's tree of a document. Imported in the child alone.

A slide and a sheet are a page. A text document's pages are as long as printed ones, because only a
layout engine knows its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import office_oxide

from services.parser.documents import flow, rewriting
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import CUT, NEW_PAGE, PICTURE, Piece
from services.parser.pages import BlockKind, Page

Node = Mapping[str, Any]
Kind = Literal["docx", "xlsx", "pptx", "doc", "xls", "ppt"]
_EDGES = (
    "first_page_header",
    "even_page_header",
    "header",
    "first_page_footer",
    "even_page_footer",
    "footer",
)
# Many programs put it where a description of a picture belongs.
_FILE_NAME = re.compile(r"\S*\.\w{3,4}")
# The engine stops at limits of its own and says so in a paragraph.
_NOTICE = re.compile(r"\[[^\[\]]{1,200} truncated[^\[\]]{0,200}\]")
# The engine shows a time without a date as the fraction of a day that the file holds.
_TIME = re.compile(r"\[?h{1,2}\]?:mm(?::ss)?(?: AM/PM)?", re.IGNORECASE)
# As many as a sheet may have.
_MOST_COLUMNS = 16_384


def read(kind: Kind, document: Document) -> Iterator[Page]:
    """Pages of a text document or of slides. Raises Refused."""
    tree = parsed(document.content(), kind, "to_ir")
    if kind in ("pptx", "ppt"):
        return flow.given(_slides(tree["sections"]), document.limits.page_text_bytes)
    return flow.running(_texts(tree["sections"]))


read_docx, read_doc = partial(read, "docx"), partial(read, "doc")
read_pptx, read_ppt = partial(read, "pptx"), partial(read, "ppt")


def parsed(content: bytes, kind: Kind, form: Literal["to_ir", "to_markdown"]) -> Any:
    """What the engine makes of a file.

    Raises:
        Refused: FILE_IS_PROTECTED, FILE_IS_BROKEN, DOCUMENT_TOO_LARGE.
    """
    try:
        return getattr(office_oxide.Document.from_bytes(rewriting.whole(content), kind), form)()
    except office_oxide.OfficeOxideError as error:
        said = str(error)
        if "thread" in said:
            raise RuntimeError("the sandbox lets the engine start no thread") from None
        if "password" in said or "encrypted" in said:
            raise Refused("FILE_IS_PROTECTED") from None
        raise Refused("DOCUMENT_TOO_LARGE" if "limit" in said else "FILE_IS_BROKEN") from None


def elements(nodes: Iterable[Node], depth: int = 0) -> Iterator[Piece]:
    """Pieces of the engine's elements, in order."""
    for node in nodes:
        match node.get("type"):
            case "heading":
                yield from flow.heading(node.get("level", 1), inline(node))
            case "paragraph":
                yield from _paragraph(node)
            case "list":
                yield from _list(node, depth)
            case "table":
                yield from _table(node["rows"])
            case "code_block":
                yield from flow.code(node.get("text") or inline(node))
            case "image":
                yield PICTURE
                alt = node.get("alt_text") or ""
                yield from flow.paragraph("" if _FILE_NAME.fullmatch(alt) else alt)
            case "footnote" | "endnote":
                yield from _note(node)
            case "page_break":
                yield NEW_PAGE
            case _:
                yield from elements(_content(node), depth)


def inline(node: Node) -> str:
    """The text of a paragraph."""
    text = ""
    for span in _content(node):
        part = _span(span)
        text += flow.raised(text, part) if span.get("vertical_align") == "superscript" else part
    return text


def flat(nodes: Iterable[Node]) -> str:
    """The text of elements on one line, as for a table's cell."""
    return " ".join(filter(None, map(_flat, nodes)))


def grid(rows: Sequence[Node]) -> list[list[str]]:
    """A table's cells in their columns. A merged cell's text stands once, in its first place."""
    taken: set[tuple[int, int]] = set()
    lines: list[list[str]] = []
    for y, row in enumerate(rows):
        line: dict[int, str] = {}
        x = 0
        for cell in row["cells"]:
            while (x, y) in taken:
                x += 1
            line[x] = _value(cell)
            wide, high = cell.get("col_span", 1), cell.get("row_span", 1)
            taken |= {(x + i, y + j) for i in range(min(wide, 64)) for j in range(1, min(high, len(rows)))}
            x += wide
        lines.append([line.get(at, "") for at in range(min(x, _MOST_COLUMNS))])
    return flow.filled(lines)


def _table(rows: Sequence[Node]) -> Iterator[Piece]:
    headers = next((y for y, row in enumerate(rows) if not row.get("is_header")), len(rows))
    lines = grid(rows)
    if any(_NOTICE.search(cell) for line in lines for cell in line):
        yield CUT
    yield from flow.table(lines, headers=max(headers, 1))


def _value(cell: Node) -> str:
    """What a cell shows; of a formula that no program has computed yet, the formula."""
    if "raw_number" in cell and _TIME.fullmatch(cell.get("number_format") or ""):
        seconds = round(cell["raw_number"] * 86_400)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    shown = flat(cell["content"])
    return shown or (f"={cell['formula']}" if cell.get("formula") else "")


def _texts(sections: Iterable[Node]) -> Iterator[Piece]:
    edges: set[str] = set()
    for section in sections:
        yield from elements(section["elements"])
        for name in _EDGES:
            edge = flat(_content(section.get(name) or {}))
            if edge and edge not in edges:
                edges.add(edge)
                yield from flow.paragraph(edge, BlockKind.OMITTED)


def _slides(sections: Iterable[Node]) -> Iterator[Piece]:
    for section in sections:
        yield NEW_PAGE
        yield from (piece for piece in elements(section["elements"]) if piece is not NEW_PAGE)
        notes = list(elements(section.get("speaker_notes") or ()))
        if notes:
            yield from flow.heading(3, "Notes")
            yield from notes


def _flat(node: Node) -> str:
    match node.get("type"):
        case "heading" | "paragraph":
            return flow.one_line(inline(node))
        case "table":
            return flat(cell for row in node["rows"] for cell in row["cells"])
        case "list":
            return " ".join(
                flat(entry for entry in (each, each.get("nested") or {})) for each in node["items"]
            )
        case _:
            return flat(node["items"]) if "items" in node else flat(_content(node))


def _paragraph(node: Node) -> Iterator[Piece]:
    text = inline(node)
    if _NOTICE.search(text):
        yield CUT
    if node.get("page_break_before"):
        yield NEW_PAGE
    yield from flow.paragraph(text)


def _list(node: Node, depth: int) -> Iterator[Piece]:
    for number, entry in enumerate(node["items"], start=node.get("start_number") or 1):
        marker = f"{number}." if node.get("ordered") else "-"
        first, *others = [*elements(_content(entry)), Piece(BlockKind.TEXT, "")]
        yield from flow.item(depth, first.text, marker)
        yield from others
        if nested := entry.get("nested"):
            yield from _list(nested, depth + 1)


def _note(node: Node) -> Iterator[Piece]:
    text = flat(_content(node))
    marker = node.get("marker") or ""
    label = f"{marker}:" if len(marker) > 2 else f"[^{_note_name(node['type'], node['id'])}]:"
    yield from flow.paragraph(f"{label} {text}" if text else "")


def _span(node: Node) -> str:
    match node.get("type"):
        case "text":
            return str(node["text"])
        case "line_break":
            return "\n"
        case "footnote_ref" | "endnote_ref":
            return f"[^{_note_name(node['type'], node['note_id'])}]"
        case _:
            return ""


def _note_name(kind: str, number: int) -> str:
    return f"{'e' if kind.startswith('end') else ''}{number}"


def _content(node: Node) -> Sequence[Node]:
    content = node.get("content") or ()
    return content if isinstance(content, list) else ()
