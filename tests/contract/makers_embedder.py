"""An embedder with its ledger in this process, over any backend."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from services.embedder.__main__ import build
from services.embedder.config import EmbedderConfig, OpenAIConfig
from services.embedder.keys import Keys
from services.ledger.__main__ import build as build_ledger
from services.ledger.config import LedgerConfig
from tests.conftest import MigratedPostgres
from tests.inprocess import Recorder, channel, served, server_config, someone
from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.retry import Policy
from waybill.sim.openai import OpenAISettings, OpenAISimulator, simulator

if TYPE_CHECKING:
    from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

KEY = "sk-planted-0123456789abcdefghij"
LIVE_KEY = os.environ.get("WAYBILL_LIVE_OPENAI_API_KEY", "")
SOON = Policy(first_seconds=0.01, most_seconds=0.05)


@dataclass(frozen=True)
class Bench:
    """What a test has in hand."""

    stub: EmbedderServiceAsyncStub
    ledger: LedgerServiceAsyncStub
    address: str

    async def vectors(
        self, texts: Sequence[str], timeout: float | None = None
    ) -> tuple[np.ndarray, list[EmbedResponse]]:
        """Vectors in the order of the texts, and the messages that they came in."""
        answers = [one async for one in self.stub.Embed(EmbedRequest(texts=texts), timeout=timeout)]
        found = sorted((one for answer in answers for one in answer.embeddings), key=lambda one: one.index)
        return np.array([np.frombuffer(one.values, "<f4") for one in found]), answers

    async def entries(self, run_id: str = "") -> Sequence[Entry]:
        """The ledger's entries: of a run, or of the caller's tenant."""
        request = ListEntriesRequest(run_ids=[run_id] if run_id else [])
        return (await self.ledger.ListEntries(request)).entries


@asynccontextmanager
async def embedder(
    database: MigratedPostgres, openai: OpenAIConfig | None = None, recorder: Recorder | None = None
) -> AsyncIterator[Bench]:
    """An embedder that serves; over OpenAI where its settings are given, else the local one."""
    ledger = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    async with served("ledger", partial(build_ledger, ledger)) as ledger_address:
        backend = "openai" if openai else "local"
        config = EmbedderConfig(server_config("embedder"), ledger_address, backend, openai)
        async with (
            served("embedder", partial(build, config, policy=SOON), recorder) as address,
            channel(address) as embedding,
            channel(ledger_address) as entries,
        ):
            yield Bench(EmbedderServiceStub(embedding), LedgerServiceStub(entries), address)


def at(sim: OpenAISimulator, *keys: str, attempt_seconds: float = 1.0) -> OpenAIConfig:
    """The settings that lead to a simulator."""
    return OpenAIConfig(
        Keys(keys or [KEY]),
        CostKind.COST_KIND_SIMULATED,
        sim.base_url,
        attempt_seconds=attempt_seconds,
    )


@asynccontextmanager
async def openai_for(name: str) -> AsyncIterator[OpenAIConfig | None]:
    """The settings of a backend of the suite: local, openai (over the simulator) or live."""
    async with AsyncExitStack() as stack:
        match name:
            case "local":
                yield None
            case "openai":
                quick = OpenAISettings(seed=1, latency_seconds=0.0)
                yield at(await stack.enter_async_context(simulator(quick)), attempt_seconds=20.0)
            case _:
                yield OpenAIConfig(Keys([LIVE_KEY]), CostKind.COST_KIND_REAL)


def new_run() -> identity.Caller:
    """A run of a tenant of its own."""
    return someone(f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))
