"""PDFium's characters → lines with size, weight and place. Imported in the child alone."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from services.parser.documents.document import Refused
from services.parser.documents.limits import Limits
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line, Word
from services.parser.pages import Block, BlockKind, Mark, Page

_SPACES = frozenset((0x09, 0x20, 0xA0, 0x3000, *range(0x2000, 0x200B)))
_NEWLINES = frozenset((0x0A, 0x0C, 0x0D, 0x2028, 0x2029))
# PDFium writes these two where a hyphen ends a line, and then no line break.
_HYPHEN_MARKS = frozenset((0x02, 0xFFFE))
_LIGATURES = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
_DROPPED = frozenset((0xAD, 0x200B, 0xFEFF, 0xFFFF, *range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)))


def open_pdf(content: Any) -> Any:
    """Opens a document, bytes or a ctypes array. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        protected = code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
        raise Refused("PDF_IS_PROTECTED" if protected else "PDF_IS_BROKEN") from error


def pages(pdf: Any, limits: Limits) -> Iterator[Page]:
    """Each page as Markdown, in order. Heading levels are the whole document's, so all is read first."""
    layout = Layout()
    cut_pages: set[int] = set()
    for index in range(len(pdf)):
        lines, cut = _page_lines(pdf, index, limits.page_text_bytes)
        layout.add_page(lines)
        if cut:
            cut_pages.add(index + 1)
    for number, markdown in enumerate(layout.render(), start=1):
        blocks = (Block(BlockKind.TEXT, 0, len(markdown)),) if markdown else ()
        yield Page(number, markdown, blocks, (Mark.CUT,) if number in cut_pages else ())


def _page_lines(pdf: Any, index: int, most_chars: int) -> tuple[list[Line], bool]:
    """A page's lines; a page that PDFium cannot load has none."""
    try:
        page = pdf[index]
    except pypdfium2.PdfiumError:
        return [], False
    try:
        text = page.get_textpage()
        total = text.count_chars()
        return list(_lines(text.raw, min(total, most_chars))), total > most_chars
    except pypdfium2.PdfiumError:
        return [], False
    finally:
        page.close()


def _lines(raw: Any, count: int) -> Iterator[Line]:
    words: list[Word] = []
    start = 0
    codes = [pdfium.FPDFText_GetUnicode(raw, index) for index in range(count)]
    for index, code in enumerate((*codes, 0x0A)):
        ends_line = code in _NEWLINES or code in _HYPHEN_MARKS
        if not ends_line and code not in _SPACES:
            continue
        if index > start and (word := _word(raw, codes, start, index)):
            words.append(word._replace(text=f"{word.text}-") if code in _HYPHEN_MARKS else word)
        start = index + 1
        if ends_line and words:
            yield Line(words)
            words = []


def _word(raw: Any, codes: list[int], start: int, end: int) -> Word | None:
    text = "".join(
        _LIGATURES.get(code) or chr(code)
        for code in codes[start:end]
        if code not in _DROPPED and code < 0x110000
    )
    if not text:
        return None
    x, y = ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetCharOrigin(raw, start, x, y)
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    pdfium.FPDFText_GetCharBox(raw, end - 1, left, right, bottom, top)
    return Word(text, x.value, max(x.value, right.value), y.value, _size(raw, start), _is_bold(raw, start))


def _size(raw: Any, index: int) -> float:
    """Points as seen on the page: many producers set size 1 and scale by the text matrix."""
    size = float(pdfium.FPDFText_GetFontSize(raw, index))
    matrix = pdfium.FS_MATRIX()
    if pdfium.FPDFText_GetMatrix(raw, index, matrix):
        size *= math.hypot(matrix.c, matrix.d) or 1.0
    return round(size * 2) / 2 if math.isfinite(size) else 0.0


def _is_bold(raw: Any, index: int) -> bool:
    """By the font's name: the weight that PDFium guesses from stems is right too rarely."""
    name = ctypes.create_string_buffer(128)
    pdfium.FPDFText_GetFontInfo(raw, index, name, len(name), ctypes.c_int())
    lowered = name.value.lower()
    return b"bold" in lowered or b"black" in lowered or b"heavy" in lowered
