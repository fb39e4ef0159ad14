"""Which files are parsed, told by name and content."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePosixPath

from services.parser.refusals import refusal

_PDF_MAGIC = b"%PDF-"
# Real files carry mail headers or padding first; PDFium, too, looks this far.
HEAD_BYTES = 1024


class FileType(Enum):
    """How a document is read."""

    PDF = "pdf"
    TEXT = "text"


_BY_SUFFIX = {
    ".pdf": FileType.PDF,
    ".md": FileType.TEXT,
    ".markdown": FileType.TEXT,
    ".txt": FileType.TEXT,
}


def by_name(filename: str) -> FileType:
    """What a file's ending promises. Raises InvalidRequest FILE_TYPE_UNSUPPORTED."""
    try:
        return _BY_SUFFIX[PurePosixPath(filename).suffix.lower()]
    except KeyError:
        raise refusal("FILE_TYPE_UNSUPPORTED") from None


def by_content(filename: str, head: bytes) -> FileType:
    """What a file is, given its first HEAD_BYTES.

    Raises:
        InvalidRequest: FILE_TYPE_UNSUPPORTED, PDF_IS_BROKEN, DOCUMENT_EMPTY.
    """
    promised = by_name(filename)
    if not head:
        raise refusal("DOCUMENT_EMPTY", "The file has no bytes.")
    if _PDF_MAGIC in head[:HEAD_BYTES]:
        return FileType.PDF
    if promised is FileType.PDF:
        raise refusal("PDF_IS_BROKEN", "The file does not begin like a PDF.")
    return promised
