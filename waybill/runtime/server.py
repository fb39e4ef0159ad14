"""The one way to start a service: gRPC with health, reflection, limits, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from waybill.runtime import faults, logs
from waybill.runtime import settings as declared
from waybill.runtime.audit import Audit, log_alone
from waybill.runtime.auth_settings import AuthConfig, certificate, check_bind
from waybill.runtime.channel import TRANSPORT_OPTIONS
from waybill.runtime.config import Settings
from waybill.runtime.identity import Door
from waybill.runtime.interceptors import ServerInterceptor
from waybill.runtime.loops import repeating
from waybill.runtime.refusals import Refusals
from waybill.runtime.telemetry import Telemetry
from waybill.runtime.tls import SCHEME, Certificate, is_loopback

# A last bound, health included; before it the interceptor's refuses, with a reason and by tenant.
MAX_CONCURRENT_RPCS = 2_048
METADATA_BYTES = 32 * 1024
DRAIN_SECONDS = 10.0
# Objects that are made before the collector looks at the youngest; a call makes and drops some thousands.
GC_THRESHOLD = 50_000
ORPHAN_SECONDS = 5.0
HEALTH_INTERVAL_SECONDS = 5.0
UNWELL_SECONDS = 0.2
log = structlog.get_logger()
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True)
class ServerConfig:
    """What every service's process is told.

    Attributes:
        name: The service, for instance "storage".
        bind: host:port, several by commas; port 0 takes a free one.
        collectors: OTLP/gRPC addresses that spans go to.
        viewer: The one of them that is not ours, whom OTEL's own variable names; empty: none.
        metrics: URL that metrics go to, by OTLP/gRPC; empty: nowhere.
        stop_on_eof: Standard input is a pipe from the supervisor; its end means: drain and exit.
        faults: Folder in which tests arm faults; see `runtime.faults`.
        migrations: Folder of the files that the database must have; see `runtime.schema`.
        keep_days: How long rows stay that nothing needs; 0: for ever. See `runtime.retention`.
        auth: Whom it lets in, and what it shows its neighbours.
        certificate: What it shows beyond loopback; None: it speaks in clear everywhere.
    """

    name: str
    bind: str
    collectors: Sequence[str] = ()
    viewer: str = ""
    metrics: str = ""
    stop_on_eof: bool = False
    faults: Path | None = None
    migrations: Path | None = None
    keep_days: int = 0
    auth: AuthConfig = field(default_factory=AuthConfig)
    certificate: Certificate | None = None

    @property
    def open_to_others(self) -> bool:
        """Whether who is neither on this machine nor in a closed network reaches it."""
        beyond = not all(is_loopback(one) for one in self.bind.split(","))
        return beyond and not self.auth.private_network

    @property
    def ours(self) -> str:
        """The collector that is ours; empty: none."""
        return next((one for one in self.collectors if one != self.viewer), "")

    @classmethod
    def read(cls, settings: Settings, name: str, port: int) -> ServerConfig:
        """From the settings of `runtime.settings`."""
        bind = settings.text(declared.BIND, f"127.0.0.1:{port}")
        check_bind(settings, bind)
        standard = settings.text(declared.OTEL_ENDPOINT)
        metrics = settings.text(declared.OTEL_METRICS_ENDPOINT, standard)
        if settings.text(declared.OTEL_METRICS_EXPORTER) == "none":
            metrics = ""
        viewer = standard.removeprefix("http://").rstrip("/")
        collectors = [settings.text(declared.OTLP_ADDRESS), viewer]
        faults_folder = settings.text(declared.FAULTS)
        if faults_folder and settings.text(declared.ENV) == "production":
            settings.fault("WAYBILL_FAULTS is set, which WAYBILL_ENV=production refuses")
        return cls(
            name,
            bind,
            [one for one in collectors if one],
            viewer,
            metrics,
            settings.text(declared.STOP_ON_EOF) == "1",
            Path(faults_folder) if faults_folder else None,
            settings.migrations(),
            settings.integer(declared.KEEP_DAYS),
            AuthConfig.read(settings),
            certificate(settings),
        )


# A gRPC service: the generated add_…_to_server, and the servicer.
Rpcs = tuple[Callable[[Any, Any], None], Any]


@dataclass(frozen=True)
class Service:
    """What a service registers.

    Attributes:
        rpcs: The gRPC services that it serves.
        backends: Health name, for instance "parser/local", to a probe that says whether it works.
        audit: Is told of calls that are refused, and hands over what it was told while the service runs.
    """

    rpcs: Sequence[Rpcs]
    backends: Mapping[str, Callable[[], Awaitable[bool]]] = field(default_factory=dict)
    audit: Audit = field(default_factory=lambda: Audit(log_alone))


Build = Callable[[Telemetry], AbstractAsyncContextManager[Service]]


@asynccontextmanager
async def serving(config: ServerConfig, telemetry: Telemetry, service: Service) -> AsyncIterator[str]:
    """Serves until the block is left, then drains; yields the bound address."""
    refusals = Refusals(service.audit)
    async with (
        service.audit.writing(),
        refusals.counting(),
        letting_in(config.auth) as door,
        _served(config, telemetry, service, ServerInterceptor(telemetry.tracer, door, refusals)) as address,
    ):
        yield address


@asynccontextmanager
async def letting_in(auth: AuthConfig) -> AsyncIterator[Door]:
    """A server's door, for the length of a block."""
    if auth.tokens is None:
        yield Door(None, auth.service_secret, auth.stack_token)
        return
    from waybill.runtime.bearer import verifying  # PyJWT, which a stack without auth goes without

    async with verifying(auth.tokens) as tokens:
        yield Door(tokens, auth.service_secret)


