"""A page without text → lines of the words that text recognition finds on it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from itertools import groupby
from statistics import median, multimode
from typing import Any, NamedTuple

from services.parser.documents.pdf.letters import cleaned
from services.parser.documents.pdf.lines import Line, Word

_DOTS_PER_POINT = 300 / 72
_MOST_DOTS = 12_000_000
# Of 100: for a word, and for most words of a page. Below are the letters that it sees in a photograph.
_LEAST_CONFIDENCE, _USUAL_CONFIDENCE = 30.0, 60.0
_WORD = "5"
_SIZE_OF_HEIGHT = 0.75
_LETTER = 0.5  # em

Recognise = Callable[[Callable[[], bytes]], str]


class _Found(NamedTuple):
    """A word in dots of the image, from its upper left corner."""

    line: tuple[str, ...]
    text: str
    left: float
    right: float
    bottom: float
    height: float
    confidence: float


def recognised(page: Any, recognise: Recognise, like: Sequence[Line]) -> list[Line]:
    """Lines of a loaded page, none where nothing is recognised.

    Letters have one size, for what could be told of theirs is a guess: that of the page before, lest its
    text be a heading beside them.
    """
    width, height = page.get_size()
    scale = min(_DOTS_PER_POINT, (_MOST_DOTS / max(width * height, 1.0)) ** 0.5)
    found = _words(recognise(lambda: _drawn(page, scale)))
    if not found or median(word.confidence for word in found) < _USUAL_CONFIDENCE:
        return []
    size = multimode(line.size for line in like)[0] if like else _guessed_size(found, scale)
    lines = [[*group] for _, group in groupby(found, key=lambda word: word.line)]
    upright = sum(line[0].left <= line[-1].left for line in lines) * 2 >= len(lines)
    placed = _placed if upright else _listed
    return [Line(placed(line, number, size, scale, height)) for number, line in enumerate(lines)]


def _guessed_size(found: Sequence[_Found], scale: float) -> float:
    height = median(word.height for word in found) / scale
    return max(round(height * _SIZE_OF_HEIGHT * 2) / 2, 1.0)


def _placed(line: list[_Found], _: int, size: float, scale: float, height: float) -> list[Word]:
    baseline = height - median(word.bottom for word in line) / scale
    return [Word(word.text, word.left / scale, word.right / scale, baseline, size) for word in line]


def _listed(line: list[_Found], number: int, size: float, _: float, height: float) -> list[Word]:
    """Of an image that lies on its side, places say nothing; the order does."""
    words, left = [], 0.0
    for word in line:
        right = left + _LETTER * size * len(word.text)
        words.append(Word(word.text, left, right, height - 1.2 * size * (number + 1), size))
        left = right + _LETTER * size
    return words


def _words(table: str) -> list[_Found]:
    rows = csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    found = []
    for row in rows:
        try:
            confidence = float(row["conf"])
            if row["level"] != _WORD or confidence < _LEAST_CONFIDENCE:
                continue
            left, top, width, height = (float(row[name]) for name in ("left", "top", "width", "height"))
            line = (row["block_num"], row["par_num"], row["line_num"])
            text = cleaned(row["text"] or "").strip()
        except (KeyError, TypeError, ValueError):
            continue
        if text:
            found.append(_Found(line, text, left, left + width, top + height, height, confidence))
    return found


def _drawn(page: Any, scale: float) -> bytes:
    """The page as a grey image, in the simplest format that there is."""
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        rows, stride = bytes(bitmap.buffer), bitmap.stride
        if stride != bitmap.width:
            rows = b"".join(rows[at : at + bitmap.width] for at in range(0, stride * bitmap.height, stride))
        return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + rows
    finally:
        bitmap.close()
