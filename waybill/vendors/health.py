"""How a vendor is, from free probes: cached, and steady where a single probe is not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2

from waybill.runtime import semconv
from waybill.runtime.errors import Credential, Precondition, ServiceError, from_status
from waybill.runtime.telemetry import Telemetry
from waybill.vendors.breaker import Breaker
from waybill.vendors.choosing import vendor_of
from waybill.vendors.registry import Vendor

Probe = Callable[[], Awaitable[bool]]
FRESH_SECONDS = 30.0
AGAIN_SECONDS = 2.0
MISSES = 3
ASK_SECONDS = 5.0
log = structlog.get_logger()


class VendorHealth:
    """Two answers: whether the vendor works for us, and whether it takes our key.

    A bad key, or a model that the key does not have, counts at once: no repeat mends it. Silence counts
    after several misses; before the first good probe it counts at once. What a call met is looked at with
    the next question, also while a good probe holds.

    Args:
        probe: Free of charge; raises a ServiceError.
        clock: Monotonic seconds.
        fresh_seconds: How long a good probe holds.
        suspect: Whether a call since then says otherwise.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Callable[[], float] = time.monotonic,
        fresh_seconds: float = FRESH_SECONDS,
        suspect: Callable[[], bool] = lambda: False,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._suspect = suspect
        self._due_at = 0.0
        self._misses = MISSES
        self._reason = "UNKNOWN"
        self._key_good = True

    async def works(self) -> bool:
        """Whether a request would be served."""
        # What is known to be ill is asked again soon by itself.
        if (not self._reason and self._suspect()) or self._clock() >= self._due_at:
            await self._look()
        return not self._reason

    async def takes_key(self) -> bool:
        """Whether our key is good, as far as the last probe could tell."""
        await self.works()
        return self._key_good

    async def _look(self) -> None:
        # Before the probe, so that those who ask meanwhile do not probe as well.
        self._due_at = self._clock() + AGAIN_SECONDS
        try:
            await self._asked()
        except ServiceError as error:
            self._note(error)
            return
        self._misses, self._key_good = 0, True
        self._due_at = self._clock() + self._fresh_seconds
        self._become("", "")

    async def _asked(self) -> None:
        try:
            await self._probe()
        except Credential as error:
            # While keys are rotated the old one is refused once, with another at hand.
            if error.retry_after_seconds is None:
                raise
            await self._probe()

    def _note(self, error: ServiceError) -> None:
        if isinstance(error, Credential):
            self._key_good = False
            self._become("CREDENTIAL", error.message)
        elif isinstance(error, Precondition) and error.retry_after_seconds is None:
            self._become(error.reason, error.message)
        else:
            self._misses += 1
            if self._misses >= MISSES:
                self._become(error.reason, error.message)

    def _become(self, reason: str, message: str) -> None:
        if reason != self._reason:
            if reason:
                log.warning("vendor is not well", reason=reason, message=message)
            else:
                log.info("vendor is well")
            self._reason = reason


def watched(
    vendor: Vendor,
    probe: Probe,
    breaker: Breaker,
    telemetry: Telemetry,
    fresh_seconds: float = FRESH_SECONDS,
) -> Mapping[str, Probe]:
    """A vendor in the health of its service, by name, and its breaker among the metrics.

    Args:
        vendor: Which.
        probe: See VendorHealth.
        breaker: Before the vendor. A probe that succeeds closes it too, so that it does not stay open for
            want of calls.
        telemetry: Of the service.
        fresh_seconds: See VendorHealth.
    """
    through = partial(breaker.call, probe)
    health = VendorHealth(through, fresh_seconds=fresh_seconds, suspect=lambda: breaker.suspect)
    telemetry.gauge(semconv.BREAKER_OPEN, lambda: int(not breaker.closed), {semconv.VENDOR: vendor.name})

    async def is_closed() -> bool:
        return breaker.closed

    name = f"{vendor.service}/{vendor.name}"
    return {name: health.works, f"{name}/credential": health.takes_key, f"{name}/breaker": is_closed}


async def told(health: Any, service: str) -> bool | None:
    """Whether a service says that its vendor serves, and calls of it go through; None: it has no vendor.

    Args:
        health: A stub of the service's health; the library has no types.
        service: "storage", "parser" or "embedder".

    Raises:
        ServiceError: The service does not answer.
    """
    name = f"{service}/{vendor_of(service)}"
    for part in (name, f"{name}/breaker"):
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=part), timeout=ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise from_status(error) from error
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return False
    return True
