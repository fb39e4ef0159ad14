"""Objects as files on this machine's disk.

One file an object: a length, a header of that length in JSON, then the content, so that one rename
makes both visible. Tenants and keys are hashed into names: no name can leave the folder, be too long
for the disk, or meet another one that differs in case alone.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import hashlib
import json
import os
import struct
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from services.storage.backends.port import Capabilities, ObjectSpec, Reading, StoredObject
from waybill.runtime.errors import NotFound, Unavailable

MAX_OBJECT_BYTES = 512_000_000
PIECE_BYTES = 256 * 1024
INCOMING = "incoming"
_LENGTH = struct.Struct(">I")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_EMPTY_OR_GONE = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
Result = TypeVar("Result")
Clock = Callable[[], datetime.datetime]


class LocalObjects:
    """An ObjectStore in a folder that no other process writes to."""

    capabilities = Capabilities(max_object_bytes=MAX_OBJECT_BYTES)

    def __init__(self, root: Path, clock: Clock) -> None:
        """Makes the folder where missing, and drops what an earlier process left unfinished in it."""
        self._root = root
        self._clock = clock
        self._incoming = root / INCOMING
        # Held from making a folder to having a file in it: empty folders are dropped.
        self._folders = threading.Lock()
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink()

    async def put(self, tenant: str, spec: ObjectSpec, content: AsyncIterator[bytes]) -> StoredObject:
        """See ObjectStore."""
        stored = StoredObject(spec, self._clock())
        upload = _Upload(self._incoming / uuid.uuid4().hex)
        try:
            await _in_thread(upload.begin, stored)
            async for piece in content:
                await _in_thread(upload.write, piece)
            await _in_thread(upload.finish, self._path(tenant, spec.key), self._folders)
        except BaseException:
            await _in_thread(upload.discard)
            raise
        return stored

    @asynccontextmanager
    async def open(
        self, tenant: str, key: str, offset_bytes: int = 0, limit_bytes: int = 0
    ) -> AsyncIterator[Reading]:
        """See ObjectStore."""
        opened = _Opened(self._path(tenant, key))
        try:
            stored = await _in_thread(opened.begin)
            yield Reading(stored, _pieces(opened, *_range(stored, offset_bytes, limit_bytes)))
        except FileNotFoundError:
            raise _not_found() from None
        finally:
            await _in_thread(opened.close)

    async def stat(self, tenant: str, key: str) -> StoredObject:
        """See ObjectStore."""
        try:
            return await _in_thread(_describe, self._path(tenant, key))
        except FileNotFoundError:
            raise _not_found() from None

    async def delete(self, tenant: str, key: str) -> bool:
        """See ObjectStore."""
        return await _in_thread(_delete, self._path(tenant, key), self._folders)

    async def healthy(self) -> bool:
        """See ObjectStore."""
        return await _in_thread(os.access, self._incoming, os.W_OK)

    def _path(self, tenant: str, key: str) -> Path:
        return self._root / _name(tenant) / _name(key)


class _Upload:
    """A file that is not an object yet. Every method blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def begin(self, stored: StoredObject) -> None:
        header = _encode(stored)
        self._file = self._path.open("xb", buffering=0)
        self.write(_LENGTH.pack(len(header)) + header)

    def write(self, piece: bytes) -> None:
        assert self._file is not None
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]

    def finish(self, path: Path, folders: threading.Lock) -> None:
        """Makes the file the object. The disk has its bytes before its name."""
        assert self._file is not None
        os.fsync(self._file.fileno())
        with folders:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700)
                _sync_folder(path.parent.parent)
            os.replace(self._path, path)
            folder = os.open(path.parent, os.O_RDONLY)
        _sync(folder)
        self._file.close()

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


class _Opened:
    """An object's file while it is read. Every method blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._start = 0

    def begin(self) -> StoredObject:
        self._file = self._path.open("rb")
        (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
        self._start = _LENGTH.size + length
        return _decode(self._file.read(length))

    def read(self, offset_bytes: int, most_bytes: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), most_bytes, self._start + offset_bytes)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _describe(path: Path) -> StoredObject:
    opened = _Opened(path)
    try:
        return opened.begin()
    finally:
        opened.close()


def _not_found() -> NotFound:
    return NotFound("OBJECT_NOT_FOUND", "No object of this key is stored. Put it first.")


def _delete(path: Path, folders: threading.Lock) -> bool:
    """Drops an object's file, and its folder with the last one; a repeat ends what was cut off."""
    with folders:
        there = path.exists()
        path.unlink(missing_ok=True)
        try:
            path.parent.rmdir()
        except OSError as error:
            if error.errno not in _NOT_EMPTY_OR_GONE:
                raise
        # Only a change needs to reach the disk, and only the folder that still is there.
        if there:
            _sync_folder(path.parent if path.parent.exists() else path.parent.parent)
    return there


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turns what the disk refuses into typed errors; that a file is not there stays as it is.

    Raises:
        Unavailable: STORAGE_FULL, STORAGE_UNAVAILABLE.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                "STORAGE_FULL", "The disk that holds the objects is full. Free space on it, then repeat."
            ) from error
        raise Unavailable(
            "STORAGE_UNAVAILABLE",
            f"The disk that holds the objects failed ({errno.errorcode.get(error.errno or 0, 'unknown')})."
            " See to WAYBILL_OBJECTS_DIR, then repeat.",
        ) from error


async def _in_thread(work: Callable[..., Result], *arguments: object) -> Result:
    """Blocking work in a thread. When cancelled it still ends first: no file is closed under it."""
    job = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        with disk_faults():
            return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        raise


async def _pieces(opened: _Opened, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = await _in_thread(opened.read, start, min(PIECE_BYTES, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


def _range(stored: StoredObject, offset_bytes: int, limit_bytes: int) -> tuple[int, int]:
    size_bytes = stored.spec.size_bytes
    return offset_bytes, min(offset_bytes + (limit_bytes or size_bytes), size_bytes)


def _sync_folder(path: Path) -> None:
    _sync(os.open(path, os.O_RDONLY))


def _sync(folder: int) -> None:
    """Brings an opened folder to the disk, and closes it."""
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _encode(stored: StoredObject) -> bytes:
    spec = stored.spec
    fields = [spec.key, spec.size_bytes, spec.sha256, spec.content_type, stored.create_time.isoformat()]
    return json.dumps(fields).encode()


def _decode(header: bytes) -> StoredObject:
    key, size_bytes, sha256, content_type, create_time = json.loads(header)
    moment = datetime.datetime.fromisoformat(create_time)
    return StoredObject(ObjectSpec(key, size_bytes, sha256, content_type), moment)
