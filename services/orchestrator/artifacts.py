"""A parsed document as it comes: its pages, piece by piece, never the whole of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from services.orchestrator.chunks.cutting import Block, Page
from waybill.runtime import deadline
from waybill.runtime.channel import reading
from waybill.runtime.errors import Deadline, VendorContract
from waybill.runtime.retry import insist
from waybill.storage.v1.object_storage_service_pb2 import GetObjectRequest

if TYPE_CHECKING:
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

# One call each: a stream over the whole would run into its deadline, or be read anew after a restart.
RANGE_BYTES = 1024 * 1024


async def lines(
    objects: ObjectStorageServiceAsyncStub, key: str, patience_seconds: float
) -> AsyncIterator[list[bytes]]:
    """The lines of an artifact, about RANGE_BYTES at a time; waits out restarts of storage.

    Raises:
        VendorContract: PAGES_INCOMPLETE.
    """
    rest = b""
    async for piece in pieces(objects, key, patience_seconds):
        *whole, rest = (rest + piece).split(b"\n")
        yield whole
    if rest:
        raise _incomplete()


async def pieces(
    objects: ObjectStorageServiceAsyncStub, key: str, patience_seconds: float
) -> AsyncIterator[bytes]:
    """An object, about RANGE_BYTES at a time; waits out restarts of storage.

    Raises:
        VendorContract: PAGES_INCOMPLETE.
    """
    offset, size = 0, 1
    while offset < size:
        read = partial(_range, objects, key, offset)
        patience = deadline.remaining_seconds(patience_seconds) or 0.0
        piece, size = await insist(read, seconds=patience, also=(Deadline,))
        if not piece:
            raise _incomplete()
        offset += len(piece)
        yield piece


def pages(artifact_lines: Iterable[bytes]) -> Iterator[Page]:
    """Pages of lines of the artifact; its last line, which says how the document was read, is none."""
    for row in map(json.loads, artifact_lines):
        if "page" in row:
            yield Page(row["page"], row["markdown"], [Block(**block) for block in row.get("blocks", ())])


def _incomplete() -> VendorContract:
    text = "What is stored of the document ends early. Delete it, then ingest it again."
    return VendorContract("PAGES_INCOMPLETE", text)


async def _range(objects: ObjectStorageServiceAsyncStub, key: str, offset: int) -> tuple[bytes, int]:
    """A range of an object, and the size of the whole."""
    request = GetObjectRequest(key=key, offset_bytes=offset, limit_bytes=RANGE_BYTES)
    data, size = bytearray(), 0
    async with reading(objects.GetObject(request)) as answers:
        async for answer in answers:
            data += answer.data
            size = size or answer.object.size_bytes
    return bytes(data), size
