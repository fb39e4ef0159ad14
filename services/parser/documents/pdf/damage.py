"""Which pages of a damaged document have lost text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.generic import StreamObject

from services.parser.documents.pdf import second

# Content of numbers, names, dictionaries, comments, operators, and strings with nothing in them.
_DRAWS_NOTHING = re.compile(
    rb"(?>[-+.\d\s\0\[\]]+|/[^\s/<>()\[\]]*|<<.*?>>|%[^\r\n]*|<>|\(\)"
    rb"|(?:[A-Za-z]{1,3}|[bBfTW]\*|['\x22]|d[01])(?![^\s/<>()\[\]%]))*+",
    re.DOTALL,
)


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


def lost_among(empty: frozenset[int], content: bytes, pages: int) -> frozenset[int]:
    """Pages, of those in which PDFium found nothing, that are not blank."""
    return second.told(content, lambda reader: frozenset(_lost(reader, empty, pages)), frozenset())


def _lost(reader: PdfReader, empty: frozenset[int], pages: int) -> Iterator[int]:
    if len(reader.pages) == pages:
        for number in sorted(empty):
            streams = [each.get_object() for each in second.references(reader.pages[number - 1], "/Contents")]
            if not all(_is_blank(each) for each in streams if isinstance(each, StreamObject)):
                yield number


def _is_blank(stream: StreamObject) -> bool:
    """Whether a page's content is sound, and draws nothing."""
    try:
        return _DRAWS_NOTHING.fullmatch(stream.get_data()) is not None
    except Exception:  # whatever pypdf cannot unpack is damage, which is what is asked
        return False
