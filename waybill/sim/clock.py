"""Time as a simulated vendor sees it: the real one plus what a test has added, or one that stands still."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(order=True)
class Timer:
    """One call at one time; equal times keep the order in which they were set."""

    due: float
    number: int
    call: Callable[[], None] = field(compare=False)

    def cancel(self) -> None:
        """It never comes; after it came, nothing."""
        self.call = lambda: None


class Clock:
    """Seconds since the epoch, for quotas and whatever takes its time. Latency and outages are real time.

    Args:
        start: The clock stands at this second until it is advanced; None is real time.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._added = 0.0
        self._numbers = itertools.count()
        self._timers: list[Timer] = []
        self._wake: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Seconds since the epoch."""
        return (time.time() if self._start is None else self._start) + self._added

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        """Sets a timer. It is called when the clock is there, from the event loop or from `advance`."""
        timer = Timer(due, next(self._numbers), call)
        heapq.heappush(self._timers, timer)
        self._arm()
        return timer

    def advance(self, seconds: float) -> None:
        """Moves the clock forward. At each timer on the way the clock stands at its time and it is called.

        Raises:
            ValueError: It would go back.
        """
        if seconds < 0:
            raise ValueError("a clock goes forward only")
        end = self._added + seconds
        while self._timers and self._timers[0].due <= self.now() + end - self._added:
            timer = heapq.heappop(self._timers)
            self._added += max(0.0, timer.due - self.now())
            timer.call()
        self._added = end
        self._arm()

    def stop(self) -> None:
        """Forgets every timer."""
        self._timers.clear()
        self._arm()

    def _arm(self) -> None:
        if self._wake:
            self._wake.cancel()
            self._wake = None
        if not self._timers:
            return
        wait = max(0.0, self._timers[0].due - self.now())
        if self._start is None or wait == 0:
            self._wake = asyncio.get_running_loop().call_later(wait, self.advance, 0.0)
