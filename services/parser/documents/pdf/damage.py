"""Which pages of a damaged document have lost text."""

from __future__ import annotations

from collections.abc import Iterator

from pypdf import PdfReader

from services.parser.documents.pdf import second


def pages_with(damaged: frozenset[int], content: bytes, pages: int) -> frozenset[int]:
    """Pages, from 1, that draw a damaged object; none where the two readers see different documents."""
    return second.told(content, lambda reader: frozenset(_pages(reader, damaged, pages)), frozenset())


def _pages(reader: PdfReader, damaged: frozenset[int], pages: int) -> Iterator[int]:
    if len(reader.pages) != pages:
        return
    for number, page in enumerate(reader.pages, start=1):
        drawn = {reference.idnum for reference in second.references(page, "/Contents")}
        if not damaged.isdisjoint(drawn.union(second.forms(page))):
            yield number
