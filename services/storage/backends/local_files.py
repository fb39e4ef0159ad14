"""How an object lies on disk. Every function here blocks.

One file an object: a length, a header of that length in JSON, then the content, so that one rename makes both
visible. Metadata that was replaced since stands beside it, in a file of its own that names the very put it
belongs to: one left behind by a kill is that of no object, and counts for nothing.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import struct
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from services.storage.backends.port import ObjectSpec, StoredObject

BESIDE = ".meta"
_LENGTH = struct.Struct(">I")
_NOT_EMPTY_OR_GONE = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Header:
    """What an object's file says of it.

    Attributes:
        put_id: Of the put that made the file; that of one from before there was metadata is its time.
    """

    stored: StoredObject
    put_id: str

    def encoded(self) -> bytes:
        """As it stands in the file."""
        spec = self.stored.spec
        fields = [spec.key, spec.size_bytes, spec.sha256, spec.content_type]
        fields += [self.stored.create_time.isoformat(), dict(spec.metadata), self.put_id]
        return json.dumps(fields).encode()

    @classmethod
    def decoded(cls, header: bytes) -> Header:
        """From the file. Those of five fields are from before there was metadata."""
        key, size_bytes, sha256, content_type, created, *more = json.loads(header)
        metadata, put_id = more or ({}, created)
        moment = datetime.datetime.fromisoformat(created)
        spec = ObjectSpec(key, size_bytes, sha256, content_type, metadata)
        return cls(StoredObject(spec, moment, moment), put_id)


class Upload:
    """A file that is not an object yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def begin(self, stored: StoredObject) -> None:
        """Makes the file, and writes its header."""
        header = Header(stored, uuid.uuid4().hex).encoded()
        self._file = self._path.open("xb", buffering=0)
        self.write(_LENGTH.pack(len(header)) + header)

    def write(self, piece: bytes) -> None:
        """Writes all of a piece."""
        assert self._file is not None
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]

    def ready(self) -> None:
        """Brings it all to the disk, before it gets its name."""
        assert self._file is not None
        os.fsync(self._file.fileno())

    def finish(self, path: Path) -> int:
        """Makes the file the object. Answers its folder, opened, which is to be brought to the disk."""
        assert self._file is not None
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700)
            sync(os.open(path.parent.parent, os.O_RDONLY))
        os.replace(self._path, path)
        _beside(path).unlink(missing_ok=True)
        self._file.close()
        return os.open(path.parent, os.O_RDONLY)

    def discard(self) -> None:
        """Drops what is not an object."""
        self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


class Opened:
    """An object's file while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._start = 0
        self.put_id = ""

    def begin(self) -> StoredObject:
        """Opens one state of the object. Raises FileNotFoundError."""
        while True:
            self.close()
            self._file = self._path.open("rb")
            header, self._start = _read_header(self._file)
            self.put_id = header.put_id
            stored = _with_what_stands_beside(self._path, header)
            # Replaced meanwhile: what stood beside may have been the next one's.
            if self.is_current():
                return stored

    def is_current(self) -> bool:
        """Whether this is still the object. Raises FileNotFoundError where there is none any more."""
        assert self._file is not None
        return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))

    def read(self, offset_bytes: int, most_bytes: int) -> bytes:
        """Bytes of the content."""
        assert self._file is not None
        return os.pread(self._file.fileno(), most_bytes, self._start + offset_bytes)

    def close(self) -> None:
        """Closes the file, if it is open."""
        if self._file is not None:
            self._file.close()


def describe(path: Path) -> StoredObject:
    """What an object is. Raises FileNotFoundError."""
    opened = Opened(path)
    try:
        return opened.begin()
    finally:
        opened.close()


def describe_anew(
    path: Path, fresh: Path, metadata: dict[str, str], now: datetime.datetime, folders: threading.Lock
) -> StoredObject:
    """Replaces an object's metadata by way of the file `fresh`. Raises FileNotFoundError."""
    opened = Opened(path)
    try:
        while True:
            stored = opened.begin()
            with fresh.open("wb") as file:
                file.write(json.dumps([opened.put_id, metadata, now.isoformat()]).encode())
                file.flush()
                os.fsync(file.fileno())
            with folders:
                if not opened.is_current():
                    continue
                os.replace(fresh, _beside(path))
                folder = os.open(path.parent, os.O_RDONLY)
            sync(folder)
            return replace(stored, spec=replace(stored.spec, metadata=metadata), update_time=now)
    finally:
        opened.close()
        fresh.unlink(missing_ok=True)


def delete(folder: Path, names: Sequence[str]) -> list[bool]:
    """Drops objects, and their folder with the last one; says of each whether it was there.

    A repeat ends what was cut off.
    """
    there = []
    for path in (folder / name for name in names):
        there.append(path.exists())
        path.unlink(missing_ok=True)
        # Last, since without it the object would have its old metadata again.
        _beside(path).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in _NOT_EMPTY_OR_GONE:
            raise
    # Only a change needs to reach the disk, and only the folder that still is there.
    if any(there):
        sync(os.open(folder if folder.exists() else folder.parent, os.O_RDONLY))
    return there


def keys_in(folder: Path) -> Iterator[str]:
    """The keys of all objects in a folder, in no order; of none where there is no such folder."""
    if not folder.exists():
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.endswith(BESIDE)]
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                header, _ = _read_header(file)
        except FileNotFoundError:
            continue  # deleted meanwhile
        yield header.stored.spec.key


def sync(folder: int) -> None:
    """Brings an opened folder to the disk, and closes it."""
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_header(file: BinaryIO) -> tuple[Header, int]:
    """A file's header, and where its content begins."""
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    return Header.decoded(file.read(length)), _LENGTH.size + length


def _beside(path: Path) -> Path:
    return path.with_name(path.name + BESIDE)


def _with_what_stands_beside(path: Path, header: Header) -> StoredObject:
    stored = header.stored
    try:
        put_id, metadata, updated = json.loads(_beside(path).read_bytes())
    except FileNotFoundError:
        return stored
    if put_id != header.put_id:
        return stored
    moment = datetime.datetime.fromisoformat(updated)
    return replace(stored, spec=replace(stored.spec, metadata=metadata), update_time=moment)
