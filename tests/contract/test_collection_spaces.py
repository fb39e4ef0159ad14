"""A collection's second space on the real Postgres: filled, switched to and back, and never mixed."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from services.storage import switching
from services.storage.index_servicer import DocumentIndexServicer
from services.storage.space_servicer import CollectionSpaceServicer
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import (
    SPACE,
    Index,
    channel_to,
    chunk,
    found,
    refused,
    tenant_headers,
    unit_vector,
)
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.space_pb2 import Space
from waybill.runtime.postgres import Database
from waybill.runtime.server import Service
from waybill.storage.v1 import collection_space_service_pb2 as pb
from waybill.storage.v1 import collection_space_service_pb2_grpc as space_rpc
from waybill.storage.v1 import document_index_service_pb2 as index_pb
from waybill.storage.v1 import document_index_service_pb2_grpc as index_rpc
from waybill.storage.v1.collection_space_pb2 import CollectionSpace, SpaceMeasure, TextVector

if TYPE_CHECKING:
    from waybill.storage.v1.collection_space_service_pb2_grpc import CollectionSpaceServiceAsyncStub

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NEW = Space(model="a-new-model", dimension=16, revision="7")
ME = "orchestrator/test"


def new_vector(text: str) -> bytes:
    """The vector of a text in the new space."""
    return unit_vector(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16), NEW.dimension)


@dataclass(frozen=True)
class Bench:
    """One tenant's view of both services."""

    index: Index
    stub: CollectionSpaceServiceAsyncStub
    owner: Database

    async def call(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.stub, method)(request, metadata=self.index.headers)

    async def row(self) -> CollectionSpace:
        return (await self.call("GetCollectionSpace")).collection_space  # type: ignore[no-any-return]

    async def begin(self, space: Space = NEW) -> CollectionSpace:
        answer = await self.call("BeginFill", space=space, searched=SPACE, run_id=str(uuid.uuid4()))
        return answer.collection_space  # type: ignore[no-any-return]

    async def measure(self, space: Space = NEW) -> SpaceMeasure:
        return (await self.call("MeasureSpace", space=space)).measure  # type: ignore[no-any-return]

    async def claimed(self) -> CollectionSpace:
        """This tenant's fill; those of other tests are taken, too, and left."""
        for _ in range(50):
            answer = await self.call("ClaimFill", owner=ME, lease=Duration(seconds=60))
            assert answer.tenant
            if answer.tenant == dict(self.index.headers)["x-waybill-tenant"]:
                return answer.collection_space  # type: ignore[no-any-return]
        raise AssertionError("never claimed")

    async def fill(self, space: Space = NEW) -> list[str]:
        """Fills what is missing; the texts that were embedded."""
        bought, token = [], ""
        while True:
            page = await self.call("TakeUnfilled", space=space, page_token=token)
            if page.texts:
                vectors = [
                    TextVector(sha256=one.sha256, values=unit_vector(len(one.text), space.dimension))
                    for one in page.texts
                ]
                await self.call("PutTextVectors", space=space, vectors=vectors)
            bought += [one.text for one in page.texts]
            if not (token := page.next_page_token):
                return bought

    async def end(self, complete: bool = True, owner: str = ME, **fields: Any) -> pb.EndFillTurnResponse:
        answer: pb.EndFillTurnResponse = await self.call(
            "EndFillTurn", owner=owner, complete=complete, **fields
        )
        return answer

    async def filled(self) -> None:
        """A migration whose new space is whole."""
        await self.begin()
        await self.claimed()
        await self.fill()
        assert (await self.end()).collection_space.state == CollectionSpace.STATE_FILLED

    async def moved(self, **fields: Any) -> CollectionSpace:
        """Searches change over."""
        await self.call("MoveSearches", moving=True)
        await self.claimed()
        return (await self.end(**fields)).collection_space

    async def search(self, text: str, space: Space, **changed: Any) -> index_pb.SearchResponse:
        vector = unit_vector(len(text), space.dimension)
        return await self.index.search(vector=vector, space=space, **changed)


