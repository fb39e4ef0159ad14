"""PDF → pages. Imported in the child alone."""

from __future__ import annotations

from collections.abc import Iterator

from services.parser.documents.document import Document
from services.parser.documents.pdf import outline
from services.parser.documents.pdf.annotations import attached
from services.parser.documents.pdf.characters import open_pdf
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.page import PageReader
from services.parser.pages import Mark, Page


def count(document: Document) -> int:
    """Pages. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    return len(open_pdf(document.mapped()))


def read(document: Document) -> Iterator[Page]:
    """The pages, in order. Heading levels are the whole document's, so all is read before the first comes."""
    pdf = open_pdf(document.mapped())
    document.left_out += attached(pdf)
    reader = PageReader(pdf, document.limits.page_text_bytes)
    layout = Layout(outline.read(pdf))
    marks: dict[int, Mark] = {}
    for number in range(1, len(pdf) + 1):
        content = reader.read(number)
        layout.add_page(content.lines, content.tags)
        document.left_out += content.files
        if content.mark:
            marks[number] = content.mark
    for page in layout.render():
        yield page.marked(marks[page.page]) if page.page in marks else page
