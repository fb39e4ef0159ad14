"""Looks after what runs wait for: wakes them, and ends what they have left behind.

Several orchestrators share the work: each row is looked at by who has its lease.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import structlog

from services.orchestrator.runs.context import in_trace
from services.orchestrator.runs.rows import WAITING_STATES, Row
from services.orchestrator.runs.store import Runs
from services.orchestrator.runs.waits import Wait, Waits, seldom
from waybill.runtime import identity
from waybill.runtime.clock import Now
from waybill.runtime.errors import ServiceError, Unavailable
from waybill.runtime.loops import repeating

# Also how often leases are renewed.
TICK_SECONDS = 1.0
AT_A_TIME = 32
# Between two looks that failed.
SOONEST_SECONDS, LATEST_SECONDS = 10.0, 60.0
log = structlog.get_logger()


class Kind(Protocol):
    """Knows the things of one kind that runs wait for."""

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again at what a run waits for; None: the run is to go on.

        Args:
            wait: What it waits for.
            row: The run's.
        """

    async def end(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """Ends what a run has left behind; when to look again, None: nothing is left of it."""


class WaitPoller:
    """One a process, for all tenants.

    Args:
        runs: Woken.
        waits: Looked at.
        kinds: By name.
        now: The time, in UTC.
    """

    def __init__(self, runs: Runs, waits: Waits, kinds: Mapping[str, Kind], now: Now) -> None:
        self._runs = runs
        self._waits = waits
        self._kinds = kinds
        self._now = now
        self._looks: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._more = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Polls until the block is left; what is looked at then is handed back."""
        try:
            async with repeating("waits of runs", self.poll, TICK_SECONDS, self._more):
                yield
        finally:
            looks = list(self._looks.values())
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
            with suppress(Unavailable):  # then the leases run out
                await self._waits.hand_back()

    async def poll(self) -> None:
        """Begins to look at what is due, side by side; one that takes long, or fails, stops no other."""
        room = AT_A_TIME - len(self._looks)
        due = await self._waits.claim_due(self._now(), room, self._looks.keys())
        for wait, row in due:
            self._looks[wait.wait_id] = asyncio.create_task(self._turn(wait, row, more=len(due) == room))

    async def _turn(self, wait: Wait, row: Row, *, more: bool) -> None:
        try:
            await self._look(wait, row)
        finally:
            del self._looks[wait.wait_id]
            # Several at once: each claim is a transaction.
            if more and len(self._looks) <= AT_A_TIME // 2:
                self._more.set()

    async def _look(self, wait: Wait, row: Row) -> None:
        facts = {"kind": wait.kind, "ref": wait.ref, "run_id": wait.run.run_id}
        try:
            look_at = await self._looked(wait, row)
        except Exception as error:
            look_at = seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)
            if isinstance(error, ServiceError):
                what = {"reason": error.reason, "message": error.message}
                log.warning("what a run waits for is looked at later", **facts, **what)
            else:
                # A defect of one kind must not keep the others from being looked at.
                log.exception("what a run waits for could not be looked at: report this", **facts)
        complete_by = row["complete_by"]
        if look_at and complete_by and self._now() < complete_by < look_at:
            look_at = complete_by
        try:
            await self._waits.let_go(wait, look_at)
        except ServiceError as error:
            # The next poll hands it back, and it is due still.
            log.warning("a look is not noted and done again", **facts, reason=error.reason)

    async def _looked(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """Looks once; answers when to look again, if at all."""
        kind, now, complete_by = self._kinds[wait.kind], self._now(), row["complete_by"]
        if wait.left_behind or row["state"] not in WAITING_STATES:
            with in_trace(wait.run, row, wait.kind):
                return await kind.end(wait, row)
        # Outside the run's trace, which would fill with looks in a day.
        asker = {name: row[name] for name in ("correlation_id", "subject", "credential_id")}
        with identity.acting_as(identity.Caller(wait.run.tenant, **asker)):
            late = complete_by is not None and now >= complete_by
            look_at = None if late else await kind.look(wait, row)
        if look_at is None:
            await self._runs.wake(wait.run)
            return now
        return look_at
