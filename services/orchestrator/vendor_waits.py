"""Runs whose step met a vendor that does not serve: they go on once it does, or the mode does without it."""

from __future__ import annotations

import datetime
from contextlib import AbstractAsyncContextManager

import grpc

from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, Waits
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.backend_service_pb2 import GetBackendRequest
from waybill.runtime.clock import Now
from waybill.runtime.errors import from_status
from waybill.runtime.loops import repeating
from waybill.vendors.choosing import STORAGE
from waybill.vendors.health import ASK_SECONDS, told

# Between two looks at what waits for a vendor: where that is back, `Vendors` makes the next one due.
LOOK_SECONDS = 15.0
# So much later a vendor is known to be back, or a mode to be another.
WATCH_SECONDS = 1.0


class Vendors:
    """Whether vendors serve, as the health of their services has it; to ask costs nothing.

    One that does not is asked after until it does. Then, and where the mode of its service changes meanwhile,
    the look is due at each run that waits for it.

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
        # Those that do not, by service, with the mode that stood when that was seen.
        self._away: dict[str, Mode] = {}

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Asks after those that do not serve, until the block is left."""
        return repeating("vendors that do not serve", self.look, WATCH_SECONDS)

    async def look(self) -> None:
        """Asks after them once."""
        for service, mode in list(self._away.items()):
            now = await self._modes.of(service)
            if now != mode:
                self._away[service] = now
                await self._waits.hasten(service, self._now())
            await self.serve(service, gone=True)

    async def serve(self, service: str, *, gone: bool) -> bool:
        """Whether the vendor of a service does, and calls of it go through.

        Args:
            service: "storage", "parser" or "embedder".
            gone: The answer where the service has no vendor any more, or is switched away from it.

        Raises:
            ServiceError: The service does not answer.
        """
        mode = await self._modes.of(service)
        if mode == Mode.MODE_LOCAL:
            # Nobody waits for it. Once that is switched back, it is news whether it serves.
            self._away.pop(service, None)
            self._serving.discard(service)
            return gone
        serving = await told(self._peers.healths[service], service)
        if serving is None:
            return gone
        if not serving:
            self._serving.discard(service)
            self._away.setdefault(service, mode)
        elif service not in self._serving:
            self._serving.add(service)
            self._away.pop(service, None)
            await self._waits.hasten(service, self._now())
        return serving

    async def done_without(self, service: str) -> bool:
        """Whether runs go on without the vendor of a service now, by its mode. Raises as `serve`."""
        asked = GetBackendRequest(mode=await self._modes.of(service))
        try:
            found = await self._peers.backends[service].GetBackend(asked, timeout=ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_status(error) from error
        return service != STORAGE and found.choice.mode == Mode.MODE_HYBRID


class VendorWaits:
    """Vendors that runs wait for, as the poller looks at them.

    Args:
        vendors: Asked.
        waits: Are told of those that do not serve.
        now: The time, in UTC.
    """

    def __init__(self, vendors: Vendors, waits: Waits, now: Now) -> None:
        self._vendors = vendors
        self._waits = waits
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once the vendor serves, or the run goes on without it."""
        if await self._vendors.serve(wait.ref, gone=True) or await self._vendors.done_without(wait.ref):
            return None
        await self._waits.away(wait)
        return self._now() + datetime.timedelta(seconds=LOOK_SECONDS)

    async def end(self, wait: Wait, row: Row) -> None:
        """Nothing is left of it anywhere."""
