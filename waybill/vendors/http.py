"""An HTTP client that no answer can hurt: none is followed elsewhere, unpacked, or read without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx2

CONNECT_SECONDS = 5.0
KEEP_IDLE_SECONDS = 5.0


class TooLarge(httpx2.RequestError):
    """Stopped reading: it would not end, or would unpack to what does not."""


def bounded(silence_seconds: float, most_bytes: Callable[[httpx2.Request], int]) -> httpx2.AsyncClient:
    """A client; `async with` closes its connections.

    Args:
        silence_seconds: See `within`.
        most_bytes: Of the answer to a request. One with more is a TooLarge before it is in memory.
    """
    return httpx2.AsyncClient(
        follow_redirects=False,
        timeout=within(silence_seconds),
        limits=httpx2.Limits(max_connections=None, keepalive_expiry=KEEP_IDLE_SECONDS),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [partial(_bound, most_bytes)]},
    )


def within(silence_seconds: float) -> httpx2.Timeout:
    """Bounds each silence. Nothing was sent while connecting: told apart, so that it leaves no doubt."""
    return httpx2.Timeout(silence_seconds, connect=CONNECT_SECONDS, pool=None)


async def _bound(most_bytes: Callable[[httpx2.Request], int], response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TooLarge("it is compressed, though that was not accepted")
    response.stream = _BoundStream(response.stream, most_bytes(response.request))


class _BoundStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._inner:
            read += len(part)
            if read > self._most_bytes:
                raise TooLarge("it is too large")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
