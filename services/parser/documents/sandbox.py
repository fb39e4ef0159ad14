"""The only door for a file that we did not write: a short-lived, confined child process.

PDFium aborts its whole process when memory runs out, and a PDF of 2.4 KB can make it so. Each document
is therefore opened in a child of its own (see `child.py`) that can spend only what `Limits` allows.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.parser.documents import processes
from services.parser.documents.answer import CRASHED, Answer
from services.parser.documents.limits import READY, Limits
from services.parser.documents.tesseract import Tesseract
from services.parser.pages import Pages
from services.parser.refusals import refusal
from waybill.runtime.errors import ServiceError, Unavailable

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from services.parser.documents.child import main; main()"
)
_IMPORT_ROOT = str(Path(__file__).resolve().parents[3])
_START_SECONDS = 20.0
_REAP_SECONDS = 5.0


class Sandbox:
    """Reads documents in confined children, at most one a core at a time.

    Attributes:
        crashes: How often the parser itself failed on a document.
        apart: Where what is no parse is read, so that neither takes the other's place; itself, unless
            `open` made another.
    """

    def __init__(self, limits: Limits, size: int, tesseract: Tesseract | None = None) -> None:
        self.crashes = 0
        self.apart = self
        self._limits = limits
        self._tesseract = tesseract and (tesseract.command, dict(tesseract.environment))
        self._servers = [_ForkServer(limits) for _ in range(size)]
        self._idle: asyncio.LifoQueue[_ForkServer] = asyncio.LifoQueue()
        for server in self._servers:
            self._idle.put_nowait(server)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, limits: Limits, size: int, tesseract: Tesseract | None = None, apart: int = 0
    ) -> AsyncIterator[Sandbox]:
        """A sandbox of `size` fork servers, started when first needed, gone when the block is left.

        Where there is a Tesseract, pages without text are recognised. `apart` are fork servers beside them.
        """
        sandbox = cls(limits, size, tesseract)
        beside = cls(limits, apart, tesseract)
        if apart:
            sandbox.apart = beside
        try:
            yield sandbox
        finally:
            for server in (*sandbox._servers, *beside._servers):
                await server.stop()

    async def check(self) -> bool:
        """Whether a document would be read: an idle fork server runs, or all are at work."""
        if not self._idle.empty():
            async with self._server() as server:
                await server.ensure()
        return True

    async def count(self, document: int, filename: str, pages: Pages) -> int:
        """Pages of the document behind a file descriptor. Raises as `read`.

        Where a format has no count of its own, the document is read for it, and `pages` has them all.
        """
        return await self._read(document, filename, pages, count_only=True)

    async def read(self, document: int, filename: str, pages: Pages) -> int:
        """Reads the pages of a document, in order; answers how many.

        Raises:
            InvalidRequest: A reason that a document earns (`refusals`), PARSER_CRASHED.
            Quota: DOCUMENT_TOO_LARGE, PARSE_TIMEOUT.
            Unavailable: SANDBOX_UNAVAILABLE: no child can be started on this machine now.
        """
        return await self._read(document, filename, pages, count_only=False)

    async def _read(self, document: int, filename: str, pages: Pages, *, count_only: bool) -> int:
        request = {
            "filename": filename, "count_only": count_only, "limits": asdict(self._limits),
            "tesseract": self._tesseract,
        }  # fmt: skip
        for _ in range(2):
            pages.clear()
            answer = Answer(pages)
            async with self._server() as server:
                await server.ensure()
                try:
                    code = await server.ask(request, document, answer.take)
                except TimeoutError:
                    raise refusal("PARSE_TIMEOUT") from None
                except _ServerLost:
                    continue  # somebody killed it, who may never have seen the document
            return self._counted(answer, code)
        self.crashes += 1
        raise refusal(CRASHED)

    def _counted(self, answer: Answer, code: int) -> int:
        try:
            return answer.page_count_or_refusal(code)
        except ServiceError as error:
            self.crashes += error.reason == CRASHED
            raise

    @property
    def pids(self) -> list[int]:
        """The fork servers that have been started."""
        return [server.pid for server in self._servers if server.pid]

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[_ForkServer]:
        server = await self._idle.get()
        try:
            yield server
        finally:
            self._idle.put_nowait(server)


class _ServerLost(Exception):
    """A fork server ended, or answered out of turn, while a document was with it."""


class _ForkServer:
    """One clean process that forks a child for each document, one at a time; restarted when it dies."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._in_step = False

    @property
    def pid(self) -> int:
        """The server's process, 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    async def ensure(self) -> socket.socket:
        """The control socket of a living server that waits for work."""
        alive = self._process is not None and self._process.returncode is None
        if self._control is None or not alive or not self._in_step:
            await self.stop()
            self._control = await self._start()
            self._in_step = True
        return self._control

    async def ask(
        self, request: Mapping[str, Any], document: int, take: Callable[[list[bytes]], None]
    ) -> int:
        """Gives each whole line that the child writes away; answers its exit code (negative: a signal's).

        Raises:
            TimeoutError: It was stuck, and killed.
            _ServerLost: Nobody knows how it ended.
        """
        control = await self.ensure()
        read_end, write_end = os.pipe()
        self._in_step = False
        try:
            socket.send_fds(control, [json.dumps(request).encode()], [document, write_end])
        except OSError as error:
            os.close(read_end)
            raise _ServerLost from error
        finally:
            os.close(write_end)
        try:
            await self._read(read_end, take)
        finally:
            code = await self._reap(control)
        return code

    async def stop(self) -> None:
        """Ends the server; end of file makes it kill its child first."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                async with asyncio.timeout(_REAP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
            self._process = None

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with ExitStack() as unless_started:
            unless_started.enter_context(ours)
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-c", _BOOT, _IMPORT_ROOT,
                    stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL, env={}, cwd="/",
                    start_new_session=True,
                )  # fmt: skip
            ours.setblocking(False)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    greeting = await asyncio.get_running_loop().sock_recv(ours, 64)
            except (TimeoutError, OSError) as error:
                raise _unavailable(error) from error
            if greeting != READY:
                raise _unavailable(None)
            unless_started.pop_all()
        return ours

    async def _read(self, read_end: int, take: Callable[[list[bytes]], None]) -> None:
        """Takes what the child writes, up to what JSON can make of the most text a document may have."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        size, rest = 0, b""
        try:
            while piece := await self._next_piece(reader):
                *lines, rest = (rest + piece).split(b"\n")
                size += len(piece)
                if size > 2 * self._limits.output_bytes or len(rest) > self._limits.line_bytes:
                    raise refusal("DOCUMENT_TOO_LARGE")
                if lines:
                    await asyncio.to_thread(take, lines)
        finally:
            transport.close()

    async def _next_piece(self, reader: asyncio.StreamReader) -> bytes:
        """Raises TimeoutError when the child neither says nor computes anything for long."""
        spent = processes.cpu_ticks(self.pid)
        while True:
            try:
                async with asyncio.timeout(self._limits.silent_seconds):
                    return await reader.read(1 << 18)
            except TimeoutError:
                before, spent = spent, processes.cpu_ticks(self.pid)
                if spent == before:
                    raise

    async def _reap(self, control: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_REAP_SECONDS):
                await loop.sock_sendall(control, b"r")
                answer = await loop.sock_recv(control, 64)
        except (TimeoutError, OSError) as error:
            raise _ServerLost from error
        if not answer.endswith(b"\n"):
            raise _ServerLost
        self._in_step = True
        return int(answer)


def _unavailable(error: BaseException | None) -> Unavailable:
    return Unavailable(
        "SANDBOX_UNAVAILABLE",
        f"The confined process for documents does not answer ({type(error).__name__}). Repeat in a moment; "
        "the parser's log says why it cannot start.",
        retry_after_seconds=0.5,
    )
