"""Runs whose step needs services of ours that are away: they go on once those answer."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from opentelemetry import context as otel_context

from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, Waits
from waybill.runtime.clock import Now
from waybill.runtime.telemetry import unrecorded

# Between two looks at what waits; whoever asks sooner hears what the last one was told.
LOOK_SECONDS = 5.0
ASK_SECONDS = 3.0
_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Services:
    """Which services of ours do not answer.

    Args:
        healths: A stub of each one's health, by name; the library has no types.
        clock: Monotonic seconds.
    """

    def __init__(self, healths: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._healths = healths
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: Sequence[str] = ()
        self._stale_at = float("-inf")

    async def away(self) -> Sequence[str]:
        """Their names."""
        async with self._asking:
            if self._clock() >= self._stale_at:
                names = sorted(self._healths)
                answer = await asyncio.gather(*(self._answers(name) for name in names))
                self._known = [name for name, answers in zip(names, answer, strict=True) if not answers]
                self._stale_at = self._clock() + LOOK_SECONDS
            return self._known

    async def _answers(self, name: str) -> bool:
        # Nobody wants to see in a run's trace how often this is asked.
        token = otel_context.attach(unrecorded())
        try:
            await self._healths[name].Check(health_pb2.HealthCheckRequest(), timeout=ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() not in _SILENT
        finally:
            otel_context.detach(token)
        return True


class ServiceWaits:
    """What waits for services of ours, as the poller looks at it.

    Args:
        services: Asked.
        waits: Are told while one is away.
        now: The time, in UTC.
    """

    def __init__(self, services: Services, waits: Waits, now: Now) -> None:
        self._services = services
        self._waits = waits
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once those answer that it missed, or all where it names none."""
        away, missed = await self._services.away(), wait.ref.split()
        if not (set(away).intersection(missed) if missed else away):
            return None
        await self._waits.away(wait)
        return self._now() + datetime.timedelta(seconds=LOOK_SECONDS)

    async def end(self, wait: Wait, row: Row) -> None:
        """Nothing is left of it anywhere."""
