"""Work goes side by side, but for what may end the process: that goes alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Turns in the order in which they are asked for, so that nobody waits for ever.

    Whoever asks for one must not wait for another that asks later.
    """

    def __init__(self) -> None:
        self._gate = asyncio.Lock()
        self._side_by_side = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def turn(self, *, alone: bool) -> AsyncIterator[None]:
        """A turn for the length of the block.

        Args:
            alone: Nothing else has its turn meanwhile; what asks later waits.
        """
        async with self._gate:
            if alone:
                await self._idle.wait()
                yield
                return
            self._side_by_side += 1
            self._idle.clear()
        try:
            yield
        finally:
            self._side_by_side -= 1
            if not self._side_by_side:
                self._idle.set()
