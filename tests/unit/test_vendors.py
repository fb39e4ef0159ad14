"""Which vendors are asked after, and when what waits for them is due."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import cast

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.waits import Waits
from services.orchestrator.vendor_waits import Vendors
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.clock import utc_now


class Embedder:
    """Its health, its mode, and what waits for it; counts what is asked."""

    def __init__(self) -> None:
        self.mode = Mode.MODE_HYBRID
        self.serves = False
        self.asked = self.hastened = 0

    async def Check(  # noqa: N802 - gRPC names the method
        self, request: HealthCheckRequest, timeout: float
    ) -> HealthCheckResponse:
        kind = HealthCheckResponse
        return kind(status=kind.SERVING if self.serves else kind.NOT_SERVING)

    async def of(self, service: str) -> Mode:
        self.asked += 1
        return self.mode

    async def hasten(self, service: str, now: datetime.datetime) -> None:
        self.hastened += 1


async def test_a_vendor_is_not_asked_after_while_its_service_is_switched_to_local() -> None:
    embedder = Embedder()
    peers = cast(Peers, SimpleNamespace(healths={"embedder": embedder}))
    vendors = Vendors(peers, cast(Modes, embedder), cast(Waits, embedder), utc_now)
    assert not await vendors.serve("embedder", gone=True)
    embedder.mode = Mode.MODE_LOCAL
    await vendors.look()
    assert embedder.hastened == 1, "what waited does without it now"
    embedder.asked = 0
    await vendors.look()
    assert embedder.asked == 0

    embedder.mode, embedder.serves = Mode.MODE_HYBRID, True
    assert await vendors.serve("embedder", gone=False)
    assert embedder.hastened == 2, "it serves again"
    embedder.mode = Mode.MODE_LOCAL
    assert not await vendors.serve("embedder", gone=False)
    embedder.mode = Mode.MODE_HYBRID
    assert await vendors.serve("embedder", gone=False)
    assert embedder.hastened == 3, "the heals that waited for the switch are due"
