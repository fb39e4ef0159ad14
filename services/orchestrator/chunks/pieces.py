"""A block that is longer than a chunk, taken apart at the gentlest places that there are."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

from waybill import tokens

# A piece ends where these do. A space begins the next one, since the tokenizer counts it with its word.
_LINE = re.compile(r"\n")
# Full-width stops need no space behind them.
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？；｡][」』）”’\"]*")
_CLAUSE = re.compile(r"[,;:](?=\s)|[，、：]")
_WORD = re.compile(r"(?<=\S)(?=\s)")
_PROSE = (_SENTENCE, _LINE, _CLAUSE, _WORD)
_LINES = (_LINE, _SENTENCE, _CLAUSE, _WORD)
# What belongs to the character before it: marks, vowel signs of Thai and the like, joiners.
_MARKS = frozenset(("Mn", "Mc", "Me"))
_JOINING = frozenset("\u200d\ufe0e\ufe0f")


def pieces(text: str, start: int, end: int, kind: str, most_tokens: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) of each sentence of prose, or line of anything else, that [start, end) holds.

    One that has more than `most_tokens` is cut further: at clauses, words, and at last between characters.
    """
    return _cut(text, start, end, _PROSE if kind == "text" else _LINES, most_tokens)


def _cut(
    text: str, start: int, end: int, cuts: Sequence[re.Pattern[str]], most_tokens: int
) -> Iterator[tuple[int, int, int]]:
    if not cuts:
        yield from _halves(text, start, end, most_tokens)
        return
    borders = {match.end() for match in cuts[0].finditer(text, start, end)}
    edges = sorted({start, *borders, end})
    parts = list(itertools.pairwise(edges))
    counts = tokens.count([text[left:right] for left, right in parts])
    for (left, right), count in zip(parts, counts, strict=True):
        if count <= most_tokens:
            yield left, right, count
        else:
            yield from _cut(text, left, right, cuts[1:], most_tokens)


def _halves(text: str, start: int, end: int, most_tokens: int) -> Iterator[tuple[int, int, int]]:
    (count,) = tokens.count([text[start:end]])
    middle = (start + end) // 2
    while middle < end and (unicodedata.category(text[middle]) in _MARKS or text[middle] in _JOINING):
        middle += 1
    if count <= most_tokens or not start < middle < end:
        yield start, end, count
        return
    yield from _halves(text, start, middle, most_tokens)
    yield from _halves(text, middle, end, most_tokens)
