"""What a file is: told by its content first, by its name where content leaves it open."""

from __future__ import annotations

import re

from services.parser.documents import formats, ole
from services.parser.documents.archives import Archive
from services.parser.documents.document import Document, Refused
from services.parser.documents.formats import Format

# Real PDFs carry mail headers or padding first; PDFium, too, looks this far.
HEAD_BYTES = 1024
_ZIP, _OLE = (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Of a book: says where its contents are listed.
CONTAINER = "META-INF/container.xml"
_CONTENT_TYPES = "[Content_Types].xml"
_OFFICE = {
    b"wordprocessingml": formats.DOCX,
    b"ms-word": formats.DOCX,
    b"presentationml": formats.PPTX,
    b"ms-powerpoint": formats.PPTX,
    b"spreadsheetml": formats.XLSX,
    b"ms-excel": formats.XLSX,
}
_MAIN_PART = re.compile(
    rb'ContentType\s*=\s*["\']application/vnd\.([\w.-]*?)\.(?:main|[\w.]*macroEnabled\.main)\+xml["\']'
)
_OPEN = {
    b"text": formats.ODT,
    b"spreadsheet": formats.ODS,
    b"presentation": formats.ODP,
    b"graphics": formats.ODP,
}
_UNREAD = {
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ\0": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!\x1a\x07": "a RAR archive",
    b"(\xb5/\xfd": "a Zstandard archive", b"\x89PNG\r\n": "an image", b"\xff\xd8\xff": "an image",
    b"GIF87a": "an image", b"GIF89a": "an image", b"II*\0": "an image", b"MM\0*": "an image",
    b"BM": "an image", b"\0\0\x01\0": "an image", b"RIFF": "sound or video", b"ID3": "sound",
    b"OggS": "sound or video", b"fLaC": "sound", b"\x1aE\xdf\xa3": "video", b"\x7fELF": "a program",
    b"MZ": "a program", b"\xca\xfe\xba\xbe": "a program", b"\xcf\xfa\xed\xfe": "a program",
    b"\0asm": "a program", b"SQLite format 3\0": "a database", b"%!PS": "PostScript",
    b"\t\0\4\0": "an Excel 2 file", b"\t\2\6\0": "an Excel 3 file", b"\t\4\6\0": "an Excel 4 file",
    b"\xdb\xa5-\0": "a Word 2 file", b"1\xbe\0\0": "a Windows Write file", b"\xffWPC": "a WordPerfect file",
    b"wOFF": "a font", b"wOF2": "a font", b"\0\x01\0\0\0": "a font", b"OTTO\0": "a font",
}  # fmt: skip
_MAIL = re.compile(rb"(?:^|\n)(?:MIME-Version|Message-ID|Received|Return-Path):[^\n]+\n", re.IGNORECASE)
_HEADER = re.compile(rb"(?:From )?[\w-]+:? ")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,400}?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)
# What stands there in a text about RTF is a word.
_RTF = re.compile(rb"\{\\rtf\d*\s*[\\{}]")
_BOM = b"\xef\xbb\xbf"


def recognise(document: Document) -> Format:
    """What a document is.

    Raises:
        Refused: FILE_TYPE_UNSUPPORTED with what it is instead, FILE_IS_PROTECTED, FILE_IS_BROKEN.
    """
    head = document.head(HEAD_BYTES)
    promised = formats.promised(document.filename)
    if head.startswith(_ZIP):
        return _zipped(document)
    if head.startswith(_OLE):
        return _ole(document)
    start = head.lstrip()
    named_text = promised is not None and promised.is_text
    if start.startswith(b"%PDF-"):
        return formats.PDF
    if start.startswith(b"{\\rtf") and not (named_text and not _RTF.match(start)):
        return formats.RTF
    if promised is not None and named_text:
        return formats.XML if promised is formats.HTML and _is_data(head) else promised
    if b"%PDF-" in head or (promised is formats.PDF and b"\0" in head):
        return formats.PDF
    if what := _unread(head):
        raise Refused("FILE_TYPE_UNSUPPORTED", found=what)
    return _text(head) or _plain(promised, head)


def is_container(document: Document) -> bool:
    """Whether it begins like an archive or an OLE file."""
    return document.head(len(_OLE)).startswith((*_ZIP, _OLE))


def may_be_text(document: Document) -> bool:
    """Whether a document that begins like a PDF and is none may be a text about PDFs."""
    return formats.promised(document.filename) is not formats.PDF and b"\0" not in document.content()


def as_text(document: Document) -> Format:
    """What such a text is."""
    found = formats.promised(document.filename)
    return found if found is not None and found.is_text else formats.TEXT


def _zipped(document: Document) -> Format:
    archive = Archive(document.content())
    if _CONTENT_TYPES in archive.names:
        for kind in _MAIN_PART.findall(archive.read(_CONTENT_TYPES)):
            for word, found in _OFFICE.items():
                if word in kind:
                    return found
        raise Refused("FILE_TYPE_UNSUPPORTED", found="an Office file of another kind")
    kind = archive.read("mimetype").strip() if "mimetype" in archive.names else b""
    if kind == b"application/epub+zip" or archive.folder_of(CONTAINER) is not None:
        return formats.EPUB
    last = kind.rpartition(b"opendocument.")[2].partition(b"-")[0]
    if b"opendocument" in kind and last in _OPEN:
        return _OPEN[last]
    raise Refused("FILE_TYPE_UNSUPPORTED", found="a ZIP archive")


def _ole(document: Document) -> Format:
    content = document.content()
    if found := ole.kind(content):
        return found
    document.unlocked = ole.unlocked(content)
    return _zipped(document)


def _unread(head: bytes) -> str:
    for magic, what in _UNREAD.items():
        # Letters alone may begin a text.
        if head.startswith(magic) and (b"\0" in head or not magic.isalnum() or not magic.isascii()):
            return what
    if head[4:8] == b"ftyp":
        return "an image or video"
    return "a tar archive" if head[257:262] == b"ustar" else ""


def _text(head: bytes) -> Format | None:
    """What a text shows itself to be."""
    start = head.removeprefix(_BOM).lstrip()
    if _HTML.match(start):
        return formats.HTML
    if start.startswith(b"<?xml"):
        return formats.XML
    if _HEADER.match(start) and _MAIL.search(head):
        return formats.MAIL
    return None


def _plain(promised: Format | None, head: bytes) -> Format:
    """Text, unless the name promises what is kept in a container, and the content is no text either."""
    if promised is not None and not promised.is_text and b"\0" in head:
        raise Refused("FILE_IS_BROKEN")
    return formats.TEXT


def _is_data(head: bytes) -> bool:
    start = head.removeprefix(_BOM).lstrip()
    return start.startswith(b"<?xml") and not _HTML.match(start) and b"<html" not in head
