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
    what: str,
    turn: Callable[[], Awaitable[object]],
    seconds: float,
    woken: asyncio.Event | None = None,
    *,
    most_seconds: float | None = None,
) -> AsyncIterator[None]:
    """Takes a turn at once, then again and again; at the block's end it is cancelled and waited for.

    Args:
        what: Stands in the log.
        turn: What it raises is logged, and the next turn comes within RETRY_SECONDS; while it goes on to
            fail, the pause doubles each time.
        seconds: Between two turns.
        woken: Set from outside, it ends the pause.
        most_seconds: Between two turns that fail; `seconds` where nothing is said.
    """
    most = seconds if most_seconds is None else most_seconds
    task = asyncio.create_task(_repeat(what, turn, seconds, most, woken or asyncio.Event()))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(
    what: str, turn: Callable[[], Awaitable[object]], seconds: float, most: float, woken: asyncio.Event
) -> None:
    retry = first = min(seconds, RETRY_SECONDS)
    while True:
        woken.clear()
        pause = seconds
        try:
            await turn()
            retry = first
        except Exception as error:
            # Whoever relies on it would wait for ever.
            pause, retry = retry, min(2 * retry, most)
            log.warning(
                "a background loop goes on after an error", loop=what, again_in_seconds=pause, exc_info=error
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await woken.wait()
