"""PDFium's characters of a page → words with size, weight and place. Imported in the child alone."""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from services.parser.documents.document import Refused
from services.parser.documents.pdf.letters import RIGHT_TO_LEFT, SOFT_HYPHEN, UTF_16, cleaned
from services.parser.documents.pdf.lines import Word
from services.parser.documents.pdf.meaning import without_meaning

# PDFium writes U+FFFE where a hyphen ends a line, and then no line break.
_HYPHEN_AT_END = "\ufffe"
_HYPHEN_IN_LIST = 0x02
_LINE = re.compile("[^\n\f\r\u2028\u2029\ufffe]+")
_TOKEN = re.compile("[^\t \xa0\u2000-\u200a\u3000]+")
_DIGITS = re.compile("[0-9](?=[0-9])")
_RAISED = 0.2  # em that an exponent stands above its base
_UNCLEAN = re.compile(r"[^\t\n\f\r -~]")
# TeX's older fonts have an accent as a sign of its own, drawn over the letter that follows it.
_ACCENTS = {
    "`": "\u0300", "\xb4": "\u0301", "\u02c6": "\u0302", "\u02dc": "\u0303", "\xaf": "\u0304",
    "\u02d8": "\u0306", "\u02d9": "\u0307", "\xa8": "\u0308", "\u02da": "\u030a", "\u02dd": "\u030b",
    "\u02c7": "\u030c",
}  # fmt: skip
_ACCENTED = re.compile(f"([{''.join(_ACCENTS)}])([A-Za-z\u0131\u0237])")
_DOTTED = {"\u0131": "i", "\u0237": "j"}
_FARTHEST = 1e6  # points; what stands farther off stands nowhere
_STRAIGHT_DEGREES = 10  # a scan lies a little askew
_EXACT = 0.002  # of a direction's cosine or sine
_QUARTERS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))

# The binding's own function makes a pointer object for each answer, at twice the cost.
_object_at = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(pdfium.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
)


class _Run(NamedTuple):
    """What the characters of one text object have in common.

    Attributes:
        turn: Degrees against the clock that the text runs in; a multiple of 90 where it is nearly that.
        across: Cosine of the direction that its words are measured in.
        upward: Its sine.
        baseline: Points along the other axis; None where it changes from word to word.
        mcid: See Word.
    """

    turn: int
    across: float
    upward: float
    baseline: float | None
    size: float
    bold: bool
    mcid: int


