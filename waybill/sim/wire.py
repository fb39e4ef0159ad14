"""HTTP/1.1: a request, its body as it comes, and a reply that leaves in one of several ways to break."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import h11

MOST_BODY_BYTES = 220 * 2**20
DRIP_SECONDS = 0.1
_MOST_HEAD_BYTES = 2**16
_PIECE_BYTES = 2**16
# How long a client may go on sending a body that nobody reads: a reset at once could overtake the reply.
_LINGER_SECONDS = 1.0


class Delivery(StrEnum):
    """How a reply leaves."""

    WHOLE = "whole"
    CHUNKED = "chunked"
    RESET = "reset"  # nothing is sent, the client's next read fails
    HALF = "half"  # half the announced body, then the sending side closes
    DRIP = "drip"  # the body at one byte per 100 ms
    SILENT = "silent"  # headers only, and the connection stays open
    STALL = "stall"  # nothing, and the connection stays open
    PAUSE = "pause"  # half the announced body, and the connection stays open
    STALE = "stale"  # whole; the next request on the connection finds it reset


_UNFINISHED = (Delivery.HALF, Delivery.SILENT, Delivery.PAUSE)


class Malformed(Exception):
    """What came is not HTTP that this server reads."""

    def __init__(self, status: int) -> None:
        self.status = status


async def _nothing() -> bytes:
    return b""


@dataclass(frozen=True)
class Request:
    """One request; header names in lower case.

    Args:
        path: As it was sent, percent signs and all.
        pairs: The query's, in order.
        body: Empty until `whole` has read it.
        piece: The body's next bytes as they come, none at its end. Raises ConnectionError where the client
            leaves before, Malformed where what comes is no body.
        connection: Which of the server's connections it came by, from 1.
        search: The query as it was sent.
    """

    method: str
    path: str
    pairs: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = b""
    piece: Callable[[], Awaitable[bytes]] = _nothing
    connection: int = 0
    search: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Of a name that is repeated, the last value."""
        return dict(self.pairs)

    @functools.cached_property
    def json(self) -> Any:
        """The body's JSON; None where there is none that can be read."""
        if not self.headers.get("content-type", "application/json").startswith("application/json"):
            return None
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None

    async def whole(self) -> Request:
        """This request with its body.

        Raises:
            Malformed: The body is too large to be held.
        """
        body = bytearray(self.body)
        announced = int(self.headers.get("content-length", 0))
        while announced <= MOST_BODY_BYTES and (piece := await self.piece()):
            body += piece
            announced = max(announced, len(body))
        if announced > MOST_BODY_BYTES:
            raise Malformed(413)
        return dataclasses.replace(self, body=bytes(body), piece=_nothing)


@dataclass(frozen=True)
class Stored:
    """A span of a file, which is sent without being held; it is cut as bytes are.

    Args:
        start: Its first byte.
        size: In bytes.
    """

    path: Path
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, span: slice) -> Stored:
        start, end, _ = span.indices(self.size)
        return Stored(self.path, self.start + start, max(0, end - start))

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces(_PIECE_BYTES))

    def pieces(self, most: int) -> Iterator[bytes]:
        """Its bytes, at most so many at once.

        Raises:
            OSError: The file is gone.
        """
        left = self.size
        with self.path.open("rb") as file:
            file.seek(self.start)
            while left and (piece := file.read(min(most, left))):
                left -= len(piece)
                yield piece


@dataclass(frozen=True)
class Reply:
    """One reply; its length is added when it is sent."""

    status: int
    body: bytes | Stored = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE


class Connection:
    """One client's connection, a request and its reply after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader, self._writer, self._number = reader, writer, number
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self._bodiless = False

    async def receive(self) -> Request | None:
        """The next request, its body unread; None where the client has closed.

        Raises:
            Malformed: It cannot be read.
        """
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        self._bodiless = event.method == b"HEAD"
        path, _, query = event.target.decode("ascii").partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        return Request(
            event.method.decode(), path, parse_qsl(query), headers, b"", self._piece, self._number, query
        )

    async def _piece(self) -> bytes:
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._parsed()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            received = await self._reader.read(_PIECE_BYTES)
            if not received and self._http.their_state is h11.SEND_BODY:
                raise ConnectionAbortedError("the client left in the middle of its body")
            self._http.receive_data(received)
        return event

    def _parsed(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise Malformed(error.error_status_hint) from error

    async def send(self, reply: Reply) -> bool:
        """Delivers a reply as it says; returns whether the connection can be used again."""
        if reply.delivery is Delivery.RESET:
            reset(self._writer)
            return False
        if reply.delivery is Delivery.STALL:
            await self._linger_on()
            return False
        whole_request = self._request_is_read()
        self._write(self._head(reply, close=not whole_request))
        await self._send_body(reply)
        if reply.delivery in _UNFINISHED:
            await self._linger_on()
            return False
        self._write(h11.EndOfMessage())
        await self._writer.drain()
        if reply.delivery is Delivery.STALE:
            await self._reader.read(1)
            reset(self._writer)
            return False
        if not whole_request:
            await self._linger()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _request_is_read(self) -> bool:
        """Passes over what has come of a body that nobody asked for; what has not come is not waited for."""
        with contextlib.suppress(Malformed):
            while self._http.their_state is h11.SEND_BODY and isinstance(self._parsed(), h11.Data):
                pass
        return self._http.their_state in (h11.DONE, h11.MUST_CLOSE)

    def _head(self, reply: Reply, close: bool) -> h11.Response:
        fields = {"server": "waybill-sim", **reply.headers}
        if reply.delivery is Delivery.CHUNKED:
            fields["transfer-encoding"] = "chunked"
        elif reply.status not in (204, 304):
            fields["content-length"] = str(len(reply.body))
        if close:
            fields["connection"] = "close"
        phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Simulated"
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        return h11.Response(status_code=reply.status, headers=headers, reason=phrase.encode())

    async def _send_body(self, reply: Reply) -> None:
        body = b"" if self._bodiless or reply.status in (204, 304) else reply.body
        if reply.delivery is Delivery.SILENT:
            body = b""
        elif reply.delivery in (Delivery.HALF, Delivery.PAUSE):
            body = body[: len(body) // 2]
        size = 1 if reply.delivery is Delivery.DRIP else _PIECE_BYTES
        for piece in _pieces(body, size):
            self._write(h11.Data(data=piece))
            await self._writer.drain()
            if reply.delivery is Delivery.DRIP:
                await asyncio.sleep(DRIP_SECONDS)
        if reply.delivery is Delivery.HALF:
            self._writer.write_eof()
        await self._writer.drain()

    async def _linger_on(self) -> None:
        """Until the client closes; what it still sends is not kept."""
        while await self._reader.read(_PIECE_BYTES):
            pass

    async def _linger(self) -> None:
        self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(_PIECE_BYTES):
                    pass

    def _write(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")


def _pieces(body: bytes | Stored, size: int) -> Iterator[bytes]:
    if isinstance(body, Stored):
        return body.pieces(size)
    return (body[start : start + size] for start in range(0, len(body), size))


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST, as a crash or a load balancer does."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
