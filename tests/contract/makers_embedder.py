"""An embedder with its ledger in this process, over any backend."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from services.embedder.__main__ import build
from services.embedder.config import EmbedderConfig, OpenAIConfig
from services.ledger.__main__ import build as build_ledger
from services.ledger.config import LedgerConfig
from tests.conftest import MigratedPostgres
from tests.inprocess import Recorder, channel, served, server_config, someone
from tests.waiting import PATIENCE_SECONDS
from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1 import embedder_service_pb2 as pb
from waybill.embedder.v1.batch_job_pb2 import BatchJob, BatchJobName, BatchOutcome, BatchTexts
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.channel import send
from waybill.runtime.errors import from_status
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.vendors.keys import Keys
from waybill.vendors.retrying import Policy

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

    async def create_job(self, parts: Mapping[int, Sequence[str]], name: BatchJobName) -> BatchJob:
        """Gives texts to the batch tier, each part by the number of its first one."""

        async def requests() -> AsyncIterator[pb.CreateBatchJobRequest]:
            yield pb.CreateBatchJobRequest(header=pb.CreateBatchJobRequest.Header(name=name))
            for start, texts in parts.items():
                yield pb.CreateBatchJobRequest(texts=BatchTexts(start_index=start, texts=texts))

        response = await send(self.stub.CreateBatchJob(), requests())
        job: BatchJob = response.job
        return job

    async def get(self, name: BatchJobName) -> BatchJob:
        """Where a job stands."""
        response: pb.GetBatchJobResponse = await self.stub.GetBatchJob(pb.GetBatchJobRequest(name=name))
        return response.job

    async def cancel(self, name: BatchJobName) -> BatchJob:
        """Stops a job."""
        request = pb.CancelBatchJobRequest(name=name)
        response: pb.CancelBatchJobResponse = await self.stub.CancelBatchJob(request)
        return response.job

    async def delete(self, name: BatchJobName) -> None:
        """Deletes a job's files."""
        await self.stub.DeleteBatchJob(pb.DeleteBatchJobRequest(name=name))

    async def collect(
        self, name: BatchJobName, settle_only: bool = False
    ) -> tuple[dict[int, np.ndarray], BatchOutcome]:
        """The vectors that a job made, by the number of their text, and what it came to."""
        request = pb.CollectBatchJobRequest(name=name, settle_only=settle_only)
        answers = [one async for one in self.stub.CollectBatchJob(request)]
        found = [one for answer in answers for one in answer.embeddings]
        vectors = {one.index: np.frombuffer(one.values, "<f4") for one in found}
        assert len(vectors) == len(found)
        return vectors, answers[-1].outcome

    async def entries(self, run_id: str = "") -> Sequence[Entry]:
        """The ledger's entries: of a run, or of the caller's tenant."""
        request = ListEntriesRequest(run_ids=[run_id] if run_id else [])
        return (await self.ledger.ListEntries(request)).entries


@asynccontextmanager
async def embedder(
    database: MigratedPostgres,
    openai: OpenAIConfig | None = None,
    recorder: Recorder | None = None,
    local_model: str = "",
    also: str = "",
    also_local: bool = False,
) -> AsyncIterator[Bench]:
    """An embedder that serves; over OpenAI where its settings are given, else over a local model.

    Args:
        also: OpenAI's, where it is not the first backend but the second.
        also_local: The local one is served beside OpenAI's, as everywhere but in production.
    """
    ledger = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    async with served("ledger", partial(build_ledger, ledger)) as ledger_address:
        backend = "openai" if openai and also != "openai" else "local"
        config = EmbedderConfig(
            server_config("embedder"),
            ledger_address,
            backend,
            openai,
            local_model,
            also,
            also_local=also_local,
        )
        async with (
            served("embedder", partial(build, config, policy=SOON), recorder) as address,
            channel(address) as embedding,
            channel(ledger_address) as entries,
        ):
            yield Bench(EmbedderServiceStub(embedding), LedgerServiceStub(entries), address)


def at(sim: OpenAISimulator, *keys: str, attempt_seconds: float = PATIENCE_SECONDS) -> OpenAIConfig:
    """The settings that lead to a simulator; nothing is sent again because this machine is slow."""
    return OpenAIConfig(
        Keys(keys or [KEY]),
        CostKind.COST_KIND_SIMULATED,
        sim.base_url,
        attempt_seconds=attempt_seconds,
    )


@asynccontextmanager
async def openai_for(name: str) -> AsyncIterator[OpenAIConfig | None]:
    """The settings of a backend of the suite: openai (over the simulator), live, or a local one's None."""
    async with AsyncExitStack() as stack:
        match name:
            case "openai":
                quick = OpenAISettings(seed=1, latency_seconds=0.0)
                yield at(await stack.enter_async_context(simulator(quick)))
            case "live":
                yield OpenAIConfig(Keys([LIVE_KEY]), CostKind.COST_KIND_REAL)
            case _:
                yield None


async def failure(call: Awaitable[object]) -> tuple[str, str]:
    """The reason of a call that fails, and what it says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_status(caught.value)
    return error.reason, error.message


def new_job() -> BatchJobName:
    """The name of a job that there is not yet."""
    return BatchJobName(job_key=str(uuid.uuid4()))


def new_run() -> identity.Caller:
    """A run of a tenant of its own."""
    return someone(f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))
