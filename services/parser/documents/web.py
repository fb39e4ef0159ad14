"""HTML → pieces, tag by tag: no tree is built, so depth costs nothing and unclosed tags end nothing."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.parser.documents import decoding, flow
from services.parser.documents.decoding import Decoded
from services.parser.documents.document import Document
from services.parser.documents.flow import PICTURE, Piece
from services.parser.pages import BlockKind, Page

_FEED_CHARS = 1 << 16
_UNSEEN = frozenset(("script", "style", "template", "noscript", "iframe", "object", "datalist"))
# What ends a paragraph before and after it.
_BLOCKS = frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog",
        "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr",
        "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "search", "section", "summary",
        "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "title", "tr", "ul",
        "h1", "h2", "h3", "h4", "h5", "h6",
    )
)  # fmt: skip
# What stands apart from the words around it, in one line with them.
_APART = frozenset(("button", "select", "text"))
# What has no end.
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
# What needs no end before another element.
_ENDED_BY = {
    "li": ("li",), "option": ("option",), "dt": ("dt", "dd"), "dd": ("dt", "dd"),
    "td": ("td", "th"), "th": ("td", "th"), "tr": ("td", "th", "tr"),
    "tbody": ("td", "th", "tr", "thead", "tbody"), "tfoot": ("td", "th", "tr", "thead", "tbody"),
}  # fmt: skip
_NOT_DISPLAYED = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.IGNORECASE)
_HEADING = re.compile(r"h([1-6])")
_WHITE = re.compile(r"[ \t\r\n\f]+")
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight)-([\w+#-]+)")
_MOST_DEPTH = 8
# Elements that are told apart inside one that is not displayed.
_MOST_HIDDEN = 200
_MOST_SPAN = 100
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
# As far as browsers look for it, and a little more.
_CHARSET_BYTES = 4096
# A cell with more is no figure of a table but a column of a page.
_MOST_CELL_CHARS = 2_000


@dataclass(slots=True)
class _Cell:
    pieces: list[Piece] = field(default_factory=list)
    span: int = 1
    rows: int = 1
    heads: bool = False


@dataclass(slots=True)
class _Table:
    rows: list[list[_Cell]] = field(default_factory=list)

    def pieces(self) -> Iterator[Piece]:
        """As a table, or one after the other where the table only lays out a page."""
        if self._is_data():
            yield from flow.table(self._grid())
        else:
            for row in self.rows:
                for cell in row:
                    yield from cell.pieces

    def _is_data(self) -> bool:
        cells = [cell for row in self.rows for cell in row]
        if any(piece.kind is BlockKind.TABLE for cell in cells for piece in cell.pieces):
            return False
        if any(cell.heads for cell in cells):
            return True
        texts = (cell for cell in cells if not cell.heads)
        inner = (BlockKind.HEADING, BlockKind.CODE)
        return (
            len(self.rows) > 1
            and max(map(len, self.rows)) > 1
            and not any(piece.kind in inner for cell in cells for piece in cell.pieces)
            and all(sum(len(piece.text) for piece in cell.pieces) < _MOST_CELL_CHARS for cell in texts)
        )

    def _grid(self) -> list[list[str]]:
        below: dict[int, int] = {}
        lines = []
        for row in self.rows:
            line: list[str] = []
            below = {at: left - 1 for at, left in below.items() if left > 0}
            for cell in row:
                while below.get(len(line), 0) > 0:
                    line.append("")
                below |= {len(line) + at: cell.rows for at in range(cell.span) if cell.rows > 1}
                text = " ".join(piece.title or piece.text for piece in cell.pieces)
                line += [text, *[""] * (cell.span - 1)]
            lines.append(line)
        return flow.filled(lines)


class _Walker(html.parser.HTMLParser):
    """Collects pieces; `taken` hands them out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[Piece] = []
        self._text: list[str] = []
        self._tables: list[_Table] = []
        self._lists: list[int] = []
        self._unseen = self._navigation = self._pre = 0
        self._level, self._in_title = 0, False
        self._hidden: list[str] = []
        self._edited, self._raised = 0, False
        self._title = self._said = self._language = self._marker = ""

    def taken(self) -> list[Piece]:
        """Pieces found since the last call."""
        out, self._out = self._out, []
        return out

    def finish(self) -> None:
        """Nothing more comes."""
        self.close()
        self._flush()
        while self._tables:
            self._end_table()
        self._say_title()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._is_hidden(tag, attrs):
            return
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "br":
            self._text.append("\n")
        elif tag in _APART:
            self._text.append(" ")
        elif tag == "sup":
            self._raised = True
        elif tag in ("del", "ins"):
            self._text += [" "] if self._edited == len(self._text) else []
        elif tag == "img":
            self._picture(dict(attrs))
        elif tag in _BLOCKS:
            self._flush()
            self._begin(tag, {name: value or "" for name, value in attrs})

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in _UNSEEN or tag in _BLOCKS or self._hidden:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and self._ends_hidden(tag):
            return
        if tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        elif tag in _APART:
            self._text.append(" ")
        elif tag == "sup":
            self._raised = False
        elif tag in ("del", "ins"):
            self._edited = len(self._text)
        elif tag in _BLOCKS:
            self._flush()
            self._end(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen and not self._hidden:
            raised, self._raised = self._raised, False
            data = flow.raised(self._text[-1], data) if raised and self._text else data
            self._text.append(data if self._pre else _WHITE.sub(" ", data))

    def _is_hidden(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """Whether an element is not displayed, or is inside one that is not."""
        ended = (*_ENDED_BY.get(tag, ()), *(["p"] if tag in _BLOCKS else []))
        while self._hidden and self._hidden[-1] in ended:
            self._hidden.pop()
        attributes = dict(attrs)
        hides = attributes.get("hidden", "until-found") != "until-found"
        hides = hides or bool(_NOT_DISPLAYED.search(attributes.get("style") or ""))
        if not self._hidden and (not hides or self._unseen or tag in ("html", "body")):
            return False
        if not self._hidden and tag in _BLOCKS:
            self._flush()
        if tag not in _VOID and len(self._hidden) < _MOST_HIDDEN:
            self._hidden.append(tag)
        return True

    def _ends_hidden(self, tag: str) -> bool:
        """Whether an end belongs to what is hidden; that of an element around it ends the hiding."""
        if tag not in self._hidden:
            # An end of a paragraph that a block inside it ended already is none of an element around.
            stays = tag not in _BLOCKS or (tag == "p" and not _BLOCKS.isdisjoint(self._hidden))
            self._hidden = self._hidden if stays else []
            return stays
        last = len(self._hidden) - 1 - self._hidden[::-1].index(tag)
        self._hidden = self._hidden[:last]
        return True

    def parse_html_declaration(self, i: int) -> int:
        """Of `<![CDATA[...]]>` the text, of `<![if ...]>` nothing. The library asserts that this is all."""
        if not self.rawdata.startswith("<![", i):
            return super().parse_html_declaration(i)
        is_data = self.rawdata.startswith("<![CDATA[", i)
        ending = "]]>" if is_data else ">"
        end = self.rawdata.find(ending, i)
        if end < 0:
            return -1
        if is_data:
            self.handle_data(self.rawdata[i + len("<![CDATA[") : end])
        return end + len(ending)

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if match := _HEADING.fullmatch(tag):
            self._level = int(match[1])
        elif tag == "title":
            self._in_title = True
        elif tag in ("ul", "ol"):
            start = attributes.get("start", "")
            self._lists.append(
                int(start) if tag == "ol" and start.isdecimal() and len(start) < 9 else tag == "ol"
            )
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "pre":
            self._pre += 1
            self._language = _found(_LANGUAGE, attributes.get("class", ""))
        elif tag == "nav":
            self._navigation += 1
        elif tag == "table":
            self._tables.append(_Table())
        elif self._tables and tag == "tr":
            self._tables[-1].rows.append([])
        elif self._tables and tag in ("td", "th"):
            self._begin_cell(tag, attributes)

    def _end(self, tag: str) -> None:
        if _HEADING.fullmatch(tag):
            self._level = 0
        elif tag == "title":
            self._in_title = False
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._marker = ""
        elif tag == "pre":
            self._pre = max(self._pre - 1, 0)
        elif tag == "nav":
            self._navigation = max(self._navigation - 1, 0)
        elif tag == "table" and self._tables:
            self._end_table()

    def _begin_cell(self, tag: str, attributes: dict[str, str]) -> None:
        rows = self._tables[-1].rows
        if not rows:
            rows.append([])
        span, high = (_number(attributes.get(name, "")) for name in ("colspan", "rowspan"))
        rows[-1].append(_Cell(span=span, rows=high, heads=tag == "th"))

    def _end_table(self) -> None:
        table = self._tables.pop()
        self._emit(table.pieces())

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text, self._edited, self._raised = [], 0, False
        if not text.strip():
            return
        if self._in_title and not self._title:
            self._title = flow.one_line(text)
            return
        if not self._navigation:
            self._say_title(text)
        if self._level != 1 or flow.one_line(text) != self._said:
            self._emit(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[Piece]:
        depth = min(max(len(self._lists) - 1, 0), _MOST_DEPTH)
        marker, self._marker = self._marker, ""
        if self._pre:
            yield from flow.code(text, self._language)
            return
        lines = "\n".join(_WHITE.sub(" ", line).strip() for line in text.split("\n")).strip()
        if self._navigation:
            yield from flow.paragraph(lines, BlockKind.OMITTED)
        elif self._level:
            yield from flow.heading(self._level, lines)
        elif marker:
            yield from flow.item(depth, lines, marker)
        else:
            yield from flow.paragraph(lines)

    def _say_title(self, first: str = "") -> None:
        """The title stands first, unless the page's first words say the same; it is said once."""
        title, self._title = self._title, ""
        if title and not (first and flow.one_line(first) in title):
            self._said = title
            self._emit(flow.heading(1, title))

    def _emit(self, pieces: Iterator[Piece]) -> None:
        rows = self._tables[-1].rows if self._tables else []
        (rows[-1][-1].pieces if rows and rows[-1] else self._out).extend(pieces)

    def _next_marker(self) -> str:
        if not self._lists or not self._lists[-1]:
            return "-"
        number = self._lists[-1]
        self._lists[-1] += 1
        return f"{number}."

    def _picture(self, attributes: dict[str, str | None]) -> None:
        self._out.append(PICTURE)
        self._text.append(f" {attributes.get('alt') or ''} ")


def read(document: Document) -> Iterator[Page]:
    """Pages of a web page. Raises Refused TEXT_UNDECODABLE."""
    decoded = decode(document.content())
    document.encoding = decoded.encoding
    return flow.running(pieces(decoded.text))


def decode(content: bytes) -> Decoded:
    """A page's text, by the encoding that it declares itself."""
    found = _CHARSET.search(content[:_CHARSET_BYTES])
    return decoding.decode(content, found[1].decode() if found else "")


def pieces(text: str) -> Iterator[Piece]:
    """What a browser would show of a page, without what only leads to other pages."""
    walker = _Walker()
    for at in range(0, len(text), _FEED_CHARS):
        walker.feed(text[at : at + _FEED_CHARS])
        yield from walker.taken()
    walker.finish()
    yield from walker.taken()


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _number(text: str) -> int:
    return min(max(int(text), 1), _MOST_SPAN) if text.isdecimal() and len(text) < 9 else 1
