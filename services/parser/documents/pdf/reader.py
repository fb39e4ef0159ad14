"""PDF → pages. Imported in the child alone."""

from __future__ import annotations

from collections.abc import Iterator

from services.parser.documents.document import Document
from services.parser.documents.pdf import characters
from services.parser.pages import Page


def count(document: Document) -> int:
    """Pages. Raises Refused: PDF_IS_PROTECTED or PDF_IS_BROKEN."""
    return len(characters.open_pdf(document.mapped()))


def read(document: Document) -> Iterator[Page]:
    """The pages, in order."""
    return characters.pages(characters.open_pdf(document.mapped()), document.limits)
