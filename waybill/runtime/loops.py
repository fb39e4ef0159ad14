"""What a service does again and again in the background: no error ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

RETRY_SECONDS = 5.0
log = structlog.get_logger()


@asynccontextmanager
async def repeating(
    what: str, turn: Callable[[], Awaitable[object]], seconds: float, woken: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Takes a turn at once, then again and again; at the block's end it is cancelled and waited for.

    Args:
        what: Stands in the log.
        turn: What it raises is logged, and the next turn comes within RETRY_SECONDS.
        seconds: Between two turns.
        woken: Set from outside, it ends the pause.
    """
    task = asyncio.create_task(_repeat(what, turn, seconds, woken or asyncio.Event()))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(
    what: str, turn: Callable[[], Awaitable[object]], seconds: float, woken: asyncio.Event
) -> None:
    while True:
        woken.clear()
        pause = seconds
        try:
            await turn()
        except Exception as error:
            # Whoever relies on it would wait for ever.
            pause = min(seconds, RETRY_SECONDS)
            log.warning("a background loop goes on after an error", loop=what, exc_info=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await woken.wait()
