"""Starts the embedder: `python -m services.embedder`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import BatchBackend, EmbeddingBackend
from services.embedder.batch_doubts import BatchDoubts, job_key
from services.embedder.batches import VendorBatches
from services.embedder.config import EmbedderConfig
from services.embedder.embedding import Embeddings
from services.embedder.servicer import EmbedderServicer
from services.embedder.spaces import Maker, Spaces, local_backend, openai_dimension
from waybill import tokens
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1 import embedder_service_pb2_grpc
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.runtime import server
from waybill.runtime.audit import Audit, to_ledger
from waybill.runtime.channel import connect
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Precondition
from waybill.runtime.semconv import LOCAL
from waybill.runtime.telemetry import Telemetry
from waybill.vendors.asking import Asking
from waybill.vendors.backends import Backends, registration
from waybill.vendors.calls import Calls
from waybill.vendors.choosing import EMBEDDER
from waybill.vendors.health import Probe, watched
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import OPENAI
from waybill.vendors.retrying import Policy

LOCAL_CONCURRENCY = 32


@dataclass(frozen=True)
class Chosen:
    """A backend, and the parts that depend on it.

    Attributes:
        backend: Of the configured model.
        limiter: Its own.
        calls: Of all its models.
        probes: Of the backend.
        other: Another of its models, with a limiter of its own.
        batches: Its batch tier.
    """

    backend: EmbeddingBackend
    limiter: Limiter
    calls: Calls
    probes: Mapping[str, Probe]
    other: Callable[[str, int], tuple[EmbeddingBackend, Limiter] | None]
    batches: BatchBackend | None = None


@asynccontextmanager
async def build(
    config: EmbedderConfig, telemetry: Telemetry, policy: Policy | None = None
) -> AsyncIterator[server.Service]:
    """Joins the embedder's parts; tests call it with a configuration of their own."""
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first call.
    tokens.count(["warm"])
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(
            connect(config.ledger_address, telemetry.tracer, config.server.auth)
        )
        chosen = [
            await stack.enter_async_context(_chosen(config, name, Calls(name, policy), telemetry))
            for name in filter(None, (config.backend, config.also))
        ]
        meter = Meter(LedgerServiceStub(channel), telemetry.tracer, "embedder")
        audit = Audit(to_ledger(LedgerServiceStub(channel)))
        if config.openai is not None:
            config.openai.keys.audited(audit, OPENAI.name)
        spaces = _spaces(config, chosen, meter, policy)
        jobs = [_batches(one, meter) for one in chosen]
        mode = config.mode or (Mode.MODE_LOCAL if config.backend == LOCAL else Mode.MODE_REAL)
        servicer = EmbedderServicer(spaces, jobs[0], mode)
        kind = config.openai.kind if config.openai else CostKind.COST_KIND_UNSPECIFIED
        lacks = [partial(_lack, one.calls) for one in chosen if one.batches]
        backends = Backends(EMBEDDER, mode, spaces.backends, kind, config.missing, *lacks)
        for one, of_backend in zip(chosen, jobs, strict=True):
            if one.batches:
                doubts = BatchDoubts(of_backend)
                asking = Asking(meter, one.backend.capabilities.vendor, doubts.ask, job_key)
                await stack.enter_async_context(asking.running())
        yield server.Service(
            rpcs=[
                (embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server, servicer),
                registration(backends),
            ],
            backends={name: probe for one in chosen for name, probe in one.probes.items()},
            audit=audit,
        )
        await meter.drain()


def _embeddings(chosen: Chosen, meter: Meter, model: str, dimension: int) -> Embeddings | None:
    """Another model of a backend; None where it has no such one."""
    found = chosen.other(model, dimension)
    return Embeddings(found[0], meter, found[1], chosen.calls) if found else None


def _spaces(config: EmbedderConfig, chosen: Sequence[Chosen], meter: Meter, policy: Policy | None) -> Spaces:
    # The local ones first: a server that is like OpenAI's may have a model of any name.
    makers: list[Maker] = [
        partial(_embeddings, one, meter) for one in sorted(chosen, key=lambda one: bool(one.batches))
    ]
    later = {}
    if config.also_local and config.backend != LOCAL:
        calls = Calls(LOCAL, policy)
        later[LOCAL] = partial(_own, config.local_model, meter, calls)
        makers.insert(0, partial(_other_own, meter, calls))
    return Spaces([Embeddings(one.backend, meter, one.limiter, one.calls) for one in chosen], makers, later)


def _lack(calls: Calls) -> str:
    return calls.breaker.lack


def _own(model: str, meter: Meter, calls: Calls) -> Embeddings:
    """The local model of the settings."""
    return Embeddings(LocalEmbedder(model), meter, Limiter(LOCAL, LOCAL_CONCURRENCY), calls)


def _other_own(meter: Meter, calls: Calls, model: str, dimension: int) -> Embeddings | None:
    """Another local model; None where there is no such one."""
    found = _other_local(model, dimension)
    return Embeddings(found[0], meter, found[1], calls) if found else None


def _batches(one: Chosen, meter: Meter) -> VendorBatches:
    return VendorBatches(one.batches, one.backend.space, one.backend.capabilities, meter, one.calls)


@asynccontextmanager
async def _chosen(
    config: EmbedderConfig, name: str, calls: Calls, telemetry: Telemetry
) -> AsyncIterator[Chosen]:
    if name == "local":
        local = _local(config.local_model)
        yield Chosen(
            local, Limiter(name, LOCAL_CONCURRENCY), calls, {"embedder/local": local.healthy}, _other_local
        )
        return
    # The SDK is heavy, and only this backend needs it installed.
    from services.embedder.backends.openai import OpenAIEmbedder
    from services.embedder.backends.openai_batches import OpenAIBatches
    from services.embedder.backends.openai_client import opened

    assert config.openai is not None, "this backend's settings are read"
    settings = config.openai
    async with opened(settings) as client:

        def of(model: str, dimension: int) -> tuple[OpenAIEmbedder, Limiter] | None:
            if not (dimension := openai_dimension(model, dimension, like=settings.model)):
                return None
            # The vendor limits each model apart.
            limiter = Limiter(name, settings.concurrency)
            chosen = replace(settings, model=model, dimensions=dimension)
            return OpenAIEmbedder(chosen, limiter, client), limiter

        limiter = Limiter(name, settings.concurrency)
        vendor = OpenAIEmbedder(settings, limiter, client)
        watching = watched(OPENAI, vendor.healthy, calls.breaker, telemetry)
        yield Chosen(vendor, limiter, calls, watching, of, OpenAIBatches(settings, client))


def _other_local(model: str, dimension: int) -> tuple[EmbeddingBackend, Limiter] | None:
    found = local_backend(model, dimension)
    return (found, Limiter("local", LOCAL_CONCURRENCY)) if found else None


def _local(model: str) -> LocalEmbedder:
    try:
        return LocalEmbedder(model)
    except Precondition as error:
        raise ConfigError(f"cannot start: {error.message}") from None


if __name__ == "__main__":
    settings = EmbedderConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry))
