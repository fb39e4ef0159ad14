"""A small HTTP listener beside a service's RPCs: a request a connection, in bounded time, few from one peer.

uvicorn waits for a request's head, for its body and for its reader as long as they like. Who sends a byte now
and then on every connection that there may be would keep all others out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from waybill.runtime.config import ConfigError
from waybill.runtime.settings import Setting

# What is under way when a service stops has so long to end.
DRAIN_SECONDS = 5
# Of a request's line and headers: a link may carry metadata.
_HEAD_BYTES = 64 * 1024
Listens = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take.

    Attributes:
        connections: In all; one more is closed at once.
        of_a_peer: From one address, which may be a proxy that speaks for many.
        seconds: From the connection to the end of its answer; then it is closed.
        step_bytes: Where it is not 0, for long transfers: `seconds` are the time in which so many bytes go
            one way or the other, as long as it is the peer who is waited for.
    """

    connections: int = 64
    of_a_peer: int = 16
    seconds: float = 15.0
    step_bytes: int = 0


def opened(bind: str, setting: Setting) -> socket.socket:
    """A socket that listens at host:port; port 0 takes a free one.

    Raises:
        ConfigError: The address is taken, or is none; the text names the setting.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot start: {setting.name} is {bind!r}: {error}") from None


@asynccontextmanager
async def serving(app: Any, door: socket.socket, bounds: Bounds) -> AsyncIterator[Listens]:
    """Serves an ASGI application on a socket that listens, while the block runs; then closes it.

    Yields what says whether it still does.
    """
    server = _Server(
        uvicorn.Config(
            app, http=_door(bounds), log_config=None, access_log=False, lifespan="off",
            # Else the time of a connection could end in its next request.
            headers=[("connection", "close")], server_header=False, proxy_headers=False,
            h11_max_incomplete_event_size=_HEAD_BYTES, timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )  # fmt: skip
    with door:
        task = asyncio.create_task(server.serve([door]))

        async def listens() -> bool:
            return not task.done()

        try:
            yield listens
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's."""
        yield


def _door(bounds: Bounds) -> type[H11Protocol]:
    class Door(H11Protocol):
        _ends: asyncio.TimerHandle | None = None
        # Since the last look: whether a request began, and what went one way and the other.
        _last: object = None
        _received_bytes = 0
        _taken_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            host = self.client[0] if self.client else ""
            doors = [one for one in self.connections if isinstance(one, Door)]
            of_the_peer = [one for one in doors if one.client and one.client[0] == host]
            if len(doors) > bounds.connections or len(of_the_peer) > bounds.of_a_peer:
                transport.abort()
                return
            self._ends = self.loop.call_later(bounds.seconds, self._time_is_up)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._ends is not None:
                self._ends.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._received_bytes += len(data)
            super().data_received(data)

        def resume_writing(self) -> None:
            """Called when all but a rest of a full buffer was taken."""
            low, high = self.transport.get_write_buffer_limits()
            self._taken_bytes += high - low
            super().resume_writing()

        def _time_is_up(self) -> None:
            if not bounds.step_bytes or (self._waits_for_peer() and not self._has_moved()):
                self.transport.abort()  # a close would wait for what nobody takes
                return
            self._last, self._received_bytes, self._taken_bytes = self.cycle, 0, 0
            self._ends = self.loop.call_later(bounds.seconds, self._time_is_up)

        def _has_moved(self) -> bool:
            moved = max(self._received_bytes, self._taken_bytes)
            return moved >= bounds.step_bytes or self.cycle is not self._last

        def _waits_for_peer(self) -> bool:
            if self.cycle is None or self.cycle.response_complete or self.transport.is_closing():
                return True
            return self.flow.write_paused or (self.cycle.more_body and not self.flow.read_paused)

    return Door
