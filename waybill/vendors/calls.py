"""Calls to one vendor: each is `retrying(breaker(call))`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from waybill.vendors.breaker import Breaker
from waybill.vendors.retrying import Policy, retrying

T = TypeVar("T")
# Twice as long as a breaker is open at most.
BACK_SECONDS = 2.0


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

    async def make(self, call: Callable[[], Awaitable[T]], *, while_down: bool = True) -> T:
        """Makes a call until it succeeds, or need not be repeated.

        Args:
            call: The vendor's.
            while_down: It is repeated also while the vendor is down; else only so long that a vendor which is
                back is noticed, since whoever calls goes on without it.

        Raises:
            ServiceError: The last one.
        """
        ends_at = self._clock() + BACK_SECONDS

        def gives_up() -> bool:
            return not while_down and not self.breaker.closed and self._clock() >= ends_at

        return await self._repeated(partial(self.breaker.call, call), self._policy, gives_up=gives_up)
