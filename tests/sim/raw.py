"""A client that sees the bytes: no pool, no retry, no opinion."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_SECONDS

SMALL = "text-embedding-3-small"
KEY = "sk-test-0000000000"


@dataclass(frozen=True)
class Seen:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        code: str | None = self.json["error"]["code"]
        return code


@dataclass(frozen=True)
class Line:
    """One open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        fields = {"host": "127.0.0.1", "authorization": f"Bearer {KEY}", "content-length": str(len(body))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items() if value),
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def head(self) -> Seen:
        """Status and headers."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Seen(int(first.split()[1]), headers, b"")

    async def receive(self, method: str = "GET") -> Seen:
        """A whole reply; raises IncompleteReadError or ConnectionResetError where it is not whole."""
        head = await self.head()
        if method == "HEAD" or head.status == 204:
            return head
        if head.headers.get("transfer-encoding") != "chunked":
            body = await self.reader.readexactly(int(head.headers["content-length"]))
            return Seen(head.status, head.headers, body)
        pieces = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return Seen(head.status, head.headers, b"".join(pieces))


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Line]:
    """A connection to a simulator's port, for 20 seconds at most."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(url: str, method: str, path: str, body: object = None, **headers: str) -> Seen:
    """One request with a JSON body, on a connection of its own."""
    content = b"" if body is None else json.dumps(body).encode()
    async with connected(url) as line:
        await line.send(method, path, content, **headers)
        return await line.receive()


async def embed(url: str, *texts: str, **more: Any) -> Seen:
    """One request for embeddings."""
    return await ask(url, "POST", "/v1/embeddings", {"model": SMALL, "input": list(texts), **more})
