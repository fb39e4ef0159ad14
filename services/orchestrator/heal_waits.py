"""Degraded runs that are healed by themselves, once the vendor that they went without serves again.

Where a budget had refused them, no heal begins before that has room: it would be refused as the run was.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from enum import Enum

import structlog
from grpc_health.v1 import health_pb2
from opentelemetry import context as otel_context

from services.orchestrator.budget_waits import BudgetWaits
from services.orchestrator.degrading import lacks
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import Wait, seldom
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.telemetry import unrecorded
from waybill.vendors.choosing import vendor_of

SOONEST_SECONDS, LATEST_SECONDS = 2.0, 60.0
ASK_SECONDS = 5.0
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
        peers: Asked how their vendors are.
        modes: Which ones stand: a heal buys, which nobody wants who has switched to local.
        budgets: Asked whether they have room.
        heal: Takes a run up again.
        now: The time, in UTC.
    """

    def __init__(
        self,
        peers: Peers,
        modes: Modes,
        budgets: BudgetWaits,
        heal: Callable[[RunRef], Awaitable[Row]],
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._peers = peers
        self._modes = modes
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
            log.info("a degraded run is healed", run_id=wait.run.run_id)
        finally:
            otel_context.detach(token)
        return None

    async def _chance(self, service: str, blocked_on: str, run: RunRef) -> Chance:
        """Whether the vendor of a service could do its part of a run now."""
        if not await self._serves(service):
            return Chance.LATER
        if not blocked_on:
            return Chance.NOW
        room = await self._budgets.room(blocked_on, run.run_id)
        if room.has_room:
            return Chance.NOW
        return Chance.BY_HAND if room.by_run else Chance.LATER

    async def _serves(self, service: str) -> bool:
        """As the service's health has it, which asks the vendor by itself; no, while nobody wants it."""
        if await self._modes.of(service) == Mode.MODE_LOCAL:
            return False
        name = f"{service}/{vendor_of(service)}"
        request = health_pb2.HealthCheckRequest(service=name)
        answer = await self._peers.healths[service].Check(request, timeout=ASK_SECONDS)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
