"""Degraded runs that are healed by themselves, once the vendor that they went without serves again."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable

import structlog
from grpc_health.v1 import health_pb2
from opentelemetry import context as otel_context

from services.orchestrator.degrading import HEALABLE
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import Wait, seldom
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.telemetry import unrecorded
from waybill.vendors.choosing import OVER_BUDGET, vendor_of

SOONEST_SECONDS, LATEST_SECONDS = 2.0, 60.0
ASK_SECONDS = 5.0
log = structlog.get_logger()


class HealWaits:
    """What degraded runs lack, as the poller looks at it: the run has ended, so there is only an end.

    Args:
        peers: Asked how their vendors are.
        heal: Takes a run up again.
        now: The time, in UTC.
    """

    def __init__(
        self, peers: Peers, heal: Callable[[RunRef], Awaitable[Row]], now: Callable[[], datetime.datetime]
    ) -> None:
        self._peers = peers
        self._heal = heal
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """A run that is healed waits for other things."""
        return self._now() + datetime.timedelta(seconds=LATEST_SECONDS)

    async def end(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """Heals the run where the vendor serves; None: it is healed, or somebody else's matter."""
        choice = row["backends"].get(wait.ref, {})
        if row["state"] != "READY_DEGRADED" or row["reason"] not in HEALABLE:
            return None
        if choice.get("reason") == OVER_BUDGET:
            return None  # the vendor serves all the while
        # Nobody wants to see in the run's trace how often the vendor was asked for.
        token = otel_context.attach(unrecorded())
        try:
            if not await self._serves(wait.ref):
                return seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)
            await self._heal(wait.run)
        except (NotFound, Precondition) as error:
            log.info("a degraded run is left as it is", run_id=wait.run.run_id, reason=error.reason)
        else:
            log.info("a degraded run is healed", run_id=wait.run.run_id)
        finally:
            otel_context.detach(token)
        return None

    async def _serves(self, service: str) -> bool:
        """As the service's health has it, which asks the vendor by itself."""
        name = f"{service}/{vendor_of(service)}"
        request = health_pb2.HealthCheckRequest(service=name)
        answer = await self._peers.healths[service].Check(request, timeout=ASK_SECONDS)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
