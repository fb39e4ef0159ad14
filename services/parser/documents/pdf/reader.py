"""PDF → pages. Imported in the child alone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from services.parser.documents.document import Document
from services.parser.documents.pdf import direction, outline, tags
from services.parser.documents.pdf.characters import Characters, open_pdf
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line, Word
from services.parser.documents.pdf.tags import Tag
from services.parser.pages import Mark, Page


def count(document: Document) -> int:
    """Pages. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    return len(open_pdf(document.mapped()))


def read(document: Document) -> Iterator[Page]:
    """The pages, in order. Heading levels are the whole document's, so all is read before the first comes."""
    pdf = open_pdf(document.mapped())
    pages = _Pages(pdf, document.limits.page_text_bytes)
    layout = Layout(outline.read(pdf))
    marks: dict[int, Mark] = {}
    for number in range(1, len(pdf) + 1):
        lines, mark = pages.read(number)
        layout.add_page(lines, pages.tags)
        if mark:
            marks[number] = mark
    for page in layout.render():
        yield page.marked(marks[page.page]) if page.page in marks else page


class _Pages:
    """Reads the lines of one page after the other."""

    def __init__(self, pdf: Any, most_chars: int) -> None:
        self._pdf = pdf
        self._most_chars = most_chars
        self._tagged = bool(pdfium.FPDFCatalog_IsTagged(pdf.raw))
        self.tags: dict[int, Tag] = {}

    def read(self, number: int) -> tuple[list[Line], Mark | None]:
        """A page's lines, and what is to be known of them."""
        self.tags = {}
        try:
            page = self._pdf[number - 1]
        except pypdfium2.PdfiumError:
            return [], Mark.FAILED
        try:
            return self._lines(page)
        except pypdfium2.PdfiumError:
            return [], Mark.FAILED
        finally:
            page.close()

    def _lines(self, page: Any) -> tuple[list[Line], Mark | None]:
        if self._tagged:
            self.tags = tags.headings(page)
        characters, words = self._words(page)
        turn = direction.main_turn(words) if characters.turns - {0} else 0
        if words and turn % 90 == 0 and turn != page.get_rotation():
            # PDFium takes lines in order when it sees them as a viewer would who turned the page.
            page.set_rotation(turn)
            characters, words = self._words(page)
        if characters.turns - {0}:
            width, height = page.get_size()
            right, up = width * (turn in (180, 270)), height * (turn in (90, 180))
            lines = direction.upright(words, turn, right, up)
        else:
            lines = list(map(Line, words))
        if characters.has_right_to_left:
            lines = direction.logical(lines)
        if characters.cut:
            return lines, Mark.CUT
        blank = not (lines or characters.text.strip() or _shows_something(page))
        return lines, None if lines or blank else Mark.WITHOUT_TEXT

    def _words(self, page: Any) -> tuple[Characters, list[list[Word]]]:
        textpage = page.get_textpage()
        try:
            characters = Characters(textpage, self._most_chars, tagged=self._tagged)
            return characters, list(characters.lines())
        finally:
            textpage.close()


def _shows_something(page: Any) -> bool:
    """Whether a page without text is not blank: it has an image, or a drawing that is not white."""
    count = pdfium.FPDFPage_CountObjects(page.raw)
    return any(_is_seen(pdfium.FPDFPage_GetObject(page.raw, index)) for index in range(count))


def _is_seen(item: Any) -> bool:
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind != pdfium.FPDF_PAGEOBJ_PATH:
        return bool(kind != pdfium.FPDF_PAGEOBJ_TEXT)
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not pdfium.FPDFPath_GetDrawMode(item, fill, stroke):
        return False
    red, green, blue, alpha = colour = [ctypes.c_uint() for _ in range(4)]
    known = pdfium.FPDFPageObj_GetFillColor(item, red, green, blue, alpha)
    white = known and (alpha.value == 0 or all(part.value == 255 for part in colour[:3]))
    return bool(stroke.value or (fill.value and not white))
