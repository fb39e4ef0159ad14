"""HTTP/1.1 as bytes on a stream: a request is read whole, a reply leaves in one of several ways to break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

MOST_BODY_BYTES = 220 * 2**20
DRIP_SECONDS = 0.1
_CHUNK_BYTES = 64 * 2**10


class Delivery(StrEnum):
    """How a reply leaves."""

    WHOLE = "whole"
    CHUNKED = "chunked"
    RESET = "reset"  # nothing is sent, the client's next read fails
    HALF = "half"  # half the announced body, then the sending side closes
    DRIP = "drip"  # the body at one byte per 100 ms
    SILENT = "silent"  # headers only, and the connection stays open
    STALE = "stale"  # whole; the next request on the connection finds it reset


@dataclass(frozen=True)
class Request:
    """One request; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One reply; its length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE


class Malformed(Exception):
    """What came is not HTTP that this server reads."""

    def __init__(self, status: int) -> None:
        self.status = status


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request; None where the client has closed.

    Raises:
        Malformed: It cannot be read.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise
        return None
    except asyncio.LimitOverrunError as error:
        raise Malformed(431) from error
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    try:
        method, target, _version = first.split(" ")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        parts = urlsplit(target)
    except ValueError as error:
        raise Malformed(400) from error
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await _read_body(reader, headers)
    return Request(method, parts.path, dict(parse_qsl(parts.query)), headers, body)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(_size(headers.get("content-length", "0"), 10, 0))
    pieces: list[bytes] = []
    total = 0
    while size := _size((await reader.readuntil(b"\r\n")).split(b";")[0].decode("latin-1"), 16, total):
        pieces.append((await reader.readexactly(size + 2))[:-2])
        total += size
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(pieces)


def _size(text: str, base: int, before: int) -> int:
    try:
        size = int(text, base)
    except ValueError as error:
        raise Malformed(400) from error
    if size < 0:
        raise Malformed(400)
    if before + size > MOST_BODY_BYTES:
        raise Malformed(413)
    return size


async def send(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Delivers a reply as it says; returns whether the connection can be used again."""
    if reply.delivery is Delivery.RESET:
        reset(writer)
        return False
    writer.write(_head(reply))
    match reply.delivery:
        case Delivery.CHUNKED:
            for start in range(0, len(reply.body), _CHUNK_BYTES):
                piece = reply.body[start : start + _CHUNK_BYTES]
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        case Delivery.DRIP:
            for place in range(len(reply.body)):
                writer.write(reply.body[place : place + 1])
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
        case Delivery.HALF:
            writer.write(reply.body[: len(reply.body) // 2])
            writer.write_eof()
        case Delivery.WHOLE | Delivery.STALE:
            writer.write(reply.body)
    await writer.drain()
    if reply.delivery in (Delivery.HALF, Delivery.SILENT):
        await reader.read()
        return False
    if reply.delivery is Delivery.STALE:
        await reader.read(1)
        reset(writer)
        return False
    return True


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST, as a crash or a load balancer does."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()


def _head(reply: Reply) -> bytes:
    length = (
        {"transfer-encoding": "chunked"}
        if reply.delivery is Delivery.CHUNKED
        else {"content-length": str(len(reply.body))}
    )
    fields = {"server": "waybill-sim", **reply.headers, **length}
    phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Simulated"
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
