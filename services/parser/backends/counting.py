"""Counts pages here before a vendor is paid for them: what is not counted is not bought."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from services.parser.backends.port import NOTHING, Bought, Preview, Source
from services.parser.documents import formats
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact, Reading
from services.parser.refusals import refusal
from waybill.runtime.errors import InvalidRequest, Quota, ServiceError

# Types that our readers do not open, and how many pages of one are bought at most.
UNREAD = {".png": 1, ".jpg": 1, ".jpeg": 1, ".gif": 1, ".bmp": 1, ".webp": 1, ".heic": 1, ".heif": 1,
          ".svg": 1, ".tif": 50, ".tiff": 50}  # fmt: skip
# Text that is its own content: a vendor has nothing to recognise in it, and has lost some of it.
PLAIN = frozenset(
    each.name
    for each in (
        formats.TEXT,
        formats.MARKDOWN,
        formats.CODE,
        formats.CSV,
        formats.TSV,
        formats.JSON,
        formats.JSONL,
    )
)
# A slide is a page here as there; hidden ones may be none.
SLIDES = frozenset(each.name for each in (formats.PPTX, formats.PPT, formats.ODP))
# Where a format has no pages of its own, the vendor makes them; ours are about as long as printed ones.
MARGIN, MORE = 2, 10


@dataclass(frozen=True, slots=True)
class Count:
    """How many pages a parse may have.

    Attributes:
        most: No more are bought; 0 where all is read.
        exact: The document has as many.
    """

    most: int
    exact: bool


def is_plain(reading: Reading | None) -> bool:
    """Whether a document was read as plain text; None: it was not read."""
    return reading is not None and reading.format in PLAIN


def of_read(source: Source, pages: int, artifact: Artifact) -> Count:
    """What a count in the sandbox says.

    Args:
        source: Counted.
        pages: That it gave.
        artifact: Whole where the document was read for it.
    """
    if artifact.reading is None and os.pread(source.file.fileno(), 5, 0) == b"%PDF-":
        return Count(pages, exact=True)
    if artifact.reading is None:
        return Count(pages, exact=False)
    return Count(of_reading(artifact.reading).most, exact=is_plain(artifact.reading))


def of_reading(reading: Reading) -> Bought:
    """What a vendor's parse of a document buys that our readers have read."""
    pages = reading.pages
    if is_plain(reading):
        return NOTHING
    if reading.format in SLIDES or reading.format == formats.PDF.name:
        # Hidden slides may be none at the vendor.
        return Bought(pages, pages, exact=reading.format not in SLIDES)
    return Bought(pages, MARGIN * pages + MORE, exact=False)


async def preview(sandbox: Sandbox, source: Source, artifact: Artifact) -> Preview:
    """What a vendor's parse would buy; the artifact has what our readers make of it, if anything.

    Raises:
        ServiceError: As `count`; DOCUMENT_EMPTY of what is read here.
    """
    counted = await count(sandbox, source, artifact)
    if not counted.most and not artifact.has_text:
        raise refusal("DOCUMENT_EMPTY")
    expected = counted.most if artifact.reading is None else of_reading(artifact.reading).expected
    if artifact.reading is None and not _unread(source):
        try:
            await sandbox.read(source.file.fileno(), source.filename, artifact)
        except (InvalidRequest, Quota):
            # The vendor may read it all the same; that it has pages is known.
            artifact.clear()
    bought = Bought(expected, counted.most, counted.exact)
    return Preview(bought, bought, text_known=not counted.most)


def may_have_more(source: Source, artifact: Artifact) -> bool:
    """Whether a document that was counted may have more pages than are bought: the bound is a guess."""
    unread = _unread(source)
    guessed = artifact.reading is not None and artifact.reading.format not in SLIDES
    return guessed or unread > 1


async def count(sandbox: Sandbox, source: Source, artifact: Artifact) -> Count:
    """Counts in the sandbox; of what our readers do not open the name decides. Raises as `Sandbox.count`."""
    try:
        pages = await sandbox.count(source.file.fileno(), source.filename, artifact)
    except ServiceError as error:
        unread = _unread(source)
        if error.reason != "FILE_TYPE_UNSUPPORTED" or not unread:
            raise
        artifact.clear()
        return Count(unread, exact=False)
    return of_read(source, pages, artifact)


def _unread(source: Source) -> int:
    return UNREAD.get(PurePosixPath(source.filename).suffix.lower(), 0)
