"""How many calls a server works on at a time, and how many of them may be one tenant's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from waybill.runtime.errors import Unavailable

MOST_CALLS = 256
RETRY_SECONDS = 0.5


class CallLimit:
    """Refuses what is too much at once. At most half is one tenant's, so that others get in."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        self._most = most
        self._calls: Counter[str] = Counter()

    @contextmanager
    def held(self, tenant: str) -> Iterator[None]:
        """Counts a call for the length of the block.

        Raises:
            Unavailable: TOO_MANY_CALLS.
        """
        if self._calls.total() >= self._most or self._calls[tenant] >= self._most // 2:
            raise Unavailable(
                "TOO_MANY_CALLS",
                f"This server works on {self._most} calls at a time, and on half as many of one tenant."
                " Repeat in a moment.",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._calls[tenant] += 1
        try:
            yield
        finally:
            self._calls[tenant] -= 1
            if not self._calls[tenant]:
                del self._calls[tenant]
