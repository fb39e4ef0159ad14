"""A document's pages, and the artifact that carries them: one JSON object a line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Page:
    """One page as Markdown.

    Attributes:
        page: From 1.
        markdown: Its text; may be empty.
        truncated: Text beyond the limit of a page was cut off.
    """

    page: int
    markdown: str
    truncated: bool = False


class Pages(Protocol):
    """Takes a document's pages, in order. A list does."""

    def append(self, page: Page, /) -> None:
        """Takes the next page. May block."""

    def clear(self) -> None:
        """Forgets all pages: the document is read again."""


class Artifact:
    """Pages in a file that has no name, so that a kill leaves nothing; in memory is one at a time.

    The same pages always give the same bytes.

    Attributes:
        file: Open for reading and writing.
        pages: How many there are.
        has_text: Whether one of them has more than white space.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.pages = 0
        self.has_text = False

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Artifact]:
        """An empty one, gone when the block is left."""
        with tempfile.TemporaryFile() as file:
            yield cls(file)

    def append(self, page: Page, /) -> None:
        """See Pages."""
        self.file.write(_line(page))
        self.pages += 1
        self.has_text = self.has_text or bool(page.markdown.strip())

    def extend(self, pages: Iterable[Page]) -> None:
        """Appends pages as they come. Blocks."""
        for page in pages:
            self.append(page)

    def clear(self) -> None:
        """See Pages."""
        self.file.seek(0)
        self.file.truncate()
        self.pages, self.has_text = 0, False


def load(artifact: bytes) -> list[Page]:
    """The pages of an artifact."""
    return [
        Page(row["page"], row["markdown"], row.get("truncated", False))
        for row in map(json.loads, artifact.splitlines())
    ]


def _line(page: Page) -> bytes:
    row = {"page": page.page, "markdown": page.markdown} | ({"truncated": True} if page.truncated else {})
    # ASCII: other line separators of Unicode would else split a line for some readers.
    return json.dumps(row).encode() + b"\n"
