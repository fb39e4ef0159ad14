"""Starts the parser: `python -m services.parser`."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from grpc_health.v1.health_pb2_grpc import HealthStub

from services.parser import previewing, retention
from services.parser.backends.local import LocalParser
from services.parser.backends.port import Parser
from services.parser.config import ParserConfig
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.doubts import ParseDoubts
from services.parser.engines import Engine, Engines, serves
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.servicer import ParserServicer
from services.parser.working import Runner
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.parser.v1 import parser_service_pb2_grpc
from waybill.runtime import semconv, server
from waybill.runtime.audit import Audit, to_ledger
from waybill.runtime.channel import connect
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune, pruning
from waybill.runtime.telemetry import Telemetry
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub
from waybill.vendors.asking import Asking
from waybill.vendors.backends import Backends, registration
from waybill.vendors.calls import Calls
from waybill.vendors.choosing import PARSER
from waybill.vendors.health import Probe, watched
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import LLAMAPARSE
from waybill.vendors.retrying import Policy

HEALTH_SECONDS = 60.0
# Requests to LlamaParse under way at a time; its rate binds sooner.
VENDOR_CONCURRENCY = 16


@dataclass(frozen=True)
class Chosen:
    """The parts that depend on the backend.

    Attributes:
        lack: Why a new parse is not even tried, a name of ErrorReason.
        ill: Why a parse that the engine has does not go on there: also a key that is refused.
        returns: How often its vendor has come back.
    """

    engine: Parser
    limits: Limits
    probes: Mapping[str, Probe]
    lack: Callable[[], str] = serves
    ill: Callable[[], str] = serves
    returns: Callable[[], int] = int
    beside: Engine | None = None


@asynccontextmanager
async def build(
    config: ParserConfig,
    telemetry: Telemetry,
    limits: Limits = DEFAULT_LIMITS,
    policy: Policy | None = None,
) -> AsyncIterator[server.Service]:
    """Joins the parser's parts; tests call it with a configuration of their own."""
    async with (
        _chosen(config, telemetry, limits, policy) as chosen,
        assembled(config, telemetry, chosen) as one,
    ):
        yield one


@asynccontextmanager
async def assembled(
    config: ParserConfig, telemetry: Telemetry, chosen: Chosen
) -> AsyncIterator[server.Service]:
    """Everything around an engine."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.opened(config.database_url))
        owner = await stack.enter_async_context(Database.opened(config.owner_database_url, max_size=1))
        auth = config.server.auth
        storage = await stack.enter_async_context(connect(config.storage_address, telemetry.tracer, auth))
        ledger = await stack.enter_async_context(connect(config.ledger_address, telemetry.tracer, auth))
        jobs = Jobs(database, owner, f"parser/{uuid.uuid4()}")
        objects = Objects(ObjectStorageServiceStub(storage), HealthStub(storage))
        meter = Meter(LedgerServiceStub(ledger), telemetry.tracer, "parser")
        audit = Audit(to_ledger(LedgerServiceStub(ledger)))
        if config.llamaparse is not None:
            config.llamaparse.keys.audited(audit, LLAMAPARSE.name)
        engine, limits = chosen.engine, chosen.limits
        main, beside = Engine(engine, limits, chosen.ill), chosen.beside
        runner = Runner(
            jobs, objects, engine, meter, limits, beside=beside, lack=chosen.lack, returns=chosen.returns
        )
        engines = Engines(main, beside, config.mode, config.local_over_budget)
        await stack.enter_async_context(runner.running(config.children))
        if engine.capabilities.keeps_parses:
            doubts = ParseDoubts(jobs, engine, meter)
            asking = Asking(meter, engine.capabilities.vendor, doubts.ask, lambda entry: entry.entry_id)
            await stack.enter_async_context(asking.running())
        if config.llamaparse and config.llamaparse.webhooks:
            from services.parser.backends.llamaparse.webhooks import listening

            await stack.enter_async_context(listening(config.llamaparse.webhooks, runner.hasten))
        forget = partial(prune, owner, (retention.JOBS,))
        await stack.enter_async_context(pruning(config.server.keep_days, forget))
        yield server.Service(
            rpcs=[
                (
                    parser_service_pb2_grpc.add_ParserServiceServicer_to_server,
                    ParserServicer(jobs, runner, objects, engines),
                ),
                registration(_backends(config, engines)),
            ],
            backends={**chosen.probes, "parser/postgres": database.ping},
            audit=audit,
        )


def _backends(config: ParserConfig, engines: Engines) -> Backends:
    kind = config.llamaparse.kind if config.llamaparse else CostKind.COST_KIND_UNSPECIFIED
    built = [one.name for one in engines.all]
    return Backends(PARSER, engines.set_mode, built, kind, config.missing, engines.main.lack)


@asynccontextmanager
async def _chosen(
    config: ParserConfig, telemetry: Telemetry, limits: Limits, policy: Policy | None
) -> AsyncIterator[Chosen]:
    # One more than places, so that light jobs find theirs whatever the others do.
    size, apart = config.children + 1, previewing.AT_A_TIME
    if config.llamaparse is None:
        async with Sandbox.open(limits, size, config.tesseract, apart) as sandbox:
            telemetry.counter(semconv.PARSER_CRASHES, lambda: sandbox.crashes + sandbox.apart.crashes)
            engine = LocalParser(sandbox, limits)
            yield Chosen(engine, limits, {f"parser/{engine.capabilities.name}": engine.check})
        return
    # The SDK is heavy, and only this backend needs it installed.
    from services.parser.backends.llamaparse import webhooks
    from services.parser.backends.llamaparse.engine import MOST_FILE_BYTES, LlamaParse
    from services.parser.backends.llamaparse.sdk import opened

    ours, limits = limits, dataclasses.replace(limits, source_bytes=MOST_FILE_BYTES)
    calls = Calls(LLAMAPARSE.name, policy)
    rate = config.llamaparse.requests_per_minute
    limiter = Limiter(LLAMAPARSE.name, VENDOR_CONCURRENCY, requests_per_minute=rate)
    async with (
        Sandbox.open(limits, size, apart=apart) as sandbox,
        opened(config.llamaparse, limiter, calls) as cloud,
        _beside(config, ours) as beside,
    ):
        telemetry.counter(semconv.PARSER_CRASHES, lambda: sandbox.crashes + sandbox.apart.crashes)
        told = config.llamaparse.webhooks
        hook = partial(webhooks.hook, told) if told else None
        vendor = LlamaParse(config.llamaparse, cloud, sandbox, limits, hook)
        probes = watched(LLAMAPARSE, vendor.check, calls.breaker, telemetry, HEALTH_SECONDS)
        breaker = calls.breaker
        yield Chosen(
            vendor, limits, probes, lambda: breaker.lack, lambda: breaker.ill, lambda: breaker.returns, beside
        )


@asynccontextmanager
async def _beside(config: ParserConfig, limits: Limits) -> AsyncIterator[Engine | None]:
    """Our engine beside a vendor's. Its sandbox recognises text, which the counting for a vendor must not."""
    if not config.also_local:
        yield None
        return
    size, apart = config.children + 1, previewing.AT_A_TIME
    async with Sandbox.open(limits, size, config.tesseract, apart) as sandbox:
        yield Engine(LocalParser(sandbox, limits), limits)


if __name__ == "__main__":
    settings = ParserConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry), settings.database_url)
