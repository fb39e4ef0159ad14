"""A way to a server on this machine that is cut at places a test chooses, or goes silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

_READ_BYTES = 16 * 1024


class Way:
    """Connections to a server; each cut ends, without a word, the connection that reaches its place.

    Attributes:
        passed_bytes: What went in the direction that is cut, over all connections.
        address: host:port to connect to.
        flows: Cleared, nothing passes, as if the server had stopped.
    """

    def __init__(self, port: int, places: Iterable[int], *, up: bool) -> None:
        self.passed_bytes = 0
        self.address = ""
        self.flows = asyncio.Event()
        self.flows.set()
        self._port = port
        self._places = sorted(places)
        self._up = up

    @property
    def cuts_left(self) -> int:
        """Places that were not reached."""
        return len(self._places)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        to_server = await asyncio.open_connection("127.0.0.1", self._port)
        ends = (writer, to_server[1])
        up = self._pump(reader, to_server[1], ends, cut=self._up)
        down = self._pump(to_server[0], writer, ends, cut=not self._up)
        await asyncio.gather(up, down, return_exceptions=True)
        for end in ends:
            end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
        *,
        cut: bool,
    ) -> None:
        while content := await reader.read(_READ_BYTES):
            if cut:
                self.passed_bytes += len(content)
                if self._places and self.passed_bytes >= self._places[0]:
                    while self._places and self.passed_bytes >= self._places[0]:
                        del self._places[0]
                    for end in ends:
                        end.transport.abort()
                    return
            await self.flows.wait()
            writer.write(content)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def way(port: int, places: Iterable[int] = (), *, up: bool = True) -> AsyncIterator[Way]:
    """A way to a port of this machine.

    Args:
        port: The server's.
        places: Bytes passed in all when a connection is cut.
        up: Counted from client to server; else from server to client.
    """
    made = Way(port, places, up=up)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
