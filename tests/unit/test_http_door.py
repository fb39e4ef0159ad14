"""HTTP doors of services: who stands still is shown out, and who moves is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.waiting import PATIENCE_SECONDS, until
from waybill.objects_settings import OBJECTS_HTTP
from waybill.runtime.config import ConfigError
from waybill.runtime.http_listener import Bounds, opened, serving

STILL_SECONDS = 0.5
LONG_BYTES = 64_000_000  # more than what sockets hold
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def takes(request: Request) -> Response:
    return Response(str(sum([len(piece) async for piece in request.stream()])))


async def gives(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LONG_BYTES // 100_000):
            yield bytes(100_000)

    return StreamingResponse(pieces(), headers={"content-length": str(LONG_BYTES)})


async def waits(request: Request) -> Response:
    loop = asyncio.get_running_loop()
    ends = loop.time() + STILL_SECONDS * 4

    async def is_done() -> bool:
        return loop.time() >= ends

    await until(is_done)
    return Response("done")


APP = Starlette(
    routes=[
        Route("/takes", takes, methods=["PUT"]),
        Route("/gives", gives),
        Route("/waits", waits),
    ]
)


@asynccontextmanager
async def connected() -> AsyncIterator[Streams]:
    door = opened("127.0.0.1:0", OBJECTS_HTTP)
    host, port = door.getsockname()
    async with serving(APP, door, Bounds(seconds=STILL_SECONDS, step_bytes=64 * 1024)) as listens:
        reader, writer = await asyncio.open_connection(host, port)
        yield reader, writer
        writer.close()
        assert await listens()
    assert not await listens()


async def ended(streams: Streams) -> bytes:
    """What still came before the server ended the connection."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await streams[0].read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /gives HT",
        b"PUT /takes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
    ],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_sends_no_more_is_shown_out(sent: bytes) -> None:
    async with connected() as streams:
        streams[1].write(sent)
        assert b"200" not in await ended(streams)


async def test_who_sends_a_byte_now_and_then_is_shown_out() -> None:
    async with connected() as (reader, writer):
        writer.write(b"PUT /takes HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        out = asyncio.create_task(ended((reader, writer)))
        while not out.done():
            writer.write(b"x")
            await asyncio.wait({out}, timeout=STILL_SECONDS / 10)
        assert b"200" not in await out


async def test_who_takes_nothing_is_shown_out() -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET /gives HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readexactly(12) == b"HTTP/1.1 200"
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's can

        async def is_over() -> bool:
            writer.write(b"x")  # how a client that does not read learns of its end
            return writer.is_closing()

        await until(is_over)


async def test_who_waits_for_the_service_is_served_however_long_it_takes() -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await ended((reader, writer))).endswith(b"done")


def test_a_door_that_cannot_be_opened_names_its_setting() -> None:
    with opened("127.0.0.1:0", OBJECTS_HTTP) as taken, pytest.raises(ConfigError, match="OBJECTS_HTTP"):
        opened(f"127.0.0.1:{taken.getsockname()[1]}", OBJECTS_HTTP)
    with pytest.raises(ConfigError, match="OBJECTS_HTTP"):
        opened("nonsense", OBJECTS_HTTP)
