"""Starts the embedder: `python -m services.embedder`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import BatchBackend, EmbeddingBackend
from services.embedder.batches import VendorBatches
from services.embedder.config import EmbedderConfig
from services.embedder.embedding import Embeddings
from services.embedder.servicer import EmbedderServicer
from waybill import tokens
from waybill.embedder.v1 import embedder_service_pb2_grpc
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.runtime import server
from waybill.runtime.channel import connect
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Precondition
from waybill.runtime.telemetry import Telemetry
from waybill.vendors.calls import Calls
from waybill.vendors.health import Probe, watched
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import OPENAI
from waybill.vendors.retrying import Policy

LOCAL_CONCURRENCY = 32


@dataclass(frozen=True)
class Chosen:
    """The parts that depend on the backend."""

    backend: EmbeddingBackend
    limiter: Limiter
    probes: Mapping[str, Probe]
    batches: BatchBackend | None = None


@asynccontextmanager
async def build(
    config: EmbedderConfig, telemetry: Telemetry, policy: Policy | None = None
) -> AsyncIterator[server.Service]:
    """Joins the embedder's parts; tests call it with a configuration of their own."""
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first call.
    tokens.count(["warm"])
    calls = Calls(config.backend, policy)
    async with (
        connect(config.ledger_address, telemetry.tracer, config.server.auth) as channel,
        _chosen(config, calls, telemetry) as parts,
    ):
        meter = Meter(LedgerServiceStub(channel), telemetry.tracer, "embedder")
        backend = parts.backend
        servicer = EmbedderServicer(
            Embeddings(backend, meter, parts.limiter, calls),
            VendorBatches(parts.batches, backend.space, backend.capabilities, meter, calls),
        )
        yield server.Service(
            rpcs=[
                (
                    embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server,
                    servicer,
                    "waybill.embedder.v1.EmbedderService",
                )
            ],
            backends=parts.probes,
        )
        await meter.drain()


@asynccontextmanager
async def _chosen(config: EmbedderConfig, calls: Calls, telemetry: Telemetry) -> AsyncIterator[Chosen]:
    if config.openai is None:
        local = _local(config.local_model)
        limiter = Limiter(config.backend, LOCAL_CONCURRENCY)
        yield Chosen(local, limiter, {"embedder/local": local.healthy})
        return
    # The SDK is heavy, and only this backend needs it installed.
    from services.embedder.backends.openai import OpenAIEmbedder
    from services.embedder.backends.openai_batches import OpenAIBatches
    from services.embedder.backends.openai_client import opened

    limiter = Limiter(config.backend, config.openai.concurrency)
    async with opened(config.openai) as client:
        vendor = OpenAIEmbedder(config.openai, limiter, client)
        probes = watched(OPENAI, vendor.healthy, config.openai.keys, calls.breaker, telemetry)
        yield Chosen(vendor, limiter, probes, OpenAIBatches(config.openai, client))


def _local(model: str) -> LocalEmbedder:
    try:
        return LocalEmbedder(model)
    except Precondition as error:
        raise ConfigError(f"cannot start: {error.message}") from None


if __name__ == "__main__":
    settings = EmbedderConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry))
