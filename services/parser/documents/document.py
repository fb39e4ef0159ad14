"""A document inside the child: its bytes, its bounds, and what its reader says of it. Stdlib alone."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.parser.documents.limits import Limits
from services.parser.documents.scribe import Scribe

_PIECE_BYTES = 256 * 1024


class Refused(Exception):
    """The document cannot be read, for a reason of `services.parser.refusals`.

    Attributes:
        metadata: Numbers and names of ours that say where; never text of the document.
    """

    def __init__(self, reason: str, **metadata: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.metadata = metadata


@dataclass(slots=True)
class Document:
    """A file that is being read.

    Attributes:
        fd: Open for reading.
        filename: What the caller calls it.
        limits: Its bounds.
        encoding: Set by a reader that decodes text.
        left_out: Names of what is not read; a reader appends to it.
        failures: Places in our code that failed and were got round; a reader appends to it.
        unlocked: What stands in place of the file's bytes once a lock that has everybody's key is off.
        scribe: Recognises text in images; None where nothing on this machine does.
    """

    fd: int
    filename: str
    limits: Limits
    encoding: str = ""
    left_out: list[str] = field(default_factory=list)
    unlocked: bytes = b""
    scribe: Scribe | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.fd).st_size

    def head(self, size: int) -> bytes:
        """The first bytes."""
        return os.pread(self.fd, size, 0)

    def content(self) -> bytes:
        """All bytes."""
        return self.unlocked or b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """All bytes, piece by piece."""
        return (os.pread(self.fd, _PIECE_BYTES, at) for at in range(0, self.size, _PIECE_BYTES))

    def mapped(self) -> Any:
        """All bytes as a ctypes array, which the kernel reads when they are looked at."""
        if not self.size:
            return b""
        # ctypes wants to write. A private mapping lets it, and nothing reaches the file.
        return (ctypes.c_char * self.size).from_buffer(mmap.mmap(self.fd, self.size, access=mmap.ACCESS_COPY))


def place(error: BaseException) -> str:
    """An exception's type, and where in our code it was raised: "StopIteration layout.py:144"."""
    place = ""
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename.rpartition("/")[2]
        place = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} {place}"
