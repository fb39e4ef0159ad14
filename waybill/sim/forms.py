"""Forms with files: each part goes to disk as it comes, so that a large file costs no memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import multipart

from waybill.sim.wire import MOST_BODY_BYTES, Request


class TooLarge(Exception):
    """A form has more bytes than are taken."""


@dataclass(frozen=True)
class Part:
    """One part of a form.

    Args:
        path: Where its content is.
        filename: Empty for a field.
        content_type: As the part says; empty where it does not.
    """

    path: Path
    size: int
    sha256: str
    filename: str
    content_type: str = ""

    @property
    def content(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()

    @property
    def text(self) -> str:
        """A field's value."""
        return self.content.decode("utf-8", "replace")


async def receive(
    request: Request, folder: Path, most_bytes: int = MOST_BODY_BYTES
) -> dict[str, Part] | None:
    """A multipart form's parts by name, in files of a folder; None where the request is no such form.

    Raises:
        TooLarge: It has more than `most_bytes`.
        ConnectionError: The client left before its end.
    """
    if int(request.headers.get("content-length", 0)) > most_bytes:
        raise TooLarge
    kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        return None
    try:
        with ExitStack() as files:
            parts = _Parts(folder, files)
            parser = files.enter_context(multipart.PushMultipartParser(options["boundary"]))
            size = 0
            async for piece in _pieces(request):
                size += len(piece)
                if size > most_bytes:
                    raise TooLarge
                parts.take(parser.parse(piece))
            return parts.done
    except multipart.MultipartError:
        return None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    piece = request.body or await request.piece()
    while piece:
        yield piece
        piece = await request.piece()


class _Parts:
    """The parts so far, and the one that is being written."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder, self._files = folder, files
        self.done: dict[str, Part] = {}
        self._segment: multipart.MultipartSegment | None = None
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def take(self, events: Iterator[multipart.MultipartSegment | bytearray | bytes | None]) -> None:
        """Writes what a piece of the body brought."""
        for event in events:
            if isinstance(event, multipart.MultipartSegment):
                self._segment, self._digest = event, hashlib.sha256()
                file = tempfile.NamedTemporaryFile(dir=self._folder, delete=False)  # noqa: SIM115 - the stack closes it
                self._file = self._files.enter_context(file)
            elif event:
                self._digest.update(event)
                self._written.write(event)
            else:
                self._end()

    @property
    def _written(self) -> IO[bytes]:
        if self._file is None:
            raise multipart.ParserError("a part without a head")
        return self._file

    def _end(self) -> None:
        file, segment = self._written, self._segment
        size = file.tell()
        file.close()
        if segment is not None:
            kind = segment.header("Content-Type", "")
            part = Part(Path(file.name), size, self._digest.hexdigest(), segment.filename or "", kind)
            self.done[segment.name] = part
