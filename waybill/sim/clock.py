"""Time as a simulated vendor sees it: the real one plus what a test has added, or one that stands still."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the epoch, for quotas and batches. Latency and outages are real time.

    Args:
        start: The clock stands at this second until it is advanced; None is real time.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._added = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return (time.time() if self._start is None else self._start) + self._added

    def advance(self, seconds: float) -> None:
        """Moves the clock forward.

        Raises:
            ValueError: It would go back.
        """
        if seconds < 0:
            raise ValueError("a clock goes forward only")
        self._added += seconds
