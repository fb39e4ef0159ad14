"""A simulator in a thread of its own, for synchronous and asynchronous tests alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Protocol

from waybill.sim.remote import Remote


class Reachable(Protocol):
    """A running simulator."""

    @property
    def base_url(self) -> str:
        """The vendor's address."""

    @property
    def control_url(self) -> str:
        """The simulator's own."""


_Ready = Future[tuple[Remote, asyncio.AbstractEventLoop, asyncio.Event]]


@contextmanager
def threaded(simulator: AbstractAsyncContextManager[Reachable], key: str) -> Iterator[Remote]:
    """Runs a simulator that has not been entered until the block ends.

    Args:
        simulator: What starts it.
        key: An API key that is good there.
    """
    ready: _Ready = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(simulator, key, ready)), name="simulator")
    thread.start()
    try:
        remote, loop, stop = ready.result()
        try:
            yield remote
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join()


async def _serve(simulator: AbstractAsyncContextManager[Reachable], key: str, ready: _Ready) -> None:
    stop = asyncio.Event()
    try:
        async with simulator as running:
            remote = Remote(running.base_url, running.control_url, key)
            ready.set_result((remote, asyncio.get_running_loop(), stop))
            await stop.wait()
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)
