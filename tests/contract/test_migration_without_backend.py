"""A migration between two backends, of which the second is not served any more: EMBEDDER_ALSO is gone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.orchestrator.space_migrations import SpaceMigrations
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.runtime.errors import Precondition
from waybill.storage.v1.collection_space_pb2 import CollectionSpace
from waybill.storage.v1.collection_space_service_pb2 import (
    FinishFillRequest,
    FinishFillResponse,
    GetCollectionSpaceRequest,
    GetCollectionSpaceResponse,
    MoveSearchesRequest,
    MoveSearchesResponse,
)

MEND = "Set EMBEDDER_ALSO=openai"
THERE = Space(model="text-embedding-3-small", dimension=1536)


@dataclass
class Index:
    """One collection's row, and what was asked of it."""

    row: CollectionSpace
    moved: list[bool] = field(default_factory=list)

    async def get(self, request: GetCollectionSpaceRequest) -> GetCollectionSpaceResponse:
        return GetCollectionSpaceResponse(collection_space=self.row)

    async def move(self, request: MoveSearchesRequest) -> MoveSearchesResponse:
        self.moved.append(request.moving)
        return MoveSearchesResponse(collection_space=self.row)

    async def finish(self, request: FinishFillRequest) -> FinishFillResponse:
        return FinishFillResponse(collection_space=CollectionSpace(state=CollectionSpace.STATE_DONE))


class Offers:
    """An embedder that serves its own backend alone."""

    async def asked(self, request: EmbedRequest) -> EmbedResponse:
        raise Precondition("SPACE_MISMATCH", MEND)


def migrations(index: Index) -> SpaceMigrations:
    stub = SimpleNamespace(GetCollectionSpace=index.get, MoveSearches=index.move, FinishFill=index.finish)
    # Stand-ins have only what is called of them.
    peers: Any = SimpleNamespace(spaces=stub)
    around: Any = SimpleNamespace(offers=Offers(), wake=lambda: None, noted=lambda *_: nullcontext())
    return SpaceMigrations(peers, around, around, around, around, lambda: datetime.now(UTC))


def row(state: CollectionSpace.State, *, moving: bool = False) -> CollectionSpace:
    return CollectionSpace(
        collection="default", space=Space(model="wordllama-l2-supercat", dimension=256), other=THERE,
        state=state, moving=moving,
    )  # fmt: skip


@pytest.mark.parametrize("state", [CollectionSpace.STATE_FILLED, CollectionSpace.STATE_SWITCHED])
async def test_where_it_stands_is_told_with_what_mends_it(state: CollectionSpace.State) -> None:
    found, missing = await migrations(Index(row(state))).get("default")
    assert (found.state, found.other, missing) == (state, THERE, None)
    assert (found.reason, found.message) == ("SPACE_MISMATCH", MEND)


@pytest.mark.parametrize(
    ("state", "back"), [(CollectionSpace.STATE_FILLED, False), (CollectionSpace.STATE_SWITCHED, True)]
)
async def test_searches_do_not_change_over_to_what_nobody_embeds_in(
    state: CollectionSpace.State, *, back: bool
) -> None:
    index = Index(row(state))
    with pytest.raises(Precondition, match=MEND):
        await migrations(index).move("default", back=back)
    assert not index.moved


async def test_a_switch_that_has_not_happened_is_taken_back() -> None:
    index = Index(row(CollectionSpace.STATE_FILLED, moving=True))
    await migrations(index).move("default", back=True)
    assert index.moved == [False]


async def test_it_is_ended() -> None:
    ended = await migrations(Index(row(CollectionSpace.STATE_SWITCHED))).finish("default")
    assert ended.state == CollectionSpace.STATE_DONE
