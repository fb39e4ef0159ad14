"""Calls to one vendor: each is `retrying(breaker(call))`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from waybill.runtime.errors import Quota
from waybill.vendors.breaker import Breaker
from waybill.vendors.retrying import Policy, retrying

T = TypeVar("T")
# Twice as long as a breaker is open at most.
BACK_SECONDS = 2.0


_waits: ContextVar[bool] = ContextVar("waybill_waits_for_vendor", default=True)


@contextmanager
def not_waiting(go_on: bool) -> Iterator[None]:
    """Inside, a vendor that is down is asked only so long that one which is back is noticed.

    So is one that refuses every call for its rate limit, after `Policy.limited_seconds` of that.

    Args:
        go_on: Whoever calls goes on without the vendor; else all is as outside.
    """
    token = _waits.set(_waits.get() and not go_on)
    try:
        yield
    finally:
        _waits.reset(token)


class Calls:
    """Makes them.

    Args:
        vendor: Its name.
        policy: How a failed call is repeated.
        sleep: Waits so many seconds.
        clock: Monotonic seconds.

    Attributes:
        breaker: Leaves a vendor alone that is down.
    """

    def __init__(
        self,
        vendor: str,
        policy: Policy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker = Breaker(vendor)
        self._policy = policy or Policy()
        self._clock = clock
        self._repeated = partial(retrying, sleep=sleep, clock=clock)
        # Since when every call was refused for the vendor's rate limit, and when the last one was.
        self._limited: tuple[float, float] | None = None

    async def make(self, call: Callable[[], Awaitable[T]]) -> T:
        """Makes a call until it succeeds, or need not be repeated; see also `not_waiting`.

        Args:
            call: The vendor's.

        Raises:
            ServiceError: The last one.
        """
        waits, ends_at = _waits.get(), self._clock() + BACK_SECONDS

        def gives_up() -> bool:
            down = not self.breaker.closed and self._clock() >= ends_at
            return not waits and (down or self._limited_seconds() >= self._policy.limited_seconds)

        return await self._repeated(partial(self._called, call), self._policy, gives_up=gives_up)

    async def _called(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await self.breaker.call(call)
        except Quota as error:
            if error.retry_after_seconds is not None:
                self._note_limit()
            raise
        self._limited = None
        return result

    def _note_limit(self) -> None:
        now = self._clock()
        since, last = self._limited or (now, now)
        # Those who wait ask about once a minute; nothing is known of a longer pause.
        self._limited = (since if now - last <= 2 * self._policy.limited_seconds else now), now

    def _limited_seconds(self) -> float:
        """How long the vendor has refused every call."""
        since, last = self._limited or (0.0, 0.0)
        return last - since
