"""What a file is, how many pages it has and why its parse fails: from its bytes, without a PDF library."""

from __future__ import annotations

import mmap
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Extensions that the SDK's list has and this simulator can count, and those taken in practice.
_PAGED_TEXT = (".txt", ".md", ".csv", ".tsv", ".htm", ".html", ".xhtm", ".xml", ".rtf")
_SINGLE = (
    *(".docx", ".doc", ".odt", ".epub", ".xlsx", ".xls", ".ods", ".jpg", ".jpeg", ".png", ".gif", ".bmp"),
    *(
        ".tif",
        ".tiff",
        ".webp",
        ".svg",
        ".heic",
        ".ppt",
        ".odp",
        ".pages",
        ".numbers",
        ".key",
        ".mp3",
        ".wav",
    ),
)
EXTENSIONS = (".pdf", ".pptx", *_PAGED_TEXT, *_SINGLE)
_MOST_STREAM_BYTES = 64 * 2**20
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm.{0,400}?stream\r?\n", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """An uploaded file.

    Args:
        path: Where its bytes are.
        failure: Why each parse of it fails; empty where none does.
    """

    path: Path
    name: str
    size: int
    sha256: str
    pages: int
    failure: str = ""

    @property
    def extension(self) -> str:
        """In lower case, with its dot; empty where there is none."""
        return Path(self.name).suffix.lower()


def look(path: Path, name: str, size: int, sha256: str) -> Document:
    """Counts a file's pages. A name with `encrypted` or `broken` in it is taken at its word."""
    extension = Path(name).suffix.lower()
    pages, failure = _count(path, extension)
    if extension not in EXTENSIONS:
        failure = "UNSUPPORTED_FILE_TYPE"
    elif "encrypted" in name:
        failure = "PDF_IS_PROTECTED"
    elif "broken" in name:
        failure = "PDF_IS_BROKEN"
    elif not pages and not failure:
        failure = "NO_DATA_FOUND_IN_FILE"
    return Document(path, name, size, sha256, pages, failure)


def _count(path: Path, extension: str) -> tuple[int, str]:
    """Pages, and why there is no parse of it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if extension == ".pdf":
            return _pdf(content)
        if extension == ".pptx":
            return _slides(path)
        if markers := sum(1 for _ in re.finditer(rb"%%Page", content)):
            return markers, ""
        if extension in _PAGED_TEXT:
            return (sum(1 for _ in re.finditer(rb"\f", content)) + 1) if re.search(rb"\S", content) else 0, ""
        return 1, ""


def _pdf(content: mmap.mmap) -> tuple[int, str]:
    if content.find(b"%PDF-", 0, 1024) < 0:
        return 0, "PDF_IS_BROKEN"
    if re.search(rb"/Encrypt\s*[0-9<]", content):
        return 0, "PDF_IS_PROTECTED"
    pages = sum(1 for _ in _PAGE.finditer(content))
    return pages + sum(len(_PAGE.findall(stream)) for stream in _object_streams(content)), ""


def _object_streams(content: mmap.mmap) -> Iterator[bytes]:
    """The objects of a PDF that keeps them packed."""
    for match in _OBJECT_STREAM.finditer(content):
        end = content.find(b"endstream", match.end())
        try:
            yield zlib.decompressobj().decompress(content[match.end() : end], _MOST_STREAM_BYTES)
        except zlib.error:
            continue


def _slides(path: Path) -> tuple[int, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(
                1 for name in archive.namelist() if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)
            ), ""
    except zipfile.BadZipFile:
        return 0, "ERROR_DURING_PROCESSING"
