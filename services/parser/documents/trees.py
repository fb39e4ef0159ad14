"""XML by expat, event by event: no tree is built, so depth and size cost nothing.

Expat fetches no external entity unless it is told to, and gives up when entities expand without bounds
(since 2.4.1). Both are held by tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html.entities import html5
from typing import Protocol
from xml.parsers import expat

from services.parser.documents import decoding, flow, text, web
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import Piece
from services.parser.pages import Mark, Page

_ASIDE = frozenset(("script", "style"))
_TITLES = frozenset(("title", "head", "heading"))
# Attributes that tell a program how to show or check an element.
_MUTE = frozenset(("class", "style", "space", "lang", "schemaLocation", "noNamespaceSchemaLocation", "nil"))
# Feeds hold web pages as text.
_MARKUP = re.compile(r"</?(?:p|br|div|a|ul|ol|li|table|h[1-6]|em|strong|b|i|img)\b[^<>]*>", re.IGNORECASE)
# More is a paragraph, which needs no name.
_MOST_VALUE_CHARS = 200


class Handler(Protocol):
    """Takes a document's events. Names are as they stand, with their prefixes."""

    def begin(self, name: str, attributes: dict[str, str], /) -> None: ...
    def end(self, name: str, /) -> None: ...
    def text(self, data: str, /) -> None: ...
    def taken(self) -> list[Piece]: ...


def pieces(content: Iterable[bytes], handler: Handler, encoding: str | None = None) -> Iterator[Piece]:
    """What a handler makes of a document. Raises Refused: FILE_IS_BROKEN, DOCUMENT_TOO_LARGE."""
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler = handler.begin
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    # Of a document type that stands elsewhere; it is not fetched, but the names are known.
    parser.SkippedEntityHandler = lambda name, _: handler.text(html5.get(f"{name};", " "))
    try:
        for piece in content:
            parser.Parse(piece)
            yield from handler.taken()
        parser.Parse(b"", True)
        yield from handler.taken()
    except expat.ExpatError as error:
        raise _refused(error) from None


def read(document: Document) -> Iterator[Page]:
    """Pages of any XML.

    What is not well-formed is read as the text that it is.

    Raises:
        Refused: DOCUMENT_TOO_LARGE, TEXT_UNDECODABLE.
    """
    decoded = decoding.decode(document.content(), _declared(document.head(256)))
    document.encoding = decoded.encoding
    whole = decoded.text.encode(errors="replace")
    try:
        expat.ParserCreate("utf-8").Parse(whole, True)
    except expat.ExpatError as error:
        if _refused(error).reason == "DOCUMENT_TOO_LARGE":
            raise _refused(error) from None
        return (page.marked(Mark.PLAIN) for page in text.read(document))
    return flow.running(pieces([whole], _Any(), "utf-8"))


@dataclass(slots=True)
class _Element:
    """An open element.

    Attributes:
        name: Its local name.
        values: Its attributes, as they are shown.
        text: Its own text so far, with that of elements inside the text.
        mixed: It has text of its own.
        titled: A title of it has been said.
        leaf: The last element inside it, when that held text alone: perhaps the first words of its own text.
    """

    name: str
    values: str = ""
    text: str = ""
    mixed: bool = False
    titled: bool = False
    leaf: _Element | None = None


class _Any:
    """Says an element's text on a line with its name, a long one as a paragraph, a title as a heading."""

    def __init__(self) -> None:
        self._open = [_Element("")]
        self._inline = 0
        self._out: list[Piece] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        around = self._open[-1]
        if around.mixed:
            self._inline += 1
            return
        self._say_leaf(around)
        if around.values:
            self._say(around.name + around.values, joined=False)
            around.values = ""
        values = ((_local(key), value) for key, value in attributes.items() if not key.startswith("xmlns"))
        shown = ", ".join(f"{key}: {value}" for key, value in values if key not in _MUTE)
        self._open.append(_Element(_local(name), f" ({shown})" if shown else ""))

    def end(self, name: str) -> None:
        if self._inline:
            self._inline -= 1
            return
        element = self._open.pop()
        self._say_leaf(element)
        if element.mixed or element.values:
            self._open[-1].leaf = element
        if len(self._open) == 1:
            self._say_leaf(self._open[0])

    def text(self, data: str) -> None:
        element = self._open[-1]
        if element.name.lower() in _ASIDE:
            return
        if element.leaf is not None and data.strip():
            element.text, element.leaf = element.leaf.text, None
        element.text += data
        element.mixed = element.mixed or bool(data.strip())

    def taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def _say_leaf(self, around: _Element) -> None:
        leaf, around.leaf = around.leaf, None
        if leaf is None:
            return
        if leaf.name.lower() in _TITLES and leaf.mixed:
            level = sum(each.titled for each in self._open) + 1 - around.titled
            around.titled = True
            self._out += flow.heading(level, leaf.text)
        elif _MARKUP.search(leaf.text):
            self._out += web.pieces(leaf.text)
        elif len(leaf.text) > _MOST_VALUE_CHARS:
            self._out += flow.paragraph(leaf.text)
        else:
            self._say(f"{leaf.name}{leaf.values}: {flow.one_line(leaf.text)}".rstrip(": "), joined=True)

    def _say(self, line: str, *, joined: bool) -> None:
        self._out += (replace(piece, glue="\n") if joined else piece for piece in flow.paragraph(line))


def _declared(head: bytes) -> str:
    _, found, rest = head.partition(b"encoding=")
    return rest[1:41].partition(rest[:1])[0].decode("ascii", "replace") if found else ""


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refused(error: expat.ExpatError) -> Refused:
    bombed = "amplification" in expat.ErrorString(error.code)
    return Refused("DOCUMENT_TOO_LARGE" if bombed else "FILE_IS_BROKEN")
