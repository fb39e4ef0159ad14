"""Reads texts in this process, and shows what their blocks are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import pytest

from services.parser.documents.document import Document, Refused
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.pages import Page

Reader = Callable[[Document], Iterator[Page]]


def read(
    reader: Reader, content: bytes | str, limits: Limits = DEFAULT_LIMITS
) -> tuple[list[Page], Document]:
    """A text's pages, and what its reader says of it. Holds that blocks cover every page."""
    with tempfile.TemporaryFile() as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        document = Document(file.fileno(), "a", limits)
        pages = list(reader(document))
    assert [page.page for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        _hold_covered(page)
    return pages, document


def pages_of(reader: Reader, content: bytes | str) -> list[Page]:
    """A text's pages."""
    return read(reader, content)[0]


def page_of(reader: Reader, content: bytes | str) -> Page:
    """A text's only page."""
    (page,) = pages_of(reader, content)
    return page


def refusal(reader: Reader, content: bytes | str) -> Refused:
    """Why a text is not read."""
    with pytest.raises(Refused) as caught:
        read(reader, content)
    return caught.value


def blocks_of(page: Page) -> list[tuple[str, str]]:
    """Kind and text of a page's blocks."""
    return [(block.kind.value, page.markdown[block.start : block.end]) for block in page.blocks]


def _hold_covered(page: Page) -> None:
    at = 0
    for block in page.blocks:
        assert at <= block.start < block.end <= len(page.markdown)
        assert not page.markdown[at : block.start].strip()
        at = block.end
    assert not page.markdown[at:].strip()
