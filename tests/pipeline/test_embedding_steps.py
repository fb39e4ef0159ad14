"""The embed steps without the stack: who has a place when, and which space the vectors are in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from services.orchestrator.offers import OFFER_SECONDS, Offers
from services.orchestrator.runs.outcomes import RunWaits
from services.orchestrator.runs.waits import SERVICE
from services.orchestrator.spaces import Spaces
from services.orchestrator.steps.answers import Cut
from services.orchestrator.steps.embedding import BATCHES_IN_MEMORY, FIRST_ANSWER_SECONDS
from services.orchestrator.steps.embedding import Embedding as EmbedStep
from tests.inprocess import AsSet, someone
from tests.waiting import turns
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedding_pb2 import Embedding
from waybill.runtime import identity
from waybill.runtime.errors import Quota, ServiceError, Unavailable
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.chunk_pb2 import Chunk
from waybill.storage.v1.collection_space_service_pb2 import (
    GetCollectionSpaceRequest,
    GetCollectionSpaceResponse,
)

OLD, NEW = Space(model="old", dimension=1), Space(model="new", dimension=1)


class Answers:
    """A response stream that can be read and cancelled."""

    def __init__(self, answers: AsyncIterator[EmbedResponse]) -> None:
        self._answers = answers

    def __aiter__(self) -> AsyncIterator[EmbedResponse]:
        return self._answers

    def cancel(self) -> None:
        """Nothing is left to be read."""


@dataclass
class Neighbours:
    """An embedder and an index that answer at once, or when they are let."""

    space: Space = field(default_factory=lambda: OLD)
    away: bool = False
    asked: int = 0
    versions: list[str] = field(default_factory=list)
    spaces: list[str] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def Embed(self, request: EmbedRequest, timeout: float | None = None) -> Answers:  # noqa: N802
        return Answers(self._embed(request))

    async def _embed(self, request: EmbedRequest) -> AsyncIterator[EmbedResponse]:
        if self.away:
            raise Unavailable("AWAY", "It is away.")
        self.asked += not request.texts
        yield EmbedResponse(space=self.space)
        for number, text in enumerate(request.texts):
            self.versions.append(text)
            await self.let_go.wait()
            yield EmbedResponse(embeddings=[Embedding(index=number, values=b"\0\0\0\0")])

    async def ListChunks(self, request: index.ListChunksRequest) -> index.ListChunksResponse:  # noqa: N802
        return index.ListChunksResponse(
            chunks=[Chunk(ordinal=request.start_ordinal, text=request.version_id)]
        )

    async def GetCollectionSpace(  # noqa: N802
        self, request: GetCollectionSpaceRequest
    ) -> GetCollectionSpaceResponse:
        return GetCollectionSpaceResponse()

    async def PutVectors(self, request: index.PutVectorsRequest) -> index.PutVectorsResponse:  # noqa: N802
        self.spaces.append(request.space.model)
        return index.PutVectorsResponse()


def steps_of(neighbours: Neighbours, first_answer_seconds: float = FIRST_ANSWER_SECONDS) -> EmbedStep:
    """The step among these neighbours."""
    peers: Any = SimpleNamespace(embedder=neighbours, index=neighbours, spaces=neighbours)
    return EmbedStep(peers, Spaces(peers, offers_of(neighbours, [0.0])), first_answer_seconds)


def offers_of(neighbours: Neighbours, now: Sequence[float]) -> Offers:
    """What the embedder says, at a time that the test changes."""
    peers: Any = SimpleNamespace(embedder=neighbours)
    # Stand-ins have only what is called of them.
    return Offers(peers, AsSet(), clock=lambda: now[0])  # type: ignore[arg-type]


async def embed(steps: EmbedStep, made: Cut, batch: tuple[int, int], tenant: str, run_id: str) -> None:
    """An embed step of a run."""
    with identity.acting_as(someone(tenant, run_id)):
        await steps.embed(made, batch, {"tenant": tenant, "run_id": run_id, "collection": "default"})


def cut(name: str, batches: int, **more: Any) -> Cut:
    return Cut(name, name, batches, [(number, number + 1) for number in range(batches)], **more)


async def test_a_document_of_a_hundred_batches_stands_before_no_other_tenant_or_run() -> None:
    neighbours = Neighbours()
    steps = steps_of(neighbours)
    async with asyncio.TaskGroup() as group:
        for tenant, name, batches in (("big", "long", 100), ("big", "short", 1), ("small", "other", 1)):
            made = cut(name, batches)
            for batch in made.batches:
                group.create_task(embed(steps, made, batch, tenant, name))
        await turns()
        neighbours.let_go.set()
    order = neighbours.versions
    assert len(order) == 102
    assert order.index("other") <= BATCHES_IN_MEMORY + 2
    assert order.index("short") <= BATCHES_IN_MEMORY + 2


async def test_another_model_is_seen_without_a_restart() -> None:
    neighbours, now = Neighbours(), [0.0]
    offers = offers_of(neighbours, now)
    assert await offers.space() == OLD
    neighbours.space = NEW
    assert (await offers.space(), neighbours.asked) == (OLD, 1)
    now[0] = OFFER_SECONDS
    assert (await offers.space(), neighbours.asked) == (NEW, 2)


async def test_an_embedder_that_is_away_serves_what_it_served() -> None:
    neighbours, now = Neighbours(), [0.0]
    offers = offers_of(neighbours, now)
    neighbours.away = True
    with pytest.raises(Unavailable):
        await offers.space()
    neighbours.away = False
    await offers.space()
    neighbours.away, now[0] = True, 2 * OFFER_SECONDS
    assert await offers.space() == OLD


async def test_a_version_gets_vectors_of_the_space_that_it_was_begun_in() -> None:
    neighbours = Neighbours(space=NEW)
    neighbours.let_go.set()
    steps = steps_of(neighbours)
    made = cut("a", 1, space={"model": "old", "dimension": 1})
    await embed(steps, made, (0, 1), "acme", "a")
    await embed(steps, cut("b", 1), (0, 1), "acme", "b")
    assert neighbours.spaces == ["old", "new"]


class Breaking(Neighbours):
    """Three chunks are to be embedded, and the first call breaks behind the vector of one."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__()
        self.let_go.set()
        self.error: ServiceError | None = error
        self.written: list[int] = []

    async def _embed(self, request: EmbedRequest) -> AsyncIterator[EmbedResponse]:
        async for answer in super()._embed(request):
            yield answer
            if answer.embeddings and self.error is not None:
                error, self.error = self.error, None
                raise error

    # gRPC names these methods.
    async def ListChunks(self, request: index.ListChunksRequest) -> index.ListChunksResponse:  # noqa: N802
        numbers = range(request.start_ordinal, request.start_ordinal + 3)
        return index.ListChunksResponse(
            chunks=[Chunk(ordinal=number, text=f"chunk {number}") for number in numbers]
        )

    async def PutVectors(self, request: index.PutVectorsRequest) -> index.PutVectorsResponse:  # noqa: N802
        self.written += [one.ordinal for one in request.vectors]
        return index.PutVectorsResponse()


