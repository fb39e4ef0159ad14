"""A loopback HTTP/1.1 server that can break on purpose, which a framework would not let it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from waybill.sim import wire
from waybill.sim.wire import Reply, Request

Handler = Callable[[Request], Awaitable[Reply]]


class HttpServer:
    """Listens on 127.0.0.1 from `up` to `down`, and again on the same port.

    The listening socket is watched directly: asyncio's own server opens in a coroutine, and a fault is
    armed and healed in a plain call.
    """

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self.port = port
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._connections = 0

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._listener is not None

    def up(self) -> None:
        """Takes connections; repeated, nothing.

        Raises:
            OSError: The port is taken.
        """
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def down(self, seconds: float | None = None) -> None:
        """Resets every connection and refuses new ones, for so long or until `up`."""
        if self._timer:
            self._timer.cancel()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for writer in self._writers:
            wire.reset(writer)
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.up)

    async def close(self) -> None:
        """Ends, with every connection."""
        self.down()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = asyncio.create_task(self._serve(connection, listener))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._ended(done, connection))

    def _ended(self, task: asyncio.Task[None], connection: socket.socket) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            connection.close()
        elif error := task.exception():
            asyncio.get_running_loop().call_exception_handler(
                {"message": "The simulator itself failed.", "exception": error}
            )

    async def _serve(self, connection: socket.socket, listener: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        if listener is not self._listener:
            # It went down between accepting and this.
            wire.reset(writer)
            return
        self._writers.add(writer)
        self._connections += 1
        try:
            # A file that is sent may be gone since it was looked up: then the reply ends with the connection.
            with contextlib.suppress(ConnectionError, FileNotFoundError):
                await self._converse(wire.Connection(reader, writer, self._connections))
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _converse(self, connection: wire.Connection) -> None:
        going_on = True
        while going_on:
            try:
                request = await connection.receive()
                if request is None:
                    return
                reply = await self._handler(request)
            except wire.Malformed as error:
                reply = Reply(error.status)
            going_on = await connection.send(reply)
