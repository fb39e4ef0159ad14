"""PDF → pages. Imported in the child alone."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from services.parser.documents.document import Document
from services.parser.documents.pdf import outline
from services.parser.documents.pdf.annotations import attached
from services.parser.documents.pdf.characters import open_pdf
from services.parser.documents.pdf.damage import pages_with
from services.parser.documents.pdf.layers import with_hidden_marked
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.page import Content, PageReader
from services.parser.documents.pdf.streams import Streams, looked_over
from services.parser.pages import Mark, Page


def count(document: Document) -> int:
    """Pages. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    return len(open_pdf(document.mapped()))


def read(document: Document) -> Iterator[Page]:
    """The pages, in order. Heading levels are the whole document's, so all is read before the first comes."""
    seen = _looked_over(document)
    marked = with_hidden_marked(document.content()) if seen.has_layers else None
    pdf = open_pdf(marked or document.mapped())
    document.left_out += attached(pdf)
    damaged = pages_with(seen.damaged, document.content(), len(pdf)) if seen.damaged else frozenset[int]()
    reader = PageReader(pdf, document.limits.page_text_bytes, layered=marked is not None)
    layout = Layout(outline.read(pdf))
    marks: dict[int, Mark] = {}
    for number in range(1, len(pdf) + 1):
        content = reader.read(number)
        layout.add_page(content.lines, content.tags)
        document.left_out += content.files
        lost = number in damaged or (seen.has_damaged_objects and content.blank)
        if mark := _lost(content) if lost else content.mark:
            marks[number] = mark
    for page in layout.render():
        yield page.marked(marks[page.page]) if page.page in marks else page


def _looked_over(document: Document) -> Streams:
    with mmap.mmap(document.fd, document.size, access=mmap.ACCESS_READ) as content:
        return looked_over(content)


def _lost(content: Content) -> Mark:
    return Mark.CUT if content.lines else Mark.FAILED
