"""A small HTTP listener beside a service's RPCs: a request a connection, within seconds, few from one peer.

uvicorn waits for a request's head as long as its sender likes. Who sends a byte now and then on every
connection that there may be would keep all others out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take.

    Attributes:
        connections: In all; one more is closed at once.
        of_a_peer: From one address, which may be a proxy that speaks for many.
        seconds: From the connection to the end of its answer; then it is closed.
    """

    connections: int = 64
    of_a_peer: int = 16
    seconds: float = 15.0


@asynccontextmanager
async def serving(app: Any, opened: socket.socket, bounds: Bounds) -> AsyncIterator[None]:
    """Serves an ASGI application on a socket that listens, while the block runs."""
    server = _Server(
        uvicorn.Config(
            app, http=_door(bounds), log_config=None, access_log=False, lifespan="off",
            # Else the time of a connection could end in its next request.
            headers=[("connection", "close")], server_header=False, proxy_headers=False,
        )
    )  # fmt: skip
    task = asyncio.create_task(server.serve([opened]))
    try:
        yield
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

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            host = self.client[0] if self.client else ""
            doors = [one for one in self.connections if isinstance(one, Door)]
            of_the_peer = [one for one in doors if one.client and one.client[0] == host]
            if len(doors) > bounds.connections or len(of_the_peer) > bounds.of_a_peer:
                transport.abort()
                return
            self._ends = self.loop.call_later(bounds.seconds, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._ends is not None:
                self._ends.cancel()
            super().connection_lost(exc)

    return Door
