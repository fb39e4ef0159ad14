"""Outlook messages → pages: subject, correspondents, date, text and messages inside; files are named.

A stream is named for a property and its type, a folder for what is attached (MS-OXMSG, 2.1 and 2.2).
"""

from __future__ import annotations

import email.utils
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import olefile

from services.parser.documents import decoding, flow, mail, ole, web
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import Piece
from services.parser.pages import Page

_SUBJECT, _TO, _CC, _BODY, _HTML, _RICH = "0037", "0E04", "0E03", "1000", "1013", "1009"
_SENDER, _SENDERS_ADDRESSES = "0C1A", ("5D01", "0C1F")
_FILE_NAMES, _CONTENT_ID = ("3707", "3704", "3001"), "3712"
_STREAM, _VALUES, _ATTACHED, _MESSAGE = (
    "__substg1.0_{}", "__properties_version1.0", "__attach_version1.0_", "__substg1.0_3701000D",
)  # fmt: skip
_UNICODE, _ANSI, _BINARY = "001F", "001E", "0102"
# Tags are a property's number over its type.
_SENT, _DELIVERED, _CODE_PAGE, _CODE_PAGE_OF_HTML = 0x00390040, 0x0E060040, 0x3FFD0003, 0x3FDE0003
_TOP_HEADER_BYTES, _INNER_HEADER_BYTES, _VALUE = 32, 24, struct.Struct("<II8s")
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_NAMED_CODE_PAGES = {
    20127: "ascii", 20866: "koi8-r", 50220: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr", 65001: "utf-8",
    **{28590 + part: f"iso-8859-{part}" for part in range(1, 16)},
}  # fmt: skip


def read(document: Document) -> Iterator[Page]:
    """Raises Refused FILE_IS_BROKEN."""
    return flow.running(_pieces(document))


def _pieces(document: Document) -> Iterator[Piece]:
    with ole.opened(document.content()) as file:
        try:
            yield from _message(_Folder(file, ()), document, 1)
        except (OSError, struct.error):
            raise Refused("FILE_IS_BROKEN") from None


@dataclass(frozen=True, slots=True)
class _Folder:
    """A message, or what is attached to one."""

    file: olefile.OleFileIO
    path: tuple[str, ...]

    def text(self, *properties: str) -> str:
        """The first of some properties that is not empty."""
        return next(filter(None, (self._text(each).strip("\0") for each in properties)), "")

    def stream(self, name: str) -> bytes:
        """A stream's content; empty where there is none."""
        path = [*self.path, name]
        return bytes(self.file.openstream(path).read()) if self.file.exists(path) else b""

    def values(self) -> dict[int, bytes]:
        """What is no text, by tag: 8 bytes each."""
        header = _INNER_HEADER_BYTES if self.path else _TOP_HEADER_BYTES
        rows = self.stream(_VALUES)[header:]
        return {tag: value for tag, _, value in _VALUE.iter_unpack(rows[: len(rows) // 16 * 16])}

    def code_page(self, *tags: int) -> str:
        """The first of some code pages that is named, as an encoding is declared."""
        values = self.values()
        (number,) = struct.unpack("<I4x", next((values[tag] for tag in tags if tag in values), bytes(8)))
        return _NAMED_CODE_PAGES.get(number, f"windows-{number}" if number else "")

    def attached(self) -> Iterator[_Folder]:
        """Folders of what is attached, in order."""
        depth = len(self.path) + 1
        for path in sorted(self.file.listdir(streams=False, storages=True)):
            if len(path) == depth and tuple(path[:-1]) == self.path and path[-1].startswith(_ATTACHED):
                yield _Folder(self.file, tuple(path))

    def _text(self, property_: str) -> str:
        if wide := self.stream(_STREAM.format(property_ + _UNICODE)):
            return wide.decode("utf-16-le", "replace")
        return _decoded(
            self.stream(_STREAM.format(property_ + _ANSI)), self.code_page(_CODE_PAGE, _CODE_PAGE_OF_HTML)
        )


def _message(folder: _Folder, document: Document, depth: int) -> Iterator[Piece]:
    yield from flow.heading(depth, flow.one_line(folder.text(_SUBJECT)))
    fields = {"From": _sender(folder), "To": folder.text(_TO), "Cc": folder.text(_CC), "Date": _date(folder)}
    yield from flow.paragraph(
        "\n".join(f"{name}: {flow.one_line(said)}" for name, said in fields.items() if said)
    )
    plain, markup = folder.text(_BODY), _markup(folder)
    if markup and (not plain.strip() or mail.says_less(plain, markup)):
        yield from web.pieces(markup)
    else:
        yield from mail.paragraphs(plain)
    if not (plain or markup) and folder.stream(_STREAM.format(_RICH + _BINARY)):
        document.left_out.append("text in RTF")
    for each in folder.attached():
        inner = _Folder(folder.file, (*each.path, _MESSAGE))
        if inner.stream(_VALUES) and depth <= mail.MOST_DEPTH:
            yield from _message(inner, document, depth + 1)
        elif not _is_shown(each, markup):
            document.left_out.append(flow.one_line(each.text(*_FILE_NAMES)) or "attachment")


def _sender(folder: _Folder) -> str:
    name = folder.text(_SENDER)
    address = next((each for each in map(folder.text, _SENDERS_ADDRESSES) if "@" in each), "")
    return f"{name} <{address}>" if address and address != name else name


def _date(folder: _Folder) -> str:
    values = folder.values()
    (ticks,) = struct.unpack("<Q", values.get(_SENT) or values.get(_DELIVERED) or bytes(8))
    try:
        return email.utils.format_datetime(_EPOCH + timedelta(microseconds=ticks // 10)) if ticks else ""
    except OverflowError:
        return ""


def _markup(folder: _Folder) -> str:
    content = folder.stream(_STREAM.format(_HTML + _BINARY))
    return _decoded(content, folder.code_page(_CODE_PAGE_OF_HTML)) or folder.text(_HTML)


def _is_shown(attached: _Folder, markup: str) -> bool:
    """Whether it is a picture that stands in the text."""
    name = attached.text(_CONTENT_ID)
    return bool(name) and f"cid:{name}" in markup


def _decoded(content: bytes, declared: str) -> str:
    try:
        return decoding.decode(content, declared).text if content else ""
    except Refused:
        return content.decode("cp1252", "replace")
