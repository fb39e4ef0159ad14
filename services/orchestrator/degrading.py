"""What a published document lacks, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from waybill.common.v1.reading_pb2 import Reading

PAGES_MISSING = "PAGES_MISSING"
_MOST_NAMES = 5


def missing(reading: Reading) -> str:
    """Sentences that name what of a document is in no page; empty where nothing is missing."""
    return " ".join(_sentences(reading))


def _sentences(reading: Reading) -> Iterator[str]:
    if reading.failed_pages:
        yield f"{_pages(reading.failed_pages)} could not be read and cost nothing."
    if reading.cut_pages:
        yield f"{_pages(reading.cut_pages)} came out in part: damaged text, or more than a page may have."
    if reading.pages_without_text:
        yield (
            f"{_pages(reading.pages_without_text)} had no text that can be read: a scan, perhaps. "
            "Text recognition reads those where tesseract is installed."
        )
    if reading.left_out:
        names = ", ".join(reading.left_out[:_MOST_NAMES])
        more = len(reading.left_out) - _MOST_NAMES
        others = f" and {more} more" if more > 0 else ""
        yield f"Not read: {names}{others}. Attached files can be ingested alone."


def _pages(numbers: Sequence[int]) -> str:
    """ "Page 4", "Pages 2-4 and 9"."""
    spans = list(_spans(numbers))
    *others, last = spans
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"Page{'s' if len(numbers) > 1 else ''} {listed}"


def _spans(numbers: Sequence[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *_, last = [number for _, number in (*group,)] * 2
        yield str(first) if first == last else f"{first}-{last}"
