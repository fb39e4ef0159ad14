"""Starts the embedder: `python -m services.embedder`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.embedder.backends.local import LocalEmbedder
from services.embedder.config import EmbedderConfig
from services.embedder.servicer import EmbedderServicer
from waybill import tokens
from waybill.embedder.v1 import embedder_service_pb2_grpc
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.runtime import server
from waybill.runtime.channel import connect
from waybill.runtime.telemetry import Telemetry


@asynccontextmanager
async def build(config: EmbedderConfig, telemetry: Telemetry) -> AsyncIterator[server.Service]:
    """Joins the embedder's parts; tests call it with a configuration of their own."""
    backend = LocalEmbedder()
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first call.
    tokens.count(["warm"])
    async with connect(config.ledger_address, telemetry.tracer) as channel:
        meter = Meter(LedgerServiceStub(channel), telemetry.tracer, "embedder")
        yield server.Service(
            rpcs=[
                (
                    embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server,
                    EmbedderServicer(backend, meter),
                    "waybill.embedder.v1.EmbedderService",
                )
            ],
            backends={f"embedder/{config.backend}": backend.healthy},
        )
        await meter.drain()


if __name__ == "__main__":
    settings = EmbedderConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry))