async def test_vectors_that_came_before_an_embedder_broke_are_not_bought_again() -> None:
    neighbours = Breaking(Unavailable("AWAY", "It is away."))
    await embed(steps_of(neighbours), cut("a", 1), (0, 3), "acme", "a")
    assert neighbours.versions == ["chunk 0", "chunk 1", "chunk 2"]
    assert neighbours.written == [0, 1, 2]


class Silent(Breaking):
    """Its first call breaks, and no later one is ever answered."""

    async def _embed(self, request: EmbedRequest) -> AsyncIterator[EmbedResponse]:
        if request.texts and self.error is None:
            await asyncio.Event().wait()
        async for answer in super()._embed(request):
            yield answer


async def test_a_run_waits_without_a_place_for_an_embedder_that_does_not_even_begin_to_answer() -> None:
    neighbours = Silent(Unavailable("AWAY", "It is away."))
    with pytest.raises(RunWaits) as caught:
        await embed(steps_of(neighbours, 0.5), cut("a", 1), (0, 3), "acme", "a")
    assert (caught.value.kind, caught.value.ref, caught.value.reason) == (SERVICE, "embedder", "SERVICE_AWAY")
    assert neighbours.written == [0], "what came before is paid for, and kept"


async def test_vectors_that_came_before_a_budget_refused_the_rest_are_kept() -> None:
    neighbours = Breaking(Quota("BUDGET_EXCEEDED", "It is spent."))
    with pytest.raises(Quota):
        await embed(steps_of(neighbours), cut("a", 1), (0, 3), "acme", "a")
    assert neighbours.written == [0]
