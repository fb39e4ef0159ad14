"""Our bounded client under an SDK that knows httpx alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import httpx
import httpx2


def bridged(client: httpx2.AsyncClient) -> httpx.AsyncClient:
    """A client whose every request goes out by ours, with its bounds; it adds none of its own.

    What ours raises reaches the SDK as it is, and is the `__cause__` of the SDK's error.
    """
    return httpx.AsyncClient(
        transport=_Bridge(client),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(**client.timeout.as_dict()),
    )


def response_of(response: httpx.Response) -> httpx2.Response:
    """An answer that was read, as one of ours."""
    return httpx2.Response(response.status_code, headers=response.headers.raw, content=response.content)


class _Bridge(httpx.AsyncBaseTransport):
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = cast("httpx.AsyncByteStream", request.stream)
        sent = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            stream=_Sent(body),
            extensions={"timeout": request.extensions["timeout"]},
        )
        answer = await self._client.send(sent, stream=True)
        return httpx.Response(answer.status_code, headers=answer.headers.raw, stream=_Received(answer))


class _Sent(httpx2.AsyncByteStream):
    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part


class _Received(httpx.AsyncByteStream):
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_raw():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()
