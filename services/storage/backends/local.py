"""Objects as files on this machine's disk.

Tenants and keys are hashed into names: no name can leave the folder, be too long for the disk, or meet
another one that differs in case alone.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from services.storage.backends import local_files as files
from services.storage.backends.local_keys import Keys
from services.storage.backends.local_links import LocalLinks
from services.storage.backends.port import (
    MAX_OBJECT_BYTES,
    Capabilities,
    Link,
    ObjectSpec,
    Reading,
    StoredObject,
)
from waybill.runtime.clock import Now
from waybill.runtime.errors import NotFound, Precondition, Unavailable

PIECE_BYTES = 256 * 1024
INCOMING = "incoming"
_FULL = (errno.ENOSPC, errno.EDQUOT)
Result = TypeVar("Result")


class LocalObjects:
    """An ObjectStore in a folder that no other process writes to.

    Args:
        root: The folder.
        clock: The time of day, with a zone.
        links: Makes links; None: there is no door behind them.
    """

    capabilities = Capabilities(max_object_bytes=MAX_OBJECT_BYTES)

    def __init__(self, root: Path, clock: Now, links: LocalLinks | None = None) -> None:
        """Makes the folder where missing, and drops what an earlier process left unfinished in it."""
        self._root = root
        self._clock = clock
        self._links = links
        self._incoming = root / INCOMING
        # Held from making a folder to having a file in it, since empty folders are dropped; and from a change
        # on the disk to its place in the listing.
        self._folders = threading.Lock()
        self._keys = Keys(self._scan)
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink()

    async def put(self, tenant: str, spec: ObjectSpec, content: AsyncIterator[bytes]) -> StoredObject:
        """See ObjectStore."""
        now = self._clock()
        stored = StoredObject(spec, now, now)
        upload = files.Upload(self._fresh())
        try:
            await _in_thread(upload.begin, stored)
            async for piece in content:
                await _in_thread(upload.write, piece)
            await _in_thread(self._finish, upload, tenant, spec.key)
        except BaseException:
            await _in_thread(upload.discard)
            raise
        return stored

    @asynccontextmanager
    async def open(
        self, tenant: str, key: str, offset_bytes: int = 0, limit_bytes: int = 0
    ) -> AsyncIterator[Reading]:
        """See ObjectStore."""
        opened = files.Opened(self._path(tenant, key))
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
            return await _in_thread(files.describe, self._path(tenant, key))
        except FileNotFoundError:
            raise _not_found() from None

    async def list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """See ObjectStore."""
        return await _in_thread(self._list, tenant, prefix, after, limit)

    async def delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        """See ObjectStore."""
        return await _in_thread(self._delete, tenant, keys)

    async def update_metadata(self, tenant: str, key: str, metadata: Mapping[str, str]) -> StoredObject:
        """See ObjectStore."""
        place = self._path(tenant, key), self._fresh()
        try:
            return await _in_thread(files.describe_anew, *place, dict(metadata), self._clock(), self._folders)
        except FileNotFoundError:
            raise _not_found() from None

    async def sign_download(self, tenant: str, key: str, seconds: int, file_name: str) -> Link:
        """See ObjectStore."""
        links = self._signing()
        spec = replace((await self.stat(tenant, key)).spec, metadata={})
        return links.link("GET", tenant, spec, seconds, file_name)

    async def sign_upload(self, tenant: str, spec: ObjectSpec, seconds: int) -> Link:
        """See ObjectStore."""
        return self._signing().link("PUT", tenant, spec, seconds, spec.key.rpartition("/")[2])

    async def healthy(self) -> bool:
        """See ObjectStore."""
        return await _in_thread(os.access, self._incoming, os.W_OK)

    def _signing(self) -> LocalLinks:
        if self._links is None:
            raise Precondition(
                "LINKS_UNAVAILABLE",
                "This storage service serves no links: WAYBILL_OBJECTS_HTTP says where it would. Set it, or"
                " get and put objects by RPC.",
            )
        return self._links

    def _path(self, tenant: str, key: str) -> Path:
        return self._folder(tenant) / _name(key)

    def _folder(self, tenant: str) -> Path:
        return self._root / _name(tenant)

    def _fresh(self) -> Path:
        return self._incoming / uuid.uuid4().hex

    def _finish(self, upload: files.Upload, tenant: str, key: str) -> None:
        upload.ready()
        with self._folders:
            folder = upload.finish(self._path(tenant, key))
            self._keys.changed(tenant, key, there=True)
        files.sync(folder)

    def _delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        with self._folders:
            there = files.delete(self._folder(tenant), [_name(key) for key in keys])
            for key in keys:
                self._keys.changed(tenant, key, there=False)
        return frozenset(key for key, was_there in zip(keys, there, strict=True) if was_there)

    def _scan(self, tenant: str) -> Iterable[str]:
        return files.keys_in(self._folder(tenant))

    def _list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        found: list[StoredObject] = []
        while len(found) < limit and (keys := self._keys.behind(tenant, prefix, after, limit - len(found))):
            for key in keys:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    found.append(files.describe(self._path(tenant, key)))
            after = keys[-1]
        return found


def _not_found() -> NotFound:
    return NotFound("OBJECT_NOT_FOUND", "No object of this key is stored. Put it first.")


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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


async def _pieces(opened: files.Opened, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = await _in_thread(opened.read, start, min(PIECE_BYTES, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


def _range(stored: StoredObject, offset_bytes: int, limit_bytes: int) -> tuple[int, int]:
    size_bytes = stored.spec.size_bytes
    return offset_bytes, min(offset_bytes + (limit_bytes or size_bytes), size_bytes)
