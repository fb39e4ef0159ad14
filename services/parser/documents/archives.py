"""ZIP archives that are documents. Nothing is unpacked to a disk, so a member's name is only a name."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property

from services.parser.documents.document import Refused

_PIECE_BYTES = 1 << 18
# Unpacked, of one member: far beyond what a document within our limits of text has.
_MOST_MEMBER_BYTES = 512_000_000
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError)


class Archive:
    """An open archive."""

    def __init__(self, content: bytes) -> None:
        """Raises Refused FILE_IS_BROKEN."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except _BROKEN:
            raise Refused("FILE_IS_BROKEN") from None

    @cached_property
    def names(self) -> frozenset[str]:
        """Its members."""
        return frozenset(self._zip.namelist())

    def folder_of(self, name: str) -> str | None:
        """What stands before a member's path: "" as a rule, a folder where that was packed, too.

        None where there is no such member.
        """
        found = sorted(each.removesuffix(name) for each in self.names if each.endswith(name))
        return next((folder for folder in found if folder.find("/") == len(folder) - 1), None)

    def size(self, folder: str) -> int:
        """Bytes that members below a folder say they have, unpacked."""
        return sum(each.file_size for each in self._zip.infolist() if folder in each.filename)

    def read(self, name: str) -> bytes:
        """A whole member. Raises as `pieces`."""
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member, piece by piece.

        Raises:
            Refused: FILE_IS_PROTECTED, FILE_IS_BROKEN, DOCUMENT_TOO_LARGE.
        """
        left = _MOST_MEMBER_BYTES
        try:
            info = self._zip.getinfo(name)
            if info.flag_bits & _ENCRYPTED:
                raise Refused("FILE_IS_PROTECTED")
            with self._zip.open(info) as member:
                while piece := member.read(_PIECE_BYTES):
                    left -= len(piece)
                    if left < 0:
                        raise Refused("DOCUMENT_TOO_LARGE")
                    yield piece
        except (RuntimeError, *_BROKEN):
            raise Refused("FILE_IS_BROKEN") from None
