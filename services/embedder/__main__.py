"""Starts the embedder: `python -m services.embedder`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import EmbeddingBackend
from services.embedder.config import EmbedderConfig
from services.embedder.embedding import Embeddings
from services.embedder.limiter import Limiter
from services.embedder.servicer import EmbedderServicer
from services.embedder.vendor_health import VendorHealth
from waybill import tokens
from waybill.embedder.v1 import embedder_service_pb2_grpc
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.runtime import server
from waybill.runtime.channel import connect
from waybill.runtime.retry import Policy
from waybill.runtime.telemetry import Telemetry

LOCAL_CONCURRENCY = 32
Probes = Mapping[str, Callable[[], Awaitable[bool]]]


@asynccontextmanager
async def build(
    config: EmbedderConfig, telemetry: Telemetry, policy: Policy | None = None
) -> AsyncIterator[server.Service]:
    """Joins the embedder's parts; tests call it with a configuration of their own."""
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first call.
    tokens.count(["warm"])
    async with connect(config.ledger_address, telemetry.tracer) as channel, _backend(config) as chosen:
        backend, limiter, probes = chosen
        meter = Meter(LedgerServiceStub(channel), telemetry.tracer, "embedder")
        yield server.Service(
            rpcs=[
                (
                    embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server,
                    EmbedderServicer(Embeddings(backend, meter, limiter, policy)),
                    "waybill.embedder.v1.EmbedderService",
                )
            ],
            backends=probes,
        )
        await meter.drain()


@asynccontextmanager
async def _backend(config: EmbedderConfig) -> AsyncIterator[tuple[EmbeddingBackend, Limiter, Probes]]:
    if config.openai is None:
        local = LocalEmbedder()
        yield local, Limiter(config.backend, LOCAL_CONCURRENCY), {"embedder/local": local.healthy}
        return
    # The SDK is heavy, and only this backend needs it installed.
    from services.embedder.backends import openai

    limiter = Limiter(config.backend, config.openai.concurrency)
    async with openai.opened(config.openai, limiter) as vendor:
        health = VendorHealth(vendor.healthy)
        yield (
            vendor,
            limiter,
            {"embedder/openai": health.works, "embedder/openai/credential": health.takes_key},
        )


if __name__ == "__main__":
    settings = EmbedderConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry))
