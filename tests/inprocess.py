"""Services of ours on free loopback ports, inside the test's own process and event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.channel import connect
from waybill.runtime.identity import Caller
from waybill.runtime.server import Build, ServerConfig, Service, serving
from waybill.runtime.telemetry import Telemetry

ANY_PORT = "127.0.0.1:0"


@dataclass
class Recorder:
    """Telemetry whose spans a test can read."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def telemetry(self, service: str) -> Telemetry:
        """A process's telemetry that exports here."""
        return Telemetry(service, [SimpleSpanProcessor(self.exporter)])

    def names(self) -> Sequence[str]:
        """Names of the spans that have ended, in that order."""
        return [span.name for span in self.exporter.get_finished_spans()]


def server_config(name: str, auth: AuthConfig | None = None) -> ServerConfig:
    """A server on a free loopback port."""
    return ServerConfig(name=name, bind=ANY_PORT, auth=auth or AuthConfig())


@asynccontextmanager
async def served(
    name: str, build: Build, recorder: Recorder | None = None, auth: AuthConfig | None = None
) -> AsyncIterator[str]:
    """Serves what `build` makes; yields its address."""
    telemetry = (recorder or Recorder()).telemetry(name)
    config = server_config(name, auth)
    async with build(telemetry) as service, serving(config, telemetry, service) as address:
        yield address


class AsSet:
    """Modes that nobody has switched."""

    async def of(self, service: str) -> Mode:
        """As the service is set."""
        return Mode.MODE_UNSPECIFIED

    latest = of


def of_service(service: Service) -> Build:
    """A build for a service that needs no parts."""

    @asynccontextmanager
    async def build(_: Telemetry) -> AsyncIterator[Service]:
        yield service

    return build


def channel(address: str, recorder: Recorder | None = None) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """A channel with our interceptors."""
    return connect(address, (recorder or Recorder()).telemetry("test").tracer)


def someone(tenant: str = "acme", run_id: str = "") -> Caller:
    """A caller for code that runs outside an RPC."""
    return Caller(tenant=tenant, correlation_id="test-correlation", run_id=run_id)
