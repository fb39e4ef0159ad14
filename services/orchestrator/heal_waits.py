"""Degraded runs that are healed by themselves, once the vendor that they went without serves again.

Where a budget had refused them, no heal begins before that has room: it would be refused as the run was.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from enum import Enum

import structlog
from opentelemetry import context as otel_context

from services.orchestrator.budget_waits import BudgetWaits
from services.orchestrator.degrading import lacks
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import Wait, seldom
from services.orchestrator.vendor_waits import Vendors
from waybill.runtime.clock import Now
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.telemetry import unrecorded

SOONEST_SECONDS, LATEST_SECONDS = 2.0, 60.0
log = structlog.get_logger()


class Chance(Enum):
    """When a heal can come to something."""

    NOW = "now"
    # By itself, in time.
    LATER = "later"
    # Once somebody raises the budget that a run has for itself.
    BY_HAND = "by hand"


class HealWaits:
    """What degraded runs lack, as the poller looks at it: the run has ended, so there is only an end.

    Args:
        vendors: Asked whether they serve. None does that somebody has switched away from: a heal buys.
        budgets: Asked whether they have room.
        heal: Takes a run up again.
        now: The time, in UTC.
    """

    def __init__(
        self,
        vendors: Vendors,
        budgets: BudgetWaits,
        heal: Callable[[RunRef], Awaitable[Row]],
        now: Now,
    ) -> None:
        self._vendors = vendors
        self._budgets = budgets
        self._heal = heal
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """A run that is healed waits for other things."""
        return self._now() + datetime.timedelta(seconds=LATEST_SECONDS)

    async def end(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """Heals the run where something can be bought that it lacks.

        None: it is healed, or somebody else's matter, also where a budget of its own refuses it.
        """
        # Nobody wants to see in the run's trace how often the vendor was asked for.
        token = otel_context.attach(unrecorded())
        try:
            chances = [await self._chance(*lack, wait.run) for lack in lacks(row).items()]
            if Chance.NOW in chances:
                await self._heal(wait.run)
            elif Chance.LATER in chances:
                return seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)
            else:
                return None
        except (NotFound, Precondition) as error:
            log.info("a degraded run is left as it is", run_id=wait.run.run_id, reason=error.reason)
        else:
            log.info("a degraded run is taken up to be healed", run_id=wait.run.run_id)
        finally:
            otel_context.detach(token)
        return None

    async def _chance(self, service: str, blocked_on: str, run: RunRef) -> Chance:
        """Whether the vendor of a service could do its part of a run now."""
        if not await self._vendors.serve(service, gone=False):
            return Chance.LATER
        if not blocked_on:
            return Chance.NOW
        room = await self._budgets.room(blocked_on, run.run_id)
        if room.has_room:
            return Chance.NOW
        return Chance.BY_HAND if room.by_run else Chance.LATER