def open_pdf(content: Any) -> Any:
    """Opens a document, bytes or a ctypes array. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        protected = code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
        raise Refused("PDF_IS_PROTECTED" if protected else "PDF_IS_BROKEN") from error


class Characters:
    """The characters of a loaded page, up to a number of them.

    Attributes:
        cut: The page has more.
        meaningless: Much of it is letters that only its fonts know; their words are left out.
        text: One character for each of PDFium's, which are UTF-16 units.
        turns: The directions that words run in, once the lines have been read.
        added: Lines of words of added text objects, once the other lines have been read.
    """

    def __init__(
        self,
        textpage: Any,
        most: int,
        *,
        tagged: bool = False,
        added: Container[int | None] = (),
        hidden: Container[int | None] = (),
    ) -> None:
        """`added` and `hidden` have addresses of text objects: not the page's own, and not to be read."""
        self._raw = textpage.raw
        self._tagged, self._added, self._hidden = tagged, added, hidden
        self.added: list[list[Word]] = []
        total = textpage.count_chars()
        self.cut = total > most
        self.text = _units(self._raw, min(total, most))
        self._unmapped = without_meaning(self._raw, self.text)
        self.meaningless = bool(self._unmapped)
        self.turns: set[int] = set()
        self._is_clean = not _UNCLEAN.search(self.text)
        self.has_right_to_left = not self._is_clean and bool(RIGHT_TO_LEFT.search(self.text))
        self._rect, self._matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._name = ctypes.create_string_buffer(128)
        self._address = ctypes.cast(self._raw, ctypes.c_void_p).value
        self._key: int | None = -1
        self._run = _Run(0, 1.0, 0.0, 0.0, 0.0, False, -1)

    def lines(self) -> Iterator[list[Word]]:
        """Lines as PDFium finds them; the words' places count along their own direction."""
        text, tokens, word_at = self.text, _TOKEN.finditer, self._word
        for line in _LINE.finditer(text):
            spans = [token.span() for token in tokens(text, *line.span())]
            if self._added or self._hidden:
                spans = self._own(spans)
            words = [word for start, end in spans if (word := word_at(start, end))]
            if words and text.startswith(_HYPHEN_AT_END, line.end()):
                words[-1] = words[-1]._replace(text=f"{words[-1].text}-")
            if words:
                yield words

    def _own(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """A line's words without those that are hidden, and the added ones, which are kept."""
        keys = [_object_at(self._address, start) for start, _ in spans]
        added = [self._word(*span) for span, key in zip(spans, keys, strict=True) if key in self._added]
        if words := [word for word in added if word]:
            self.added.append(words)
        taken = (self._added, self._hidden)
        return [s for s, key in zip(spans, keys, strict=True) if not any(key in each for each in taken)]

    def _word(self, start: int, end: int) -> Word | None:
        text = self.text[start:end]
        if self._unmapped and not self._is_readable(text, start):
            return None
        if _DIGITS.search(text):
            text = self._with_powers(text, start)
        if not self._is_clean and not (text := self._cleaned(text, start)):
            return None
        if (key := _object_at(self._address, start)) != self._key:
            self._key, self._run = key, self._run_at(start, key)
            self.turns.add(self._run.turn)
        turn, across, upward, baseline, size, bold, mcid = self._run
        left, right = self._turned_extent(start, end - 1) if turn else self._level_extent(start, end - 1)
        if not -_FARTHEST < left <= right < _FARTHEST:
            left = right = left if -_FARTHEST < left < _FARTHEST else 0.0
        if baseline is None:
            baseline = self._baseline(start, across, upward)
        return Word(text, left, right, baseline, size, bold, turn, mcid)

    def _is_readable(self, token: str, start: int) -> bool:
        """Whether a word beside letters without meaning has one: a mark alone may be such a letter."""
        return self._unmapped.isdisjoint(range(start, start + len(token))) and any(map(str.isalnum, token))

    def _with_powers(self, token: str, start: int) -> str:
        """10 with a raised 6 as "10^6": as "106" it is another number."""
        if _object_at(self._address, start) == _object_at(self._address, start + len(token) - 1):
            return token
        return _DIGITS.sub(
            lambda digit: f"{digit[0]}^" if self._is_raised(start + digit.end()) else digit[0], token
        )

    def _is_raised(self, index: int) -> bool:
        """Whether a character is smaller than the one before it, and stands higher."""
        below, above = (_object_at(self._address, at) for at in (index - 1, index))
        if below == above:
            return False
        base, power = self._run_at(index - 1, below), self._run_at(index, above)
        if base.turn != power.turn or base.baseline is None or power.baseline is None:
            return False
        return power.size < base.size and power.baseline - base.baseline > _RAISED * base.size

    def _cleaned(self, token: str, start: int) -> str:
        if token.isascii() and token.isprintable():
            return token
        if SOFT_HYPHEN in token:  # a hyphen that has a width is seen
            token = "".join(
                unit for at, unit in enumerate(token, start) if unit != SOFT_HYPHEN or self._is_wide(at)
            )
        elif _ACCENTED.search(token):
            token = _ACCENTED.sub(lambda found: self._accented(found, start), token)
        return cleaned(token)

    def _accented(self, found: re.Match[str], start: int) -> str:
        """The letter with its accent, where the two stand over each other: else the sign is an apostrophe."""
        accent, letter = found.groups()
        whole = unicodedata.normalize("NFC", _DOTTED.get(letter, letter) + _ACCENTS[accent])
        (left, right), (begin, _) = (
            self._level_extent(at, at) for at in (start + found.start(), start + found.end() - 1)
        )
        return whole if len(whole) == 1 and begin < (left + right) / 2 else found[0]

    def _level_extent(self, first: int, last: int) -> tuple[float, float]:
        rect = self._rect
        pdfium.FPDFText_GetLooseCharBox(self._raw, first, rect)
        left, right = rect.left, rect.right
        if last > first:
            pdfium.FPDFText_GetLooseCharBox(self._raw, last, rect)
            right = rect.right
            if self.has_right_to_left:  # then the word may begin at its right end
                return min(left, rect.left), max(left, right)
        return left, right

    def _turned_extent(self, first: int, last: int) -> tuple[float, float]:
        """Where a word begins and ends along its run."""
        across, upward = self._run.across, self._run.upward
        if self._run.turn % 90:  # then a character's box is wider than it is
            return self._along(first), self._along(last) + self._run.size / 2
        rect, ends = self._rect, []
        for index in (first, last):
            pdfium.FPDFText_GetLooseCharBox(self._raw, index, rect)
            ends += [rect.left * across + rect.bottom * upward, rect.right * across + rect.top * upward]
        return min(ends), max(ends)

    def _along(self, index: int) -> float:
        pdfium.FPDFText_GetCharOrigin(self._raw, index, self._x, self._y)
        return float(self._x.value * self._run.across + self._y.value * self._run.upward)

    def _is_wide(self, index: int) -> bool:
        rect = self._rect
        pdfium.FPDFText_GetLooseCharBox(self._raw, index, rect)
        return bool(rect.right > rect.left and rect.top > rect.bottom)

    def _run_at(self, index: int, key: int | None) -> _Run:
        """Reads what the run shares. Many producers set size 1 and scale by the text matrix."""
        size = pdfium.FPDFText_GetFontSize(self._raw, index)
        matrix = self._matrix
        turn, across, upward, exact = 0, 1.0, 0.0, True
        if pdfium.FPDFText_GetMatrix(self._raw, index, matrix):
            size *= math.hypot(matrix.c, matrix.d) or 1.0
            if matrix.b or matrix.a < 0:
                turn, across, upward, exact = _direction(matrix.a, matrix.b)
        baseline = self._baseline(index, across, upward) if exact else None
        size = round(size * 2) / 2 if 0 <= size < _FARTHEST else 0.0
        return _Run(turn, across, upward, baseline, size, self._is_bold(index), self._mcid(key))

    def _baseline(self, index: int, across: float, upward: float) -> float:
        pdfium.FPDFText_GetCharOrigin(self._raw, index, self._x, self._y)
        baseline = self._y.value * across - self._x.value * upward
        return baseline if -_FARTHEST < baseline < _FARTHEST else 0.0

    def _is_bold(self, index: int) -> bool:
        """By the font's name: the weight that PDFium guesses from stems is right too rarely."""
        pdfium.FPDFText_GetFontInfo(self._raw, index, self._name, 128, None)
        lowered = self._name.value.lower()
        return b"bold" in lowered or b"black" in lowered or b"heavy" in lowered

    def _mcid(self, key: int | None) -> int:
        if not (self._tagged and key):
            return -1
        return int(pdfium.FPDFPageObj_GetMarkedContentID(ctypes.cast(key, pdfium.FPDF_PAGEOBJECT)))


def _units(raw: Any, count: int) -> str:
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(raw, 0, count, buffer) - 1
    if written < count:  # it leaves out what it could not map, and then the places differ
        for index in range(count):
            code = pdfium.FPDFText_GetUnicode(raw, index)
            hyphen = code == _HYPHEN_IN_LIST and pdfium.FPDFText_IsHyphen(raw, index) == 1
            buffer[index] = ord(_HYPHEN_AT_END) if hyphen else code
    text = bytes(buffer)[: 2 * count].decode(UTF_16, "surrogatepass")
    return text if len(text) == count else "".join(map(chr, buffer[:count]))


def _direction(a: float, b: float) -> tuple[int, float, float, bool]:
    """Degrees, cosine and sine of the way that text runs, and whether words share a baseline along it."""
    length = math.hypot(a, b)
    if not 0 < length < _FARTHEST:
        return 0, 1.0, 0.0, True
    across, upward = a / length, b / length
    degrees = round(math.degrees(math.atan2(upward, across))) % 360
    quarter = round(degrees / 90) % 4
    if abs((degrees - 90 * quarter + 180) % 360 - 180) > _STRAIGHT_DEGREES:
        return degrees, across, upward, False
    nearest = _QUARTERS[quarter]
    off = max(abs(across - nearest[0]), abs(upward - nearest[1]))
    return 90 * quarter, *nearest, off < _EXACT