@pytest.fixture
async def bench(database: MigratedPostgres) -> AsyncIterator[Bench]:
    async with (
        Database.opened(database.url("storage")) as pool,
        Database.opened(database.owner_url("storage"), max_size=1) as owner,
    ):
        service = Service(
            [
                (
                    index_rpc.add_DocumentIndexServiceServicer_to_server,
                    DocumentIndexServicer(pool, owner, lambda: None),
                ),
                (
                    space_rpc.add_CollectionSpaceServiceServicer_to_server,
                    CollectionSpaceServicer(pool, owner, lambda: None),
                ),
            ]
        )
        async with channel_to(service) as channel:
            index = Index(index_rpc.DocumentIndexServiceStub(channel), tenant_headers())
            yield Bench(index, space_rpc.CollectionSpaceServiceStub(channel), owner)
        # No fill is left for the claims of other tests.
        async with owner.transaction(None) as connection:
            await connection.execute(
                "update collection_spaces set state = 'DONE', moving = false, other_space_id = null"
            )


async def test_what_a_space_lacks_is_counted_each_text_once(bench: Bench) -> None:
    await bench.index.add("a.md", "one two", "three", "one two")
    await bench.index.add("b.md", "three")
    measure = await bench.measure()
    assert (measure.documents, measure.chunks, measure.missing_chunks) == (2, 4, 4)
    assert (measure.texts_to_embed, measure.tokens_to_embed) == (2, 3)
    assert not (await bench.measure(SPACE)).missing_chunks
    assert (await bench.call("MeasureSpace", space=NEW)).most_chunks_in == SPACE
    other = replace(bench, index=bench.index.as_tenant())
    assert await other.measure() == SpaceMeasure(), "another tenant's documents are not counted"


async def test_a_text_is_embedded_once_and_every_chunk_that_has_it_gets_the_vector(bench: Bench) -> None:
    await bench.index.add("a.md", "one two", "three", "one two")
    await bench.index.add("b.md", "three")
    await bench.begin()
    await bench.claimed()
    assert sorted(await bench.fill()) == ["one two", "three"]
    assert not (await bench.measure()).missing_chunks
    await bench.index.add("c.md", "three", "four")
    page = await bench.call("TakeUnfilled", space=NEW)
    assert (page.reused, [one.text for one in page.texts]) == (1, ["four"])
    # What another collection has of the same tenant's is copied, too.
    version = (await bench.index.begin("a.md", collection="else")).version_id
    await bench.index.put_chunks(version, chunk(0, "three"))
    await bench.index.put_vectors(version, {0: unit_vector(1)})
    await bench.index.publish(version, 1)
    page = await bench.call("TakeUnfilled", collection="else", space=NEW)
    assert (page.reused, list(page.texts)) == (1, [])


async def test_searches_change_over_in_one_step_and_back(bench: Bench) -> None:
    await bench.index.add("a.md", "one", "three")
    assert not (await bench.call("GetCollectionSpace")).HasField("collection_space")
    await bench.filled()
    assert found(await bench.search("one", SPACE)) == found(await bench.index.search(vector=unit_vector(3)))
    async with refused("SPACE_MOVED", PRECONDITION):
        await bench.search("one", NEW)
    beside = await bench.search("one", NEW, beside=True)
    assert (len(beside.hits), beside.coverage.vectors, beside.coverage.chunks) == (2, 2, 2)
    row = await bench.moved()
    assert (row.state, row.space, row.other) == (CollectionSpace.STATE_SWITCHED, NEW, SPACE)
    answer = await bench.search("three", NEW)
    assert (found(answer)[0], answer.coverage.vectors, answer.coverage.chunks) == ("three", 2, 2)
    async with refused("SPACE_MOVED", PRECONDITION):
        await bench.search("one", SPACE)
    row = await bench.moved()
    assert (row.state, row.space, row.other) == (CollectionSpace.STATE_ROLLED_BACK, SPACE, NEW)
    assert (await bench.search("one", SPACE)).coverage.vectors == 2


