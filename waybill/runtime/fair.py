"""Places that many want: who waits gets one by turns, over tenants first and then over each one's works."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """A number of places in one process. First come is first served only within one work.

    Args:
        places: How many may be taken at a time.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        # By tenant, then by work; whose turn comes next stands first.
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}

    @asynccontextmanager
    async def turn(self, tenant: str, work: str = "") -> AsyncIterator[None]:
        """Takes a place for the length of the block.

        Args:
            tenant: However much it wants, every other one that waits has as many turns.
            work: The same among the works of one tenant, for instance its runs.
        """
        await self._take(tenant, work)
        try:
            yield
        finally:
            self._give()

    async def _take(self, tenant: str, work: str) -> None:
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, {}).setdefault(work, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._give()  # it had been given just before
            raise

    def _give(self) -> None:
        while self._waiting:
            place = self._next()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        """Takes out whose turn it is; its work and its tenant go behind the others."""
        tenant = next(iter(self._waiting))
        works = self._waiting.pop(tenant)
        work = next(iter(works))
        places = works.pop(work)
        place = places.popleft()
        if places:
            works[work] = places
        if works:
            self._waiting[tenant] = works
        return place
