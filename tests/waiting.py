"""Waiting in tests for what has no event: another process, a file, a row."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 0.01
# On a machine that is much slower, too.
PATIENCE_SECONDS = 90.0


def eventually(
    holds: Callable[[], bool],
    what: str,
    seconds: float = PATIENCE_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> None:
    """Waits until a condition holds; fails with `what` it waited for. Ask seldom what is dear to ask."""
    ends_at, pause = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < ends_at, f"waited {seconds} s in vain: {what}"
        pause.wait(pause_seconds)


def settled(look: Callable[[], list[str]], seconds: float = PATIENCE_SECONDS) -> list[str]:
    """What is still wrong after a while, as `look` tells it; nothing as soon as it finds nothing."""
    complaints: list[str] = []

    def holds() -> bool:
        nonlocal complaints
        complaints = look()
        return not complaints

    try:
        eventually(holds, "everything holds", seconds)
    except AssertionError:
        return complaints
    return []


async def turns(count: int = 1) -> None:
    """So many turns of the loop: in each, every task that can go on does; nothing outside is waited for."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(
    holds: Callable[[], bool | Awaitable[bool]],
    seconds: float = PATIENCE_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> None:
    """The same without a word, beside a running loop; the condition may ask a service each time."""
    async with asyncio.timeout(seconds):
        while not (answer if isinstance(answer := holds(), bool) else await answer):  # noqa: ASYNC110 - no event
            await asyncio.sleep(pause_seconds)
