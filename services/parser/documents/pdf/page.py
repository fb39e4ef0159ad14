"""One page of a PDF → its lines, as it is read, and what is to be known of them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from services.parser.documents.pdf import direction, layers, placing, tags
from services.parser.documents.pdf.annotations import Annotations, Box, annotations_of
from services.parser.documents.pdf.characters import Characters
from services.parser.documents.pdf.direction import Frame
from services.parser.documents.pdf.letters import cleaned
from services.parser.documents.pdf.lines import Line, Word
from services.parser.documents.pdf.scans import Recognise, recognised
from services.parser.documents.pdf.tags import Tag
from services.parser.pages import Mark

_BLANKS = re.compile(r"\s+")


class Content(NamedTuple):
    """What a page has to read.

    Attributes:
        lines: Upright, and from left to right.
        frame: How the page's own coordinates became those of the lines; not what mirrored them.
        tags: What the document's structure calls its headings, by marked content.
        mark: What is to be known of it.
        files: Names of files attached to it.
        empty: PDFium found nothing in it.
    """

    lines: list[Line]
    frame: Frame = Frame()
    tags: Mapping[int, Tag] = MappingProxyType({})
    mark: Mark | None = None
    files: tuple[str, ...] = ()
    empty: bool = False

    @property
    def blank(self) -> bool:
        """It shows nothing at all."""
        return not self.lines and self.mark is None


class PageReader:
    """Reads a document's pages one after the other.

    Args:
        pdf: Open.
        most_chars: Of a page.
        layered: The document has layers that are off, and marked.
        recognise: Finds words in an image (see `Scribe`); None where nothing does.
    """

    def __init__(
        self, pdf: Any, most_chars: int, *, layered: bool = False, recognise: Recognise | None = None
    ) -> None:
        if pdfium.FPDF_GetFormType(pdf.raw) != pdfium.FORMTYPE_NONE:
            pdf.init_forms()
        self._pdf = pdf
        self._form = pdf.formenv.raw if pdf.formenv else None
        self._most_chars = most_chars
        self._layered = layered
        self._recognise = recognise
        self._latest: list[Line] = []
        self._tagged = bool(pdfium.FPDFCatalog_IsTagged(pdf.raw))

    def read(self, number: int) -> Content:
        """A page, counted from 1."""
        try:
            page = self._pdf[number - 1]
            try:
                if not pdfium.FPDFPage_GetAnnotCount(page.raw):
                    return self._content(page)
                found, own_objects = annotations_of(page, self._form), pdfium.FPDFPage_CountObjects(page.raw)
                if found.appearing and pdfium.FPDFPage_Flatten(page.raw, 0) == pdfium.FLATTEN_SUCCESS:
                    page.close()  # only a page that is loaded again shows what became part of it
                    page = self._pdf[number - 1]
                    return self._content(page, found, frozenset(_text_objects(page, own_objects)))
                return self._content(page, found)
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            return Content([], mark=Mark.FAILED)

    def _content(
        self, page: Any, found: Annotations | None = None, added: frozenset[int | None] = frozenset()
    ) -> Content:
        characters, words = self._words(page, added)
        turn = direction.main_turn(words) if characters.turns - {0} else 0
        if not words:
            turn = page.get_rotation()
        elif turn % 90 == 0 and turn != page.get_rotation():
            # PDFium takes lines in order when it sees them as a viewer would who turned the page.
            page.set_rotation(turn)
            characters, words = self._words(page, added)
        frame = Frame.of(turn, *page.get_size())
        turned = turn or characters.turns - {0}
        lines = direction.upright(words, frame) if turned else [Line(line) for line in words]
        if turn % 90 == 0:
            lines = list(_within(lines, _turned(_seen_box(page), frame)))
        if found:
            lines = _with_annotations(lines, direction.upright(characters.added, frame), found, frame)
        if characters.has_right_to_left and lines:
            lines = direction.logical(lines)
        mark = _mark(page, characters, lines)
        if mark is None and lines:
            self._latest = lines
        if mark is Mark.WITHOUT_TEXT and (seen := self._recognised(page)):
            lines, mark = seen, Mark.RECOGNISED
        headings = tags.headings(page) if self._tagged else {}
        empty = not (lines or mark or pdfium.FPDFPage_CountObjects(page.raw))
        return Content(lines, frame, headings, mark, tuple(found.files) if found else (), empty)

    def _recognised(self, page: Any) -> list[Line]:
        return recognised(page, self._recognise, like=self._latest) if self._recognise else []

    def _words(self, page: Any, added: frozenset[int | None]) -> tuple[Characters, list[list[Word]]]:
        hidden = frozenset(layers.hidden_texts(page) if self._layered else ())
        textpage = page.get_textpage()
        try:
            characters = Characters(
                textpage, self._most_chars, tagged=self._tagged, added=added, hidden=hidden
            )
            return characters, list(characters.lines())
        finally:
            textpage.close()


def _text_objects(page: Any, first: int) -> Iterator[int | None]:
    """Addresses of the text objects among those that a page has from the first on."""
    for index in range(first, pdfium.FPDFPage_CountObjects(page.raw)):
        yield from _texts_of(pdfium.FPDFPage_GetObject(page.raw, index))


def _texts_of(item: Any) -> Iterator[int | None]:
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind == pdfium.FPDF_PAGEOBJ_TEXT:
        yield ctypes.cast(item, ctypes.c_void_p).value
    elif kind == pdfium.FPDF_PAGEOBJ_FORM:
        for index in range(pdfium.FPDFFormObj_CountObjects(item)):
            yield from _texts_of(pdfium.FPDFFormObj_GetObject(item, index))


def _with_annotations(
    lines: list[Line], appearing: list[Line], found: Annotations, frame: Frame
) -> list[Line]:
    shown = _squeezed(line.text for line in (*lines, *appearing))
    values = [*found.values, *(note for note in found.notes if _squeezed([cleaned(note.text)]) not in shown)]
    added = [line for value in values for line in placing.lines_of(value, _turned(value.box, frame))]
    lines = placing.placed(lines, [*appearing, *added])
    comments = [comment for comment in found.comments if _squeezed([cleaned(comment)]) not in shown]
    return lines + placing.comment_lines(comments, lines)


def _squeezed(texts: Iterable[str]) -> str:
    return _BLANKS.sub("", "".join(texts))


def _turned(box: Box, frame: Frame) -> Box:
    (left, bottom), (right, top) = frame.point(box.left, box.bottom), frame.point(box.right, box.top)
    return Box(min(left, right), min(bottom, top), max(left, right), max(bottom, top))


def _seen_box(page: Any) -> Box:
    """The part of a page that is shown: its crop box, as far as it is on the page."""
    rect = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page.raw, rect)
    return Box(rect.left, rect.bottom, rect.right, rect.top)


def _within(lines: Iterable[Line], box: Box) -> Iterator[Line]:
    """Lines without the words that lie outside a box; words that run another way stay."""
    for line in lines:
        if words := [word for word in line.words if word.turn or _touches(word, box)]:
            yield line if len(words) == len(line.words) else Line(words)


def _touches(word: Word, box: Box) -> bool:
    level = word.right >= box.left and word.left <= box.right
    return level and word.baseline + word.size >= box.bottom and word.baseline - word.size <= box.top


def _mark(page: Any, characters: Characters, lines: list[Line]) -> Mark | None:
    if characters.cut:
        return Mark.CUT
    if characters.meaningless:
        return Mark.WITHOUT_TEXT
    has_words = any(map(str.isalnum, (letter for line in lines for letter in line.text)))
    if has_words or not (characters.text.strip() or _shows_something(page)):
        return None
    return Mark.WITHOUT_TEXT


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
