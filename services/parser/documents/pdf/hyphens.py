"""Lines → one text. A hyphen at a line's end goes where it only divides a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import reduce

PUNCTUATION = ".,;:()"
_HYPHENS = ("-", "\u2010")
_ADDRESS = re.compile(r"://|^www\.")
_SIGNS_OF_A_NAME = re.compile(r"[-/@._\\]")
# "pre- and post-war": the hyphen stands for a word that follows later.
_CONJUNCTIONS = frozenset(
    ["and", "or", "to", "und", "oder", "bis", "et", "ou", "y", "o", "e", "en", "of", "och"]
)


def flowing(lines: Sequence[str], known: frozenset[str]) -> str:
    """One text of lines. `known` holds the document's words: they tell its hyphens from divisions."""
    return reduce(lambda text, line: _join(text, line, known), lines)


def divides(word: str) -> bool:
    """Whether a line's last word may go on in the next line."""
    return word.endswith((*_HYPHENS, "_"))


def _join(text: str, following: str, known: frozenset[str]) -> str:
    head = text[text.rfind(" ") + 1 :]
    if not head.endswith(_HYPHENS):
        return text + _between(head, following, known) + following
    stem, tail = head[:-1], following.partition(" ")[0]
    if not stem[-1:].isalnum() or not tail[:1].isalnum():
        return f"{text} {following}"
    if _stays(stem, tail, known):
        return f"{text} {following}" if _is_suspended(stem, tail, known) else text + following
    return text[:-1] + following


def _stays(stem: str, tail: str, known: frozenset[str]) -> bool:
    start, end = stem.lower().lstrip(PUNCTUATION), tail.lower().rstrip(PUNCTUATION)
    if stem[-1].isdigit() or tail[0].isdigit() or _is_suspended(stem, tail, known):
        return True
    if len(start) == 1 or _SIGNS_OF_A_NAME.search(start) or "@" in end or "/" in end:
        return True
    if start + end in known:
        return False
    return not tail[0].islower() or f"{start}-{end}" in known


def _is_suspended(stem: str, tail: str, known: frozenset[str]) -> bool:
    return tail in _CONJUNCTIONS and stem.lower() + tail not in known


def _between(head: str, following: str, known: frozenset[str]) -> str:
    """What stands between two lines where no hyphen does."""
    last, first = head[-1:], following[:1]
    if last == "_" and head.lower() not in known and first.isalnum():
        return ""
    if last == "\u2013" and head[-2:-1].isdigit() and first.isdigit():
        return ""
    if last in "/=&?%_" and _ADDRESS.search(head):
        return ""
    return "" if _is_ideographic(last) and _is_ideographic(first) else " "


def _is_ideographic(char: str) -> bool:
    """Of a script that writes no spaces between words: Chinese, Japanese."""
    return unicodedata.east_asian_width(char) in "WF" and not "\uac00" <= char <= "\ud7a3" if char else False
