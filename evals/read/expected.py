"""What a person saw in the documents, page by page: `expected.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.parser.pages import BlockKind, Page

# "Chapter 12.3.4", "Приложение A"
_MOST_NUMBER_CHARS = 14
_LIST = Path(__file__).with_name("expected.toml")


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one document.

    Attributes:
        phrases: (page, phrase); page 0 stands for any, where a format has none.
        headings: Titles of its headings.
    """

    phrases: tuple[tuple[int, str], ...] = ()
    headings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many things are looked for."""
        return len(self.phrases) + len(self.headings)

    def missing(self, pages: Sequence[Page]) -> Iterator[str]:
        """What is not there, for people."""
        texts = {page.page: plain(page.markdown) for page in pages}
        for number, phrase in self.phrases:
            if not any(plain(phrase) in text for page, text in texts.items() if number in (0, page)):
                yield f"page {number}: {phrase}" if number else phrase
        titles = list(headings(pages))
        for heading in self.headings:
            if not any(same_title(words(heading), title) for title in titles):
                yield f"heading: {heading}"


@cache
def expectations() -> dict[str, Expected]:
    """By a document's key."""
    rows = tomllib.loads(_LIST.read_text())
    return {key: _expected(row) for key, row in rows.items()}


def headings(pages: Sequence[Page]) -> Iterator[str]:
    """The titles of all headings, their words alone."""
    for page in pages:
        for block in page.blocks:
            if block.kind is BlockKind.HEADING:
                yield words(block.title)


def plain(text: str) -> str:
    """Text to compare: lines and spaces do not matter, nor do ligatures and Markdown's escapes."""
    unescaped = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", unicodedata.normalize("NFKC", text))
    return " ".join(unescaped.split())


def words(text: str) -> str:
    """Letters and digits, so that neither lines nor markup count, nor small and large."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def same_title(title: str, heading: str) -> bool:
    """One of the two may have a number before it that the other lacks."""
    shorter, longer = sorted((title, heading), key=len)
    return bool(shorter) and longer.endswith(shorter) and len(longer) - len(shorter) <= _MOST_NUMBER_CHARS


def _expected(row: dict[str, list[str] | dict[str, list[str]]]) -> Expected:
    phrases = row.get("phrases", {})
    assert isinstance(phrases, dict)
    by_page = tuple((int(page), phrase) for page, listed in phrases.items() for phrase in listed)
    return Expected(by_page, tuple(row.get("headings", ())))
