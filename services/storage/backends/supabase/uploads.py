"""Bytes to the vendor: small objects in one request, larger ones in parts that a cut does not lose.

In memory is one part. The last one is sent when the content has ended, with size and hash as announced: until
then the vendor has no object.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from urllib.parse import urlsplit

import httpx2

from services.storage.backends.port import ObjectSpec
from services.storage.backends.supabase import errors
from services.storage.backends.supabase.sdk import Headers, Supabase
from waybill.runtime.errors import Precondition, Unavailable

# What hosted projects demand of every part but the last (facts: Supabase, 5).
PART_BYTES = 6 * 1024 * 1024
# Of one attempt to send a part.
PART_SECONDS = 120.0
SLICE_BYTES = 64 * 1024
_UPLOAD_ID = re.compile(r"[A-Za-z0-9_.=~%+-]{1,2048}")
# Media types that the migration of the bucket allows.
_TAKEN = re.compile(r"(application|image|message|text)/[A-Za-z0-9!#$&^_.+-]+( *;.*)?")
_TUS = {"Tus-Resumable": "1.0.0"}


async def send(
    storage: Supabase,
    path: str,
    spec: ObjectSpec,
    content: AsyncIterator[bytes],
    note: Callable[[str], Awaitable[None]],
) -> None:
    """Sends an object to a path that has none, and sees that it is there, whole.

    Args:
        storage: Open.
        path: In the bucket; no other object ever has it.
        spec: What is sent.
        content: Its bytes; it raises unless they are what `spec` says.
        note: Told the id of a resumable upload, before bytes go into it.

    Raises:
        ServiceError: Also what `content` raises. The vendor may have the object then, or not.
    """
    if spec.size_bytes <= PART_BYTES:
        async with aclosing(parts(content, spec.size_bytes)) as whole:
            async for part in whole:
                await storage.repeated(partial(_put, storage, path, spec.content_type, part))
    else:
        await _Resumable(storage, path, spec, note).send(content)
    await _confirm(storage, path, spec.size_bytes)


async def parts(content: AsyncIterator[bytes], size_bytes: int) -> AsyncGenerator[memoryview, None]:
    """The content in parts of PART_BYTES; each is overwritten by the next, and the last comes when all have.

    Args:
        content: At most `size_bytes`.
        size_bytes: Of all.
    """
    buffer, filled = memoryview(bytearray(min(size_bytes, PART_BYTES))), 0
    async for piece in content:
        left = memoryview(piece)
        while left:
            if filled == len(buffer):
                yield buffer
                filled = 0
            taken = left[: len(buffer) - filled]
            buffer[filled : filled + len(taken)] = taken
            filled, left = filled + len(taken), left[len(taken) :]
    yield buffer[:filled]


async def _put(storage: Supabase, path: str, content_type: str, part: memoryview) -> None:
    """One attempt. A repeat writes the same bytes to the same path again (F7)."""
    url = f"{storage.base_url}/object/{storage.bucket}/{path}"
    about = {"Content-Type": sent_type(content_type), "x-upsert": "true"}
    async with storage.turn(PART_SECONDS) as headers:
        await _answer(storage, "POST", url, {**headers, **about}, part)


def sent_type(content_type: str) -> str:
    """What the vendor is told, who refuses types that the bucket does not take; ours is in the row.

    It takes a multipart type's bytes for a form, and would store what is in that.
    """
    return content_type if _TAKEN.fullmatch(content_type) else "application/octet-stream"


async def _confirm(storage: Supabase, path: str, size_bytes: int) -> None:
    """Raises unless the vendor has so many bytes there (F21)."""
    try:
        size = await storage.size_of(path)
    except Precondition as error:
        raise _again(error) from None
    if size != size_bytes:
        raise errors.not_an_answer(f"is that it has {size} bytes of {size_bytes}")


class _Resumable:
    """An upload in parts, by TUS 1.0 (facts: Supabase, 5)."""

    def __init__(
        self, storage: Supabase, path: str, spec: ObjectSpec, note: Callable[[str], Awaitable[None]]
    ) -> None:
        self._storage = storage
        self._size_bytes = spec.size_bytes
        self._note = note
        names = {
            "bucketName": storage.bucket,
            "objectName": path,
            "contentType": sent_type(spec.content_type),
        }
        pairs = (f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in names.items())
        self._about = {"Upload-Length": str(spec.size_bytes), "Upload-Metadata": ",".join(pairs)}
        self._url = ""
        # An attempt may have stored some of the part that it sent.
        self._unsure = False

    async def send(self, content: AsyncIterator[bytes]) -> None:
        """Sends all of it. Raises ServiceError."""
        await self._storage.repeated(self._create)
        await self._note(self._url.rpartition("/")[2])
        start = 0
        async with aclosing(parts(content, self._size_bytes)) as whole:
            async for part in whole:
                try:
                    await self._storage.repeated(partial(self._patch, start, part))
                except Precondition as error:
                    last = start + len(part) == self._size_bytes
                    if self._unsure and last and error.reason == errors.MISSING:
                        return  # it may have ended with the lost reply; whether it did is asked next
                    raise _again(error) from None
                start += len(part)

    async def _create(self) -> None:
        url = f"{self._storage.base_url}/upload/resumable"
        async with self._storage.turn(refused=errors.of_creation) as headers:
            about = {**headers, **_TUS, **self._about, "x-upsert": "true"}
            response = await _answer(self._storage, "POST", url, about)
        # The server names a host of its own liking, and https always (F28): the key goes to ours alone.
        upload_id = urlsplit(response.headers.get("location", "")).path.rpartition("/")[2]
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise errors.not_an_answer("names no upload")
        self._url = f"{url}/{upload_id}"

    async def _patch(self, start: int, part: memoryview) -> None:
        """One attempt to send what the vendor does not have of a part."""
        async with self._storage.turn(PART_SECONDS, errors.of_upload) as headers:
            at = await self._offset(headers) if self._unsure else start
            end = start + len(part)
            if not start <= at <= end:
                raise errors.not_an_answer("has another length than was sent")
            if at == end:
                self._unsure = False
                return
            self._unsure = True
            about = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
            response = await _answer(
                self._storage, "PATCH", self._url, {**headers, **_TUS, **about}, part[at - start :]
            )
            if response.headers.get("upload-offset") != str(end):
                raise errors.lost()
            self._unsure = False

    async def _offset(self, headers: Headers) -> int:
        response = await _answer(self._storage, "HEAD", self._url, {**headers, **_TUS})
        told = response.headers.get("upload-offset", "")
        if not told.isascii() or not told.isdigit():
            raise errors.not_an_answer("names no offset")
        return int(told)


async def terminate(storage: Supabase, upload_id: str) -> None:
    """Ends a resumable upload that nobody goes on with, if it is there."""

    async def attempt() -> None:
        url = f"{storage.base_url}/upload/resumable/{upload_id}"
        async with storage.turn(refused=errors.of_upload) as headers:
            await _answer(storage, "DELETE", url, {**headers, **_TUS})

    try:
        await storage.repeated(attempt)
    except Precondition as error:
        if error.reason != errors.MISSING:
            raise


async def _answer(
    storage: Supabase, method: str, url: str, headers: Headers, body: memoryview | None = None
) -> httpx2.Response:
    """One request's answer. Raises httpx2.HTTPStatusError unless it is a success."""
    length = {} if body is None else {"Content-Length": str(len(body))}
    content = None if body is None else _slices(body)
    response = await storage.http.request(method, url, headers={**headers, **length}, content=content)
    if not response.is_success:
        raise httpx2.HTTPStatusError("", request=response.request, response=response)
    return response


async def _slices(body: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(body), SLICE_BYTES):
        yield bytes(body[start : start + SLICE_BYTES])


def _again(error: Precondition) -> Precondition | Unavailable:
    """What the vendor has forgotten cannot be mended here, but by putting the object again (F18)."""
    if error.reason != errors.MISSING:
        return error
    return Unavailable(error.reason, error.message, error.metadata)