@asynccontextmanager
async def _served(
    config: ServerConfig, telemetry: Telemetry, service: Service, interceptor: ServerInterceptor
) -> AsyncIterator[str]:
    server = grpc.aio.server(
        interceptors=[interceptor],
        maximum_concurrent_rpcs=MAX_CONCURRENT_RPCS,
        options=[
            *TRANSPORT_OPTIONS,
            # Two servers on one port would share its calls without a word.
            ("grpc.so_reuseport", 0),
            # Up to here an over-long token is refused by us, with a reason; the default lets by chance in.
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", METADATA_BYTES),
        ],
    )
    registry = _Registry(server)
    for add, servicer in service.rpcs:
        add(servicer, registry)
    names = registry.names
    healths = _Healths()
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    if not config.open_to_others:
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    first, *others = [_listen(server, config, bind) for bind in config.bind.split(",")]
    await server.start()
    look = partial(_look, healths, names, service.backends)
    try:
        async with repeating("health", look, HEALTH_INTERVAL_SECONDS):
            if others:
                log.info("also serving", addresses=others)
            yield first
    finally:
        await healths.enter_graceful_shutdown()
        await server.stop(DRAIN_SECONDS)


class _Registry:
    """What generated code registers a servicer with: hands it to the server, and keeps the full name."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.names: list[str] = []
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, name: str, handlers: dict[str, Any]) -> None:
        self._server.add_registered_method_handlers(name, handlers)
        self.names.append(name)


def _listen(server: grpc.aio.Server, config: ServerConfig, bind: str) -> str:
    """Adds a port; the address as bound."""
    host = bind.rpartition(":")[0]
    if config.certificate is None or is_loopback(bind):
        return f"{host}:{server.add_insecure_port(bind)}"
    return f"{SCHEME}{host}:{server.add_secure_port(bind, config.certificate.credentials())}"


class _Healths(health.aio.HealthServicer):  # type: ignore[misc]  # the library has no types
    """The library's servicer, and the List that it lacks (grpc.health.v1, 2025)."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, health_pb2.HealthCheckResponse.ServingStatus] = {}

    async def set(self, service: str, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        """Sets what Check, Watch and List answer for a name."""
        self._known[service] = status
        await super().set(service, status)

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Every name and how it is."""
        statuses = {name: health_pb2.HealthCheckResponse(status=one) for name, one in self._known.items()}
        return health_pb2.HealthListResponse(statuses=statuses)


async def _look(
    healths: health.aio.HealthServicer,
    names: Sequence[str],
    backends: Mapping[str, Callable[[], Awaitable[bool]]],
) -> None:
    """Makes health true: a service serves while each of its backends does. Ends once all do."""
    while True:
        well = {name: await _probe(name, probe) for name, probe in backends.items()}
        for name, good in well.items():
            await healths.set(name, SERVING if good else NOT_SERVING)
        for name in ("", *names):
            await healths.set(name, SERVING if all(well.values()) else NOT_SERVING)
        if all(well.values()):
            return
        await asyncio.sleep(UNWELL_SECONDS)


async def _probe(name: str, probe: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(HEALTH_INTERVAL_SECONDS):
            return await probe()
    except Exception as error:
        log.warning("backend is not well", backend=name, error=f"{type(error).__name__}: {error}")
        return False


def run(config: ServerConfig, build: Build, database_url: str = "") -> None:
    """Runs a service's process until SIGTERM, SIGINT or the supervisor's end. Exits 0 after a drain.

    Raises:
        ConfigError: The database lacks migrations.
    """
    logs.configure(config.name)
    faults.arm(config.name, config.faults)
    if database_url and config.migrations:
        from waybill.runtime import schema  # psycopg, which a service without a database goes without

        schema.verify(database_url, config.migrations)
    asyncio.run(_main(config, build))
    _leave()


def _leave() -> None:
    sys.stderr.flush()
    # Threads of libraries may still wait for the network; everything of ours has been drained.
    os._exit(0)


def _leave_within(seconds: float) -> None:
    timer = threading.Timer(seconds, _leave)
    timer.daemon = True
    timer.start()


async def _main(config: ServerConfig, build: Build) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if config.stop_on_eof:
        watch = threading.Thread(target=_wait_for_eof, args=(loop, stopping), daemon=True)
        watch.start()
    telemetry = Telemetry.to_collectors(
        config.name, config.collectors, config.metrics, config.ours, config.auth
    )
    try:
        async with build(telemetry) as service, serving(config, telemetry, service) as address:
            # What is loaded by now stays, and need not be looked at again and again.
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
            log.info("serving", address=address)
            await stopping.wait()
            log.info("draining")
            # A neighbour that has gone for good must not hold us.
            _leave_within(DRAIN_SECONDS + 5.0)
    finally:
        # Not in a thread of the loop's pool: the engine may have closed that. Nothing else runs by now.
        telemetry.shutdown()


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    while os.read(0, 1024):
        pass
    loop.call_soon_threadsafe(stopping.set)
    # The supervisor is gone, and Postgres with it: there is little to drain to.
    _leave_within(ORPHAN_SECONDS)
