"""What this process does for one job at a time, and how that is stopped and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from services.parser.jobs import Superseded

T = TypeVar("T")


class Work:
    """The task that brings one job to its end.

    A stop cuts off only those parts that leave nothing behind (waiting, reading, parsing). A hold or a
    Put on its way is let through: cut off, it might still take effect after it has been tidied away.

    Attributes:
        task: Ends with the work.
        changed: Set at the job's next change; take it before you read the job.
        stopped: Whether it is to end.
    """

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.stopped = False
        self._part: asyncio.Future[Any] | None = None

    def tell(self) -> None:
        """Wakes whoever waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    def stop(self) -> None:
        """Cuts off the part under way, or the next one that may be."""
        if not self.stopped and self._part is not None:
            self._part.cancel()
        self.stopped = True

    async def stoppable(self, part: Callable[[], Awaitable[T]]) -> T:
        """Does a part that a stop may cut off; it has ended when this returns. Raises Superseded."""
        if self.stopped:
            raise Superseded
        self._part = running = asyncio.ensure_future(part())
        try:
            return await running
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.stopped and task is not None and not task.cancelling():
                raise Superseded from None
            raise
        finally:
            self._part = None


class Slots:
    """So many jobs at a time; a job that is suspected of killing its process has no neighbours."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._alone = asyncio.Lock()

    async def take(self, held: AsyncExitStack, *, alone: bool) -> None:
        """Waits for a turn, in the order of asking; it lasts as long as `held`."""
        if alone:
            await held.enter_async_context(self._alone)
        for _ in range(self._size if alone else 1):
            await held.enter_async_context(self._free)
