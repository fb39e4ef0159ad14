"""PDF → pages. Imported in the child alone."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from services.parser.documents.document import Document
from services.parser.documents.pdf import outline
from services.parser.documents.pdf.annotations import attached
from services.parser.documents.pdf.characters import open_pdf
from services.parser.documents.pdf.damage import lost_among, pages_with
from services.parser.documents.pdf.layers import with_hidden_marked
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.page import Content, PageReader
from services.parser.documents.pdf.streams import Streams, looked_over
from services.parser.pages import Mark, Page

_PAGES_AT_ONCE = 400


def count(document: Document) -> int:
    """Pages. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    return len(open_pdf(document.mapped()))


def read(document: Document) -> Iterator[Page]:
    """The pages, in order. Heading levels are the whole document's, so all is read before the first comes."""
    seen = _looked_over(document)
    marked = with_hidden_marked(document.content()) if seen.has_layers else None
    source = marked or document.mapped()
    with closing(open_pdf(source)) as pdf:
        count = len(pdf)
        document.left_out += attached(pdf)
        layout = Layout(outline.read(pdf))
    damaged = pages_with(seen.damaged, document.content(), count) if seen.damaged else frozenset[int]()
    marks: dict[int, Mark] = {}
    empty: set[int] = set()
    for number, content in enumerate(_contents(source, document, layered=marked is not None), start=1):
        layout.add_page(content.lines, content.tags)
        document.left_out += content.files
        lost = number in damaged or (seen.has_damaged_objects and content.blank)
        if mark := _lost(content) if lost else content.mark:
            marks[number] = mark
        elif content.empty:
            empty.add(number)
    if empty:
        marks |= dict.fromkeys(lost_among(frozenset(empty), document.content(), count), Mark.FAILED)
    for page in layout.render():
        yield page.marked(marks[page.page]) if page.page in marks else page
    document.failures += layout.failures


def _contents(source: Any, document: Document, *, layered: bool) -> Iterator[Content]:
    """What each page has. PDFium keeps what it has parsed until it closes a document."""
    recognise = document.scribe.recognise if document.scribe else None
    first, count = 1, 1
    while first <= count:
        with closing(open_pdf(source)) as pdf:
            count = len(pdf)
            pages = PageReader(pdf, document.limits.page_text_bytes, layered=layered, recognise=recognise)
            for number in range(first, min(first + _PAGES_AT_ONCE, count + 1)):
                yield pages.read(number)
        first += _PAGES_AT_ONCE


def _looked_over(document: Document) -> Streams:
    with mmap.mmap(document.fd, document.size, access=mmap.ACCESS_READ) as content:
        return looked_over(content)


def _lost(content: Content) -> Mark:
    return Mark.CUT if content.lines else Mark.FAILED
