"""What a file is: told by its content first, by its name where content leaves it open."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

# Real PDFs carry mail headers or padding first; PDFium, too, looks this far.
HEAD_BYTES = 1024


class Reader(Enum):
    """Which module reads a format."""

    PDF = "pdf"
    MARKDOWN = "markdown"
    TEXT = "text"
    OFFICE = "office"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read.

    Attributes:
        name: Stable: "pdf".
        label: For people: "PDF".
        suffixes: Lower case, with the dot.
        reader: What reads it.
    """

    name: str
    label: str
    suffixes: tuple[str, ...]
    reader: Reader


PDF = Format("pdf", "PDF", (".pdf",), Reader.PDF)
MARKDOWN = Format("markdown", "Markdown", (".md", ".markdown"), Reader.MARKDOWN)
TEXT = Format("text", "plain text", (".txt",), Reader.TEXT)
FORMATS = (PDF, MARKDOWN, TEXT)
_BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}


def recognise(filename: str, head: bytes) -> Format:
    """What a file is, given its first HEAD_BYTES.

    Raises:
        Refused: PDF_IS_BROKEN, FILE_TYPE_UNSUPPORTED.
    """
    promised = _BY_SUFFIX.get(PurePosixPath(filename).suffix.lower())
    if head.lstrip().startswith(b"%PDF-"):
        return PDF
    return promised or TEXT
