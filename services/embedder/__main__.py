"""Starts the embedder: `python -m services.embedder`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

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
from waybill.runtime import semconv, server
from waybill.runtime.channel import connect
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Precondition
from waybill.runtime.telemetry import Telemetry
from waybill.vendors.breaker import Breaker
from waybill.vendors.health import VendorHealth
from waybill.vendors.limiter import Limiter
from waybill.vendors.retrying import Policy

LOCAL_CONCURRENCY = 32
Probes = Mapping[str, Callable[[], Awaitable[bool]]]


@dataclass(frozen=True)
class Chosen:
    """The parts that depend on the backend."""

    backend: EmbeddingBackend
    limiter: Limiter
    breaker: Breaker
    batches: BatchBackend | None = None
    probes: Probes = field(default_factory=dict)


@asynccontextmanager
async def build(
    config: EmbedderConfig, telemetry: Telemetry, policy: Policy | None = None
) -> AsyncIterator[server.Service]:
    """Joins the embedder's parts; tests call it with a configuration of their own."""
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first call.
    tokens.count(["warm"])
    async with (
        connect(config.ledger_address, telemetry.tracer) as channel,
        _chosen(config, telemetry) as parts,
    ):
        meter = Meter(LedgerServiceStub(channel), telemetry.tracer, "embedder")
        backend, breaker = parts.backend, parts.breaker
        servicer = EmbedderServicer(
            Embeddings(backend, meter, parts.limiter, breaker, policy),
            VendorBatches(parts.batches, backend.space, backend.capabilities, meter, breaker, policy),
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
async def _chosen(config: EmbedderConfig, telemetry: Telemetry) -> AsyncIterator[Chosen]:
    breaker = Breaker(config.backend)
    if config.openai is None:
        local = _local(config.local_model)
        limiter = Limiter(config.backend, LOCAL_CONCURRENCY)
        yield Chosen(local, limiter, breaker, probes={"embedder/local": local.healthy})
        return
    # The SDK is heavy, and only this backend needs it installed.
    from services.embedder.backends.openai import OpenAIEmbedder
    from services.embedder.backends.openai_batches import OpenAIBatches
    from services.embedder.backends.openai_client import opened

    limiter = Limiter(config.backend, config.openai.concurrency)
    async with opened(config.openai) as client:
        vendor = OpenAIEmbedder(config.openai, limiter, client)
        # A free probe that succeeds closes the breaker too, so that it does not stay open for want of calls.
        health = VendorHealth(partial(breaker.call, vendor.healthy))
        telemetry.gauge(semconv.BREAKER_OPEN, lambda: int(not breaker.closed), {semconv.VENDOR: "openai"})
        probes: Probes = {
            "embedder/openai": health.works,
            "embedder/openai/credential": health.takes_key,
            "embedder/openai/breaker": partial(_is_closed, breaker),
        }
        yield Chosen(vendor, limiter, breaker, OpenAIBatches(config.openai, client), probes)


def _local(model: str) -> LocalEmbedder:
    try:
        return LocalEmbedder(model)
    except Precondition as error:
        raise ConfigError(f"cannot start: {error.message}") from None


async def _is_closed(breaker: Breaker) -> bool:
    return breaker.closed


if __name__ == "__main__":
    settings = EmbedderConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry))
