"""Runs whose step met a vendor that does not serve: they go on once it does."""

from __future__ import annotations

import datetime

import grpc
from grpc_health.v1 import health_pb2

from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, Waits, seldom
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.clock import Now
from waybill.runtime.errors import from_status
from waybill.vendors.choosing import vendor_of

SOONEST_SECONDS, LATEST_SECONDS = 1.0, 15.0
ASK_SECONDS = 5.0


class Vendors:
    """Whether vendors serve, as the health of their services has it; to ask costs nothing.

    The first look that finds a vendor back makes every other run's look due that waits for it.

    Args:
        peers: Asked.
        modes: Which ones stand.
        waits: What runs wait for.
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, modes: Modes, waits: Waits, now: Now) -> None:
        self._peers = peers
        self._modes = modes
        self._waits = waits
        self._now = now
        self._serving: set[str] = set()

    async def serve(self, service: str, *, gone: bool) -> bool:
        """Whether the vendor of a service does, and calls of it go through.

        Args:
            service: "storage", "parser" or "embedder".
            gone: The answer where the service has no vendor any more, or is switched away from it.

        Raises:
            ServiceError: The service does not answer.
        """
        if await self._modes.of(service) == Mode.MODE_LOCAL:
            return gone
        name = f"{service}/{vendor_of(service)}"
        try:
            serving = await self._serves(service, name) and await self._serves(service, f"{name}/breaker")
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return gone
            raise from_status(error) from error
        if not serving:
            self._serving.discard(service)
        elif service not in self._serving:
            self._serving.add(service)
            await self._waits.hasten(service, self._now())
        return serving

    async def _serves(self, service: str, name: str) -> bool:
        request = health_pb2.HealthCheckRequest(service=name)
        answer = await self._peers.healths[service].Check(request, timeout=ASK_SECONDS)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class VendorWaits:
    """Vendors that runs wait for, as the poller looks at them.

    Args:
        vendors: Asked.
        now: The time, in UTC.
    """

    def __init__(self, vendors: Vendors, now: Now) -> None:
        self._vendors = vendors
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once the vendor serves."""
        if await self._vendors.serve(wait.ref, gone=True):
            return None
        return seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)

    async def end(self, wait: Wait, row: Row) -> None:
        """Nothing is left of it anywhere."""
