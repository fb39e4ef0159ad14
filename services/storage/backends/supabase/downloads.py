"""An object's bytes, over as many connections as it takes: each goes on where the last one broke."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from services.storage.backends.port import ObjectSpec
from services.storage.backends.supabase import errors
from services.storage.backends.supabase.sdk import Supabase
from waybill.runtime import identity
from waybill.vendors.calls import not_waiting

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


async def pieces(
    storage: Supabase, tenant: str, path: str, start: int, end: int, size_bytes: int
) -> AsyncGenerator[bytes]:
    """The bytes of an object from `start` to before `end`, as they come.

    Args:
        storage: Open.
        tenant: Whose the object is.
        path: The object's, in the bucket.
        start: First byte.
        end: The byte behind the last one.
        size_bytes: Of the whole object; another one at the vendor is no answer.

    Raises:
        ServiceError: Once no repeat helps. What came until then is right as far as its size goes.
    """
    download = _Download(storage, tenant, path, start, end, size_bytes)
    # A run waits by itself, without a place.
    who = identity.caller_or_none()
    try:
        while download.at < end:
            with not_waiting(who is not None and bool(who.run_id)):
                piece = await storage.repeated(download.more)
            yield piece
    finally:
        await download.close()


async def verified(content: AsyncIterator[bytes], spec: ObjectSpec) -> AsyncGenerator[bytes]:
    """A whole object's pieces; the last one comes only if the hash of all is right.

    Raises:
        VendorContract: VENDOR_ANSWER_INVALID.
    """
    digest, held = hashlib.sha256(), b""
    async for piece in content:
        digest.update(piece)
        if held:
            yield held
        held = piece
    if digest.hexdigest() != spec.sha256:
        raise errors.not_an_answer("has other bytes than were stored")
    if held:
        yield held


class _Download:
    """A download under way.

    Attributes:
        at: The byte that comes next.
    """

    def __init__(
        self, storage: Supabase, tenant: str, path: str, start: int, end: int, size_bytes: int
    ) -> None:
        self.at = start
        self._end = end
        self._size_bytes = size_bytes
        self._storage = storage
        self._tenant = tenant
        self._url = f"{storage.base_url}/object/authenticated/{storage.bucket}/{path}"
        self._response: httpx2.Response | None = None
        self._parts: AsyncIterator[bytes] | None = None

    async def more(self) -> bytes:
        """The next bytes, over a connection that is opened where there is none: one attempt."""
        try:
            if self._parts is None:
                self._parts = await self._open()
            async with self._storage.attempt():
                piece = await anext(self._parts, b"")
        except BaseException:
            await self.close()
            raise
        if not piece:
            await self.close()
            raise errors.lost()
        self._storage.came(self._tenant, len(piece))
        if len(piece) > self._end - self.at:
            await self.close()
            raise errors.not_an_answer("has more bytes than were asked for")
        self.at += len(piece)
        return piece

    async def close(self) -> None:
        """Ends the connection."""
        response, self._response, self._parts = self._response, None, None
        if response is not None:
            await response.aclose()

    async def _open(self) -> AsyncIterator[bytes]:
        whole = (self.at, self._end) == (0, self._size_bytes)
        wanted = {} if whole else {"Range": f"bytes={self.at}-{self._end - 1}"}
        http = self._storage.http
        async with self._storage.turn() as headers:
            request = http.build_request("GET", self._url, headers={**headers, **wanted})
            self._response = await http.send(request, stream=True)
            if self._response.status_code not in (200, 206):
                await self._response.aread()
                raise httpx2.HTTPStatusError("", request=request, response=self._response)
            self._judge(self._response, whole=whole)
        return self._response.aiter_raw()

    def _judge(self, response: httpx2.Response, *, whole: bool) -> None:
        """Raises what an answer earns that is about other bytes."""
        if whole:
            length = response.headers.get("content-length", str(self._size_bytes))
            if response.status_code != 200 or length != str(self._size_bytes):
                raise errors.not_an_answer("has another size than was stored")
            return
        told = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        expected = (self.at, self._end - 1, self._size_bytes)
        if response.status_code != 206 or told is None or tuple(map(int, told.groups())) != expected:
            raise errors.not_an_answer("has another range than was asked for")
