"""Starts the parser: `python -m services.parser`."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.parser import retention
from services.parser.backends.local import LocalParser
from services.parser.config import ParserConfig
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.servicer import ParserServicer
from services.parser.working import Runner
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.parser.v1 import parser_service_pb2_grpc
from waybill.runtime import semconv, server
from waybill.runtime.channel import connect
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune, pruning
from waybill.runtime.telemetry import Telemetry
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub


@asynccontextmanager
async def build(
    config: ParserConfig, telemetry: Telemetry, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[server.Service]:
    """Joins the parser's parts; tests call it with a configuration of their own."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.opened(config.database_url))
        owner = await stack.enter_async_context(Database.opened(config.owner_database_url, max_size=1))
        storage = await stack.enter_async_context(connect(config.storage_address, telemetry.tracer))
        ledger = await stack.enter_async_context(connect(config.ledger_address, telemetry.tracer))
        # One more than places, so that light jobs find theirs whatever the others do.
        sandbox = await stack.enter_async_context(Sandbox.open(limits, config.children + 1, config.tesseract))
        telemetry.counter(semconv.PARSER_CRASHES, lambda: sandbox.crashes)
        engine = LocalParser(sandbox, limits)
        jobs = Jobs(database, owner, f"parser/{uuid.uuid4()}")
        objects = Objects(ObjectStorageServiceStub(storage))
        meter = Meter(LedgerServiceStub(ledger), telemetry.tracer, "parser")
        runner = Runner(jobs, objects, engine, meter, limits)
        await stack.enter_async_context(runner.running(config.children))
        forget = partial(prune, owner, (retention.JOBS,))
        await stack.enter_async_context(pruning(config.server.keep_days, forget))
        yield server.Service(
            rpcs=[
                (
                    parser_service_pb2_grpc.add_ParserServiceServicer_to_server,
                    ParserServicer(jobs, runner, objects, engine, limits),
                    "waybill.parser.v1.ParserService",
                )
            ],
            backends={f"parser/{engine.capabilities.name}": engine.check, "parser/postgres": database.ping},
        )


if __name__ == "__main__":
    settings = ParserConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry), settings.database_url)
