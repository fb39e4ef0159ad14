"""The part of a chunk that answers best, and where the question's words stand in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
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
        share: Of the question's words, by rarity, that it has.
    """

    text: str
    start: int
    marks: Sequence[tuple[int, int]]
    share: float


Found = tuple[int, int, Weighed]


class Excerpter:
    """Finds the best window of one chunk after another, for one question."""

    def __init__(self, asked: Sequence[Weighed]) -> None:
        self._wanted = {term: one for one in asked for term in one.terms}
        self._spoken = {term[1:].partition(":")[0] for term in self._wanted if term.startswith("~")}
        self._most = sum(one.most for one in asked) or 1.0
        self._pairs = _any_of(term for term in self._wanted if words.is_unspaced(term))
        # A stem begins as its word does: most words need no stemming to be told apart.
        bare = (term.rpartition(":")[2] for term in self._wanted if not words.is_unspaced(term))
        self._beginnings = _any_of({words.flat(term)[:2] for term in bare})
        self._known: dict[str, Weighed | None] = {}

    def excerpt(self, text: str, flat: str) -> Excerpt:
        """The window of a text, given flat too, with most of the question; else the beginning."""
        found = list(self._found(text, flat))
        worth, first = max(((_worth(found, place), -place) for place in range(len(found))), default=(0.0, 1))
        start = _beginning(text, found[-first]) if first <= 0 and len(text) > MOST_CHARS else 0
        end = _end(text, start + MOST_CHARS)
        marks = [(left - start, right - start) for left, right, _ in found if start <= left and right <= end]
        return Excerpt(text[start:end], start, marks, worth / self._most)

    def _found(self, text: str, flat: str) -> Iterator[Found]:
        """The words of the question in a text, in order."""
        starts = [*self._beginnings.finditer(flat), *self._pairs.finditer(flat)]
        for start in sorted(match.start() for match in starts):
            # Within an identifier each part is a word; a pair of letters begins anywhere.
            end = words.end_of_word(text, start)
            token = text[start:end]
            if token not in self._known:
                self._known[token] = self._word_of(token)
            if word := self._known[token]:
                yield start, end, word

    def _word_of(self, token: str) -> Weighed | None:
        """The word of the question that a token is, in some form."""
        terms = (term for form in words.forms(token) for term in self._terms(form))
        return next((self._wanted[term] for term in terms if term in self._wanted), None)

    def _terms(self, form: words.Form) -> Iterator[str]:
        yield form.word
        if form.folded:
            yield form.folded
        for language in self._spoken if form.script == languages.LATIN else self._spoken & {form.script}:
            yield languages.stem(language, form.word)


def _any_of(beginnings: Iterable[str]) -> re.Pattern[str]:
    """Where a word, or a pair of letters of a script without spaces, begins as one of these."""
    some = sorted(set(beginnings) - {""})
    if not some:
        return re.compile("(?!)")
    spaced = not words.is_unspaced(some[0])
    either = "|".join(map(re.escape, some))
    return re.compile(rf"{words.NO_LETTER_BEFORE if spaced else ''}(?={either})")


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
