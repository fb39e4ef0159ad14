"""Who watches a run is told when its row changes: not too often, of its end at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from services.orchestrator.runs.rows import FINAL_STATES, Row

# Changes that follow each other faster are one answer: each costs a read of the run and of its bill.
PACE_SECONDS = 0.5
# A change made by another replica is seen after this at the latest.
RECHECK_SECONDS = 2.0


@dataclass
class _Watch:
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0
    newest: Row | None = None


class Watches:
    """The runs that are watched through this process."""

    def __init__(self, pace_seconds: float = PACE_SECONDS, recheck_seconds: float = RECHECK_SECONDS) -> None:
        self._pace_seconds, self._recheck_seconds = pace_seconds, recheck_seconds
        self._watches: dict[str, _Watch] = defaultdict(_Watch)

    async def follow(
        self, run_id: str, find: Callable[[], Awaitable[Row]], seen_revision: int
    ) -> AsyncIterator[Row]:
        """A run's row, when its revision is above the one seen, until it is final.

        What this process changes is told with its row; what another one does, `find` reads.
        """
        watch = self._watches[run_id]
        watch.watchers += 1
        told = None
        try:
            while True:
                changed, ended = watch.changed, watch.ended
                row = told if told and told["revision"] > seen_revision else await find()
                if row["revision"] > seen_revision:
                    seen_revision = row["revision"]
                    yield row
                if row["state"] in FINAL_STATES:
                    return
                await _set_within(ended, self._pace_seconds)
                await _set_within(changed, self._recheck_seconds - self._pace_seconds)
                told = watch.newest
        finally:
            watch.watchers -= 1
            if watch.watchers == 0:
                self._watches.pop(run_id, None)

    def tell(self, row: Row) -> None:
        """Lets who watches a run see its row, without delay if it has ended."""
        watch = self._watches.get(str(row["run_id"]))
        if watch is None:
            return
        if watch.newest is None or row["revision"] > watch.newest["revision"]:
            watch.newest = row
        watch.changed.set()
        watch.changed = asyncio.Event()
        if row["state"] in FINAL_STATES:
            watch.ended.set()
            watch.ended = asyncio.Event()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
