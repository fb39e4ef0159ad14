"""A PDF's outline: which titles it has, how deep, and where. Imported in the child alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from services.parser.documents.pdf.titles import Title

_MOST_ENTRIES = 20_000
# Where a view's list of numbers has the upper edge of what is shown.
_TOP_OF_VIEW = {
    pdfium.PDFDEST_VIEW_XYZ: 1,
    pdfium.PDFDEST_VIEW_FITH: 0,
    pdfium.PDFDEST_VIEW_FITBH: 0,
    pdfium.PDFDEST_VIEW_FITR: 3,
}


def read(pdf: Any) -> dict[int, list[Title]]:
    """Titles by page, from 1, in the outline's order. What cannot be read of it is left out."""
    titles: defaultdict[int, list[Title]] = defaultdict(list)
    try:
        for page, title in _titles(pdf):
            titles[page].append(title)
    except (pypdfium2.PdfiumError, ValueError):
        pass
    return dict(titles)


def _titles(pdf: Any) -> Iterator[tuple[int, Title]]:
    for bookmark in islice(pdf.get_toc(), _MOST_ENTRIES):
        target = bookmark.get_dest()
        index = target.get_index() if target else None
        if index is not None:
            yield index + 1, Title(bookmark.get_title(), bookmark.level + 1, _top(target))


def _top(target: Any) -> float | None:
    mode, numbers = target.get_view()
    at = _TOP_OF_VIEW.get(mode, len(numbers))
    return numbers[at] if at < len(numbers) else None