async def test_after_a_switch_a_hit_and_its_document_name_who_filled_the_space(bench: Bench) -> None:
    version_id = (await bench.index.begin()).version_id
    await bench.index.put_chunks(version_id, chunk(0, "harbour"))
    await bench.index.put_vectors(version_id, {0: unit_vector(0)})
    chosen = [BackendChoice(service=name, backend="local", reason="MODE_LOCAL", mode=Mode.MODE_LOCAL)
              for name in ("parser", "embedder")]  # fmt: skip
    request = index_pb.PublishVersionRequest(version_id=version_id, chunk_count=1, backends=chosen)
    await bench.index.stub.PublishVersion(request, metadata=bench.index.headers)
    (before,) = (await bench.search("harbour", SPACE, query="harbour")).hits
    assert list(before.backends) == chosen
    await bench.filled()
    filler = BackendChoice(service="embedder", backend="openai", reason="SPACE_KEPT", mode=Mode.MODE_LOCAL)
    await bench.moved(backend=filler)
    (after,) = (await bench.search("harbour", NEW, query="harbour")).hits
    assert list(after.backends) == [chosen[0], filler]
    listed = await bench.index.stub.ListDocuments(
        index_pb.ListDocumentsRequest(), metadata=bench.index.headers
    )
    assert [list(one.backends) for one in listed.documents] == [[chosen[0], filler]]
    # A release before this one does not say who it was.
    await bench.moved()
    (back,) = (await bench.search("harbour", SPACE, query="harbour")).hits
    assert list(back.backends) == chosen[:1]


async def test_words_alone_are_searched_whatever_the_space_is(bench: Bench) -> None:
    await bench.index.add("a.md", "one barge", "three")
    await bench.filled()
    await bench.moved()
    assert found(await bench.index.search("barge", mode=index_pb.SearchRequest.MODE_TEXT, space=None)) == [
        "one barge"
    ]
    async with refused("SPACE_MOVED", PRECONDITION):
        await bench.index.search("barge", unit_vector(1))


async def test_a_switch_is_refused_before_the_space_was_whole_and_says_what_is_missing(bench: Bench) -> None:
    await bench.index.add("a.md", "one", "three")
    await bench.begin()
    async with refused("SPACE_INCOMPLETE", PRECONDITION):
        await bench.call("MoveSearches", moving=True)
    await bench.claimed()
    answer = await bench.end()
    assert (answer.missing_chunks, answer.collection_space.state) == (2, CollectionSpace.STATE_FILLING)


async def test_what_is_published_since_is_counted_in_the_switching_transaction(bench: Bench) -> None:
    await bench.index.add("a.md", "one")
    await bench.filled()
    await bench.index.add("b.md", "three", "five5")
    await bench.call("MoveSearches", moving=True)
    await bench.claimed()
    answer = await bench.end()
    assert (answer.missing_chunks, answer.collection_space.space) == (2, SPACE)
    # Now nothing is published for a moment: the rest is filled meanwhile.
    version = (await bench.index.begin("c.md")).version_id
    await bench.index.put_chunks(version, chunk(0, "seven"))
    await bench.index.put_vectors(version, {0: unit_vector(1)})
    async with refused("SPACE_SWITCHING", grpc.StatusCode.UNAVAILABLE):
        await bench.index.publish(version, 1)
    await bench.claimed()
    assert sorted(await bench.fill()) == ["five5", "three"]
    assert (await bench.end()).collection_space.state == CollectionSpace.STATE_SWITCHED
    # What was begun in the old space is published in the new one, once it has its vectors.
    async with refused("SPACE_MOVED", PRECONDITION):
        await bench.index.publish(version, 1)
    lacking = await bench.index.list_chunks(version, pending_only=True, space=NEW)
    assert [one.text for one in lacking.chunks] == ["seven"]
    await bench.index.put_vectors(version, {0: new_vector("seven")}, NEW)
    await bench.index.publish(version, 1)
    assert (await bench.search("seven", NEW)).coverage.vectors == 4


async def test_a_new_version_is_begun_in_the_space_that_is_searched(bench: Bench) -> None:
    await bench.index.add("a.md", "one", content="same")
    await bench.filled()
    await bench.moved()
    async with refused("SPACE_MOVED", PRECONDITION):
        await bench.index.begin("b.md")
    unchanged = index_pb.BeginVersionResponse.OUTCOME_UNCHANGED
    assert (await bench.index.begin("a.md", "same", space=NEW)).outcome == unchanged
    await bench.moved()
    assert (await bench.index.begin("a.md", "same")).outcome == unchanged


