"""Content on its way to or from the storage service: how far it is, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from waybill.cli.plain import plain
from waybill.cli.progress import QUIET_SECONDS
from waybill.cli.screen import Screen, cut, sized
from waybill.cli.sources import unreadable
from waybill.runtime.errors import InvalidRequest
from waybill.storage.v1.object_storage_service_pb2 import GetObjectResponse, PutObjectRequest

STANDARD = "-"
PIECE_BYTES = 256 * 1024
_NAME_CELLS = 30
Moved = Callable[[int], None]


@contextmanager
def progress(screen: Screen, name: str, total_bytes: int) -> Iterator[Moved]:
    """Shows how far it is: a bar on a terminal, elsewhere a line now and then. Yields what to tell bytes."""
    if screen.err.is_terminal and not screen.err.is_dumb_terminal:
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, console=screen.err, transient=True) as picture:
            task = picture.add_task(cut(plain(name), _NAME_CELLS), total=total_bytes)
            yield lambda moved_bytes: picture.advance(task, moved_bytes)
        return
    said, done = time.monotonic(), 0

    def moved(moved_bytes: int) -> None:
        nonlocal said, done
        done += moved_bytes
        if time.monotonic() - said >= QUIET_SECONDS:
            said = time.monotonic()
            screen.note(f"{plain(name)}: {sized(done)} of {sized(total_bytes)}")

    yield moved


@dataclass(frozen=True, slots=True)
class Sending:
    """A file as the messages of a PutObject; it can be iterated again for a repeat."""

    file: BinaryIO
    header: PutObjectRequest.Header
    moved: Moved

    def __iter__(self) -> Iterator[PutObjectRequest]:
        yield PutObjectRequest(header=self.header)
        left = self.header.size_bytes
        self.file.seek(0)
        while piece := self.file.read(min(PIECE_BYTES, left)):
            left -= len(piece)
            self.moved(len(piece))
            yield PutObjectRequest(data=piece)


def size_and_hash(file: BinaryIO) -> tuple[int, str]:
    """Bytes of a file from its start, and their SHA-256 in hex."""
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return file.tell(), digest.hexdigest()


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """A file opened to be read.

    Raises:
        NotFound: FILE_NOT_FOUND.
        InvalidRequest: FILE_UNREADABLE.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None
    with file:
        yield file


@contextmanager
def written(target: str) -> Iterator[BinaryIO]:
    """What `target` names, to be written: a file that is there whole in the end, or as it was before.

    Args:
        target: A path, or `-` for stdout. What is no regular file, such as /dev/null, is written to as it is.
    """
    if target == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target).resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    fresh = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def receive(answers: Iterator[GetObjectResponse], file: BinaryIO, moved: Moved, sha256: str) -> None:
    """Writes what comes, and checks that it is what the object has.

    Raises:
        InvalidRequest: CHECKSUM_MISMATCH.
    """
    digest = hashlib.sha256()
    for answer in answers:
        digest.update(answer.data)
        file.write(answer.data)
        moved(len(answer.data))
    if digest.hexdigest() != sha256:
        raise InvalidRequest("CHECKSUM_MISMATCH", "What came is not the object: bytes are lost or changed.")
