"""The part of a chunk that answers best, and where the question's words stand in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.storage import languages, words
from services.storage.ranking import Weighed

MOST_CHARS = 320
_ENDS = (". ", "! ", "? ", "。", "！", "？", "\n")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A window of a chunk's text.

    Attributes:
        text: At most MOST_CHARS of it.
        start: Where it begins in the chunk's text, in characters.
        marks: Start and end, exclusive, of each word of the question, in characters of `text`.
    """

    text: str
    start: int
    marks: Sequence[tuple[int, int]]


def excerpt(text: str, asked: Sequence[Weighed]) -> Excerpt:
    """The window with most of the question; the beginning where it has none."""
    found = list(_found(text, {term: one for one in asked for term in one.terms}))
    first = max(range(len(found)), key=lambda place: _worth(found, place), default=None)
    start = _beginning(text, found[first]) if first is not None and len(text) > MOST_CHARS else 0
    end = _end(text, start + MOST_CHARS)
    marks = [(left - start, right - start) for left, right, _ in found if start <= left and right <= end]
    return Excerpt(text[start:end], start, marks)


Found = tuple[int, int, Weighed]


def _found(text: str, wanted: Mapping[str, Weighed]) -> Iterator[Found]:
    spoken = {term[1:].partition(":")[0] for term in wanted if term.startswith("~")}
    for start, end, forms in words.spans(text):
        terms = [term for form in forms for term in _terms(form, spoken)]
        if hit := next((wanted[term] for term in terms if term in wanted), None):
            yield start, end, hit


def _terms(form: words.Form, spoken: set[str]) -> Iterator[str]:
    yield form.word
    if form.folded:
        yield form.folded
    for language in spoken if form.script == languages.LATIN else spoken & {form.script}:
        yield languages.stem(language, form.word)


def _worth(found: Sequence[Found], first: int) -> float:
    """What the window that begins with this one says: each word of the question once."""
    last = found[first][0] + MOST_CHARS
    within = itertools.takewhile(lambda one: one[1] <= last, itertools.islice(found, first, None))
    return sum({word.word: word.most for _, _, word in within}.values())


def _beginning(text: str, first: Found) -> int:
    """A sentence's beginning a little before the first word, or a word's."""
    least = max(0, min(first[0] - MOST_CHARS // 4, len(text) - MOST_CHARS))
    ends = [place + len(end) for end in _ENDS if (place := text.rfind(end, least, first[0])) >= 0]
    if ends or not least:
        return max(ends, default=0)
    return text.find(" ", least, first[0]) + 1 or least


def _end(text: str, most: int) -> int:
    if most >= len(text):
        return len(text)
    return max(text.rfind(" ", most - MOST_CHARS // 4, most), 0) or most
