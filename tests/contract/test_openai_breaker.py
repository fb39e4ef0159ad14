"""The breaker's state, as health and as a metric that leaves the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import at, embedder, failure, new_run
from tests.contract.makers_ledger import no_run
from tests.inprocess import Recorder
from tests.waiting import PATIENCE_SECONDS
from waybill.runtime import identity, semconv
from waybill.runtime.telemetry import Telemetry
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import simulator

HEALTH = "embedder/openai/breaker"


class Collector(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Keeps the last value of the breaker's gauge."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self.last: tuple[str, int] | None = None

    async def Export(self, request: pb.ExportMetricsServiceRequest, context: object) -> object:  # noqa: N802
        scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
        for metric in (one for scope in scopes for one in scope.metrics if one.name == semconv.BREAKER_OPEN):
            (point,) = metric.gauge.data_points
            (vendor,) = [one.value.string_value for one in point.attributes if one.key == semconv.VENDOR]
            async with self._changed:
                self.last = vendor, point.as_int
                self._changed.notify_all()
        return pb.ExportMetricsServiceResponse()

    async def sees(self, value: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.last == ("openai", value))


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    server, collector = grpc.aio.server(), Collector()
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # no stubs
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)


@dataclass
class Reporting(Recorder):
    """Telemetry as a process has it, and not a test.

    Attributes:
        metrics: Where they go.
    """

    metrics: str = ""
    made: list[Telemetry] = field(default_factory=list)

    def telemetry(self, service: str) -> Telemetry:
        self.made.append(Telemetry.to_collectors(service, [], self.metrics))
        return self.made[-1]


async def becomes(stub: health_pb2_grpc.HealthStub, status: health_pb2.HealthCheckResponse) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=HEALTH)):
            if answer.status == status:
                return


async def test_an_open_breaker_is_seen_in_health_and_metrics_until_it_closes(
    database: MigratedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as (collector, address), simulator(OpenAISettings(latency_seconds=0)) as sim:
        reporting = Reporting(metrics=address)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
        async with (
            embedder(database, at(sim), reporting) as bench,
            grpc.aio.insecure_channel(bench.address) as bare,
        ):
            health = health_pb2_grpc.HealthStub(bare)
            with identity.acting_as(no_run()):  # a run would give up two seconds after it began
                await bench.vectors(["a text"])
                await collector.sees(0)
                await becomes(health, health_pb2.HealthCheckResponse.SERVING)
                sim.faults.add("O10:op=*")
                await failure(bench.vectors(["a text"], timeout=60))
                await collector.sees(1)
                await becomes(health, health_pb2.HealthCheckResponse.NOT_SERVING)
                sim.faults.heal()
                await bench.vectors(["a text"])
                await collector.sees(0)
                await becomes(health, health_pb2.HealthCheckResponse.SERVING)
        for telemetry in reporting.made:
            await asyncio.to_thread(telemetry.shutdown)


async def test_a_breaker_closes_by_a_free_probe_where_nobody_calls(database: MigratedPostgres) -> None:
    # Broken from the start: a probe that was good once is not made again for a while.
    async with (
        simulator(OpenAISettings(latency_seconds=0, faults="O10:op=*")) as sim,
        embedder(database, at(sim)) as bench,
        grpc.aio.insecure_channel(bench.address) as bare,
    ):
        with identity.acting_as(new_run()):
            await failure(bench.vectors(["a text"], timeout=60))
        health = health_pb2_grpc.HealthStub(bare)
        await becomes(health, health_pb2.HealthCheckResponse.NOT_SERVING)
        sent = len([one for one in sim.journal if one.operation == "embeddings"])
        sim.faults.heal()
        await becomes(health, health_pb2.HealthCheckResponse.SERVING)
        assert len([one for one in sim.journal if one.operation == "embeddings"]) == sent
