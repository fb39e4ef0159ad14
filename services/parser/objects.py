"""The parser's way to the bytes: the storage service, on behalf of the current caller."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import grpc

from services.parser.refusals import refusal
from waybill.runtime.channel import reading
from waybill.runtime.errors import NotFound, ServiceError, from_status
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.vendors.choosing import STORAGE
from waybill.vendors.health import told

if TYPE_CHECKING:
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

_PIECE_BYTES = 256 * 1024
_LONGEST_LINE_BYTES = 1024 * 1024


async def copied(pieces: AsyncIterator[bytes], into: BinaryIO, limit_bytes: int) -> str:
    """Copies what comes into a file and answers its SHA-256. Raises Quota DOCUMENT_TOO_LARGE."""
    digest, size = hashlib.sha256(), 0
    async for piece in pieces:
        size += len(piece)
        if size > limit_bytes:
            raise refusal("DOCUMENT_TOO_LARGE")
        digest.update(piece)
        into.write(piece)
    into.flush()
    return digest.hexdigest()


class Objects:
    """Objects of the current caller's tenant. Every method on these raises ServiceError for a failed call.

    Args:
        storage: Keeps them.
        health: Of that service, where a vendor may keep them; the library has no types.
    """

    def __init__(self, storage: ObjectStorageServiceAsyncStub, health: Any = None) -> None:
        self._storage = storage
        self._health = health
        self._away = False

    async def vendor_serves(self) -> bool:
        """Whether the vendor that keeps the objects does, as the health of storage has it."""
        try:
            self._away = self._health is not None and await told(self._health, STORAGE) is False
        except ServiceError:
            self._away = True
        return not self._away

    async def vendor_back(self) -> bool:
        """Whether it serves since, where it last did not."""
        return self._away and await self.vendor_serves()

    async def size(self, key: str) -> int:
        """Bytes of an object. Raises NotFound OBJECT_NOT_FOUND."""
        with _translated():
            return (await self._storage.StatObject(pb.StatObjectRequest(key=key))).object.size_bytes

    async def fetch(self, key: str, sha256: str, into: BinaryIO, limit_bytes: int) -> None:
        """Copies an object into a file.

        Raises:
            InvalidRequest: CHECKSUM_MISMATCH.
            Quota: DOCUMENT_TOO_LARGE.
        """
        if await copied(self._pieces(key), into, limit_bytes) != sha256:
            raise refusal("CHECKSUM_MISMATCH")

    async def last_line(self, key: str) -> bytes | None:
        """The last line of an object of lines, of 1 MiB at most, or None where there is no such object."""
        tail = b""
        try:
            async for piece in self._pieces(key):
                tail = (tail + piece)[-_LONGEST_LINE_BYTES:]
        except NotFound:
            return None
        return tail.rstrip(b"\n").rpartition(b"\n")[2]

    async def put(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Stores a file, from its start, as an object."""
        header = pb.PutObjectRequest.Header(
            key=key,
            size_bytes=file.seek(0, os.SEEK_END),
            sha256=await asyncio.to_thread(_sha256, file),
            content_type=content_type,
        )
        with _translated():
            await self._storage.PutObject(_put_requests(header, file))

    async def delete(self, key: str) -> bool:
        """Whether there was such an object; there is none now."""
        with _translated():
            return (await self._storage.DeleteObject(pb.DeleteObjectRequest(key=key))).deleted

    async def _pieces(self, key: str) -> AsyncIterator[bytes]:
        with _translated():
            async with reading(self._storage.GetObject(pb.GetObjectRequest(key=key))) as responses:
                async for response in responses:
                    yield response.data


async def _put_requests(
    header: pb.PutObjectRequest.Header, file: BinaryIO
) -> AsyncIterator[pb.PutObjectRequest]:
    yield pb.PutObjectRequest(header=header)
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield pb.PutObjectRequest(data=piece)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_status(error) from error
