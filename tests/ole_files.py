"""Makers of OLE files, as bytes: streams, one of them perhaps below a folder; and a locked workbook."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Mapping

import msoffcrypto
from msoffcrypto.method.rc4 import DocumentRC4

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_SALT = bytes(range(16))
_RECORD = struct.Struct("<HH")
_BOF, _EOF, _FILE_PASS, _BOUND_SHEET, _LABEL, _FILLER = 0x0809, 0x000A, 0x002F, 0x0085, 0x0204, 0x0FFF
_PLAIN_RECORDS = frozenset((_BOF, _FILE_PASS))


def compound(streams: Mapping[str, bytes], folder: str = "", inner: bytes = b"") -> bytes:
    """An OLE file of at most three streams, one of which may lie in a folder: `inner`, a Word document.

    A stream of less than 4 KB has its size and no content: that would stand elsewhere.
    """
    names = sorted({*streams, folder} - {""}, key=lambda name: (len(name), name.upper()))
    below = len(names) + 1
    contents = [streams.get(name, b"") for name in names] + [inner]
    table, entries = [_FAT, _END], [_entry("Root Entry", _ROOT, child=1)]
    for number, (name, content) in enumerate(zip([*names, "WordDocument"], contents, strict=True), start=1):
        start, count = len(table), -(-len(content) // _SECTOR)
        table += [*range(start + 1, start + count), _END] if count else []
        more = {"child": below} if name == folder else {"start": start, "size": len(content)}
        kind = _STORAGE if name == folder else _STREAM
        entries.append(_entry(name, kind, right=number + 1 if number < len(names) else _FREE, **more))
    entries = entries[: below + bool(inner)]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16xHHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, _END, 0, _END, 0
    )
    sectors = (content.ljust(-(-len(content) // _SECTOR) * _SECTOR, b"\0") for content in contents)
    directory = b"".join(entries).ljust(_SECTOR, b"\0")
    free = [_FREE] * (128 - len(table))
    assert len(directory) == _SECTOR
    return (
        header
        + struct.pack("<109I", 0, *[_FREE] * 108)
        + struct.pack("<128I", *table, *free)
        + directory
        + b"".join(sectors)
    )


def locked(package: bytes, password: str) -> bytes:
    """An Office file of now, of 4 KB or more, behind a lock as Office locks it."""
    out = io.BytesIO()
    msoffcrypto.OfficeFile(io.BytesIO(package)).encrypt(password, out)
    return out.getvalue()


def locked_xls(text: str, password: str) -> bytes:
    """A workbook of Excel 97 with one cell, behind a lock of its own time (MS-XLS 2.2.10)."""
    verifier = bytes(range(16, 32))
    sealed = _rc4(verifier + hashlib.md5(verifier).digest(), password)  # noqa: S324 - as the format has it
    lock = struct.pack("<HHH", 1, 1, 1) + _SALT + sealed
    start = 4 + 16 + 4 + len(lock) + 4 + 13 + 4
    globals_ = [
        (_BOF, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)),
        (_FILE_PASS, lock),
        (_BOUND_SHEET, struct.pack("<IBBBB", start, 0, 0, 5, 0) + b"Locks"),
        (_EOF, b""),
    ]
    sheet = [
        (_BOF, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0)),
        (_LABEL, struct.pack("<HHHHB", 0, 0, 0, len(text), 0) + text.encode("latin-1")),
        (_EOF, b""),
    ]
    records = globals_ + sheet
    # A workbook of less than 4 KB would stand in the file's other part.
    records.append((_FILLER, b"\0" * (4096 - 4 - sum(4 + len(data) for _, data in records))))
    clear = b"".join(_RECORD.pack(number, len(data)) + data for number, data in records)
    whole = bytearray(_rc4(clear, password))
    at = 0
    for number, data in records:
        kept = 4 + (len(data) if number in _PLAIN_RECORDS else 4 if number == _BOUND_SHEET else 0)
        whole[at : at + kept] = clear[at : at + kept]
        at += 4 + len(data)
    return compound({"Workbook": bytes(whole)})


def _rc4(content: bytes, password: str) -> bytes:
    return bytes(DocumentRC4.decrypt(password, _SALT, io.BytesIO(content), blocksize=1024).read())


def _entry(
    name: str, kind: int, *, right: int = _FREE, child: int = _FREE, start: int = _END, size: int = 0
) -> bytes:
    written = name.encode("utf-16-le")
    shape = "<64sHBBIII36xIQ"
    return struct.pack(shape, written, len(written) + 2, kind, 1, _FREE, right, child, start, size)
