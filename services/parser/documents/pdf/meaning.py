"""Characters that only a font knows: it shows letters, and does not say which.

For such a character PDFium gives its number in the font. That may be text all the same, as where an old
program numbers letters by ASCII. Else the numbers of the space, of digits and of marks are mostly controls,
and no text has so many.
"""

from __future__ import annotations

import re
from typing import Any

import pypdfium2.raw as pdfium

_CONTROL = re.compile("[\x01-\x08\x0b\x0e-\x1f]")
_BLANK = re.compile("[\0\t\n\f\r \xa0]")
# Notes of music stand alone, and the words around them can be read.
_WORD = re.compile("[^\0\t\n\f\r \xa0\u2000-\u200a\u2028\u2029\u3000\ufffe]{4,}")
_LEAST_CONTROLS = 0.1
_LEAST_IN_WORDS, _LEAST = 1 / 3, 2 / 3


def without_meaning(textpage: Any, text: str) -> frozenset[int]:
    """Places of the characters of a page that say nothing, where they are so many that the page says little.

    Of 2,088 PDFs 28 have such pages, and nobody can read what is found on them, but for one page of notes.

    Args:
        textpage: PDFium's, raw.
        text: A character for each of its own.
    """
    controls = [found.start() for found in _CONTROL.finditer(text)]
    shown = len(text) - len(_BLANK.findall(text))
    if len(controls) <= _LEAST_CONTROLS * _LEAST_IN_WORDS * shown:
        return frozenset()
    unmapped = frozenset(at for at in range(len(text)) if _is_unmapped(textpage, at))
    if sum(at in unmapped for at in controls) < _LEAST_CONTROLS * len(unmapped):
        return frozenset()
    in_words = sum(at in unmapped for word in _WORD.finditer(text) for at in range(*word.span()))
    return unmapped if in_words > _LEAST_IN_WORDS * shown or len(unmapped) > _LEAST * shown else frozenset()


def _is_unmapped(textpage: Any, at: int) -> bool:
    return bool(pdfium.FPDFText_HasUnicodeMapError(textpage, at) == 1)