async def test_a_way_back_lacks_what_was_published_behind_the_switch(bench: Bench) -> None:
    await bench.index.add("a.md", "one")
    await bench.filled()
    await bench.moved()
    version = (await bench.index.begin("b.md", space=NEW)).version_id
    await bench.index.put_chunks(version, chunk(0, "three"))
    await bench.index.put_vectors(version, {0: new_vector("three")}, NEW)
    await bench.index.publish(version, 1)
    measure = await bench.measure(SPACE)
    assert (measure.missing_chunks, measure.texts_to_embed) == (1, 1)
    await bench.call("MoveSearches", moving=True)
    await bench.claimed()
    assert (await bench.end()).collection_space.state == CollectionSpace.STATE_SWITCHED
    await bench.claimed()
    assert await bench.fill(SPACE) == ["three"]
    assert (await bench.end()).collection_space.state == CollectionSpace.STATE_ROLLED_BACK
    assert (await bench.search("three", SPACE)).coverage.vectors == 2


async def test_the_end_drops_the_other_spaces_vectors_and_those_alone(bench: Bench) -> None:
    await bench.index.add("a.md", "one", "three")
    await bench.index.add("a.md", "one", content="else")
    await bench.filled()
    await bench.moved()
    assert (await bench.call("FinishFill")).collection_space.state == CollectionSpace.STATE_DONE
    async with refused("MIGRATION_OPEN", PRECONDITION):
        await bench.begin(SPACE)
    await switching.drop(bench.owner)
    row = await bench.row()
    assert (row.space, row.HasField("other")) == (NEW, False)
    assert (await bench.measure(SPACE)).missing_chunks == 1
    assert (await bench.search("one", NEW)).coverage.vectors == 1
    async with refused("MIGRATION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await bench.call("MoveSearches", moving=True)
    assert (await bench.begin(SPACE)).state == CollectionSpace.STATE_FILLING, "and another one may begin"


async def test_one_migration_at_a_time_and_none_to_where_it_is(bench: Bench) -> None:
    await bench.index.add("a.md", "one")
    async with refused("SPACE_SEARCHED", PRECONDITION):
        await bench.begin(SPACE)
    first = await bench.begin()
    assert (await bench.begin()).run_id == first.run_id, "a repeat changes nothing"
    async with refused("MIGRATION_OPEN", PRECONDITION):
        await bench.begin(Space(model="a-third-model", dimension=8))


async def test_only_who_has_claimed_a_fill_ends_it(bench: Bench) -> None:
    await bench.index.add("a.md", "one")
    await bench.begin()
    await bench.claimed()
    await bench.fill()
    assert (
        await bench.end(owner="orchestrator/else")
    ).collection_space.state == CollectionSpace.STATE_FILLING
    assert (await bench.end()).collection_space.state == CollectionSpace.STATE_FILLED
    # A late repeat finds the turn ended.
    await bench.index.add("b.md", "three")
    assert not (await bench.end()).missing_chunks


async def test_a_switch_beside_publishers_loses_none_of_their_documents(bench: Bench) -> None:
    for number in range(10):
        await bench.index.add(f"{number}.md", "x" * (number + 1))
    await bench.filled()
    await bench.call("MoveSearches", moving=True)

    async def publish(number: int) -> None:
        space = SPACE
        while True:
            try:
                version = (await bench.index.begin(f"late {number}.md", space=space)).version_id
                await bench.index.put_chunks(version, chunk(0, "y" * (number + 1)))
                await bench.index.put_vectors(version, {0: unit_vector(number, space.dimension)}, space)
                await bench.index.publish(version, 1)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is PRECONDITION:
                    space = NEW

    async def change_over() -> None:
        while True:
            await bench.claimed()
            await bench.fill()
            if (await bench.end()).collection_space.state == CollectionSpace.STATE_SWITCHED:
                return

    await asyncio.gather(change_over(), *map(publish, range(20)))
    measure = await bench.measure()
    assert (measure.documents, measure.missing_chunks) == (30, 0)
    answer = await bench.search("x", NEW)
    assert (answer.coverage.chunks, answer.coverage.vectors) == (30, 30)
