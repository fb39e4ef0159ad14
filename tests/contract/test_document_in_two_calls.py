"""A document in two calls: PutChunks begins its version, PutVectors publishes it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import SPACE, Index, chunk, found, refused, unit_vector
from tests.contract.test_document_index import index_at
from waybill.common.v1.space_pb2 import Space
from waybill.storage.v1 import document_index_service_pb2 as pb
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector

INVALID = grpc.StatusCode.INVALID_ARGUMENT
BEGUN = pb.BeginVersionResponse.OUTCOME_BEGUN
UNCHANGED = pb.BeginVersionResponse.OUTCOME_UNCHANGED
PUBLISHED = pb.BeginVersionResponse.OUTCOME_PUBLISHED


@pytest.fixture
async def index(database: MigratedPostgres) -> AsyncIterator[Index]:
    """A new tenant's index."""
    async with index_at(database) as made:
        yield made


async def begin(
    index: Index,
    *chunks: Chunk,
    run_id: str = "",
    key: str = "a.md",
    content: str = "a",
    space: Space = SPACE,
) -> pb.PutChunksResponse:
    """Begins a version with its chunks."""
    wanted = pb.BeginVersionRequest(
        document_key=key,
        source_sha256=content.encode().hex().zfill(64),
        recipe="recipe-1",
        space=space,
        run_id=run_id or str(uuid.uuid4()),
    )
    request = pb.PutChunksRequest(begin=wanted, chunks=chunks)
    return await index.stub.PutChunks(request, metadata=index.headers)


async def finish(
    index: Index, version_id: str, vectors: dict[int, bytes], chunk_count: int, edition: int = 0
) -> pb.PublishVersionResponse:
    """Writes a version's last vectors and publishes it."""
    request = pb.PutVectorsRequest(
        version_id=version_id,
        space=SPACE,
        vectors=[ChunkVector(ordinal=ordinal, values=values) for ordinal, values in vectors.items()],
        publish=pb.PublishVersionRequest(chunk_count=chunk_count, edition=edition),
    )
    return (await index.stub.PutVectors(request, metadata=index.headers)).published


async def test_a_document_is_found_after_two_calls(index: Index) -> None:
    put = await begin(index, chunk(0, "harbour"), chunk(1, "pilot"))
    assert (put.begun.outcome, list(put.pending_ordinals), put.reused_vectors) == (BEGUN, [0, 1], 0)
    published = await finish(index, put.begun.version_id, {0: unit_vector(0), 1: unit_vector(1)}, 2)
    assert published.document_id == put.begun.document_id
    assert found(await index.search("harbour")) == ["harbour"]


async def test_only_texts_that_the_tenant_has_no_vector_for_are_pending(index: Index) -> None:
    await index.add("other.md", "pilot")
    put = await begin(index, chunk(0, "harbour"), chunk(1, "pilot"), chunk(2, "tide"))
    assert (list(put.pending_ordinals), put.reused_vectors) == ([0, 2], 1)
    await index.put_vectors(put.begun.version_id, {2: unit_vector(2)})
    request = pb.PutChunksRequest(
        version_id=put.begun.version_id, chunks=[chunk(0, "harbour"), chunk(2, "tide")]
    )
    assert (await index.stub.PutChunks(request, metadata=index.headers)).pending_ordinals == [0]


async def test_both_calls_repeated_at_any_time_change_nothing(index: Index) -> None:
    run_id, vectors = str(uuid.uuid4()), {0: unit_vector(0)}
    first, again = await asyncio.gather(*(begin(index, chunk(0, "harbour"), run_id=run_id) for _ in range(2)))
    assert first == again
    version_id = first.begun.version_id
    published = await asyncio.gather(*(finish(index, version_id, vectors, 1) for _ in range(3)))
    assert {one.document_id for one in published} == {first.begun.document_id}
    repeated = await begin(index, chunk(0, "harbour"), run_id=run_id)
    assert (repeated.begun.outcome, repeated.begun.version_id) == (PUBLISHED, version_id)
    assert (repeated.begun.chunk_count, len(repeated.pending_ordinals), repeated.reused_vectors) == (1, 0, 0)
    await index.add("a.md", "quay", content="newer")
    assert (await begin(index, chunk(0, "harbour"), run_id=run_id)).begun.outcome == PUBLISHED
    assert (await finish(index, version_id, vectors, 1)).replaced_version_id == ""
    assert found(await index.search("harbour quay")) == ["quay"]


async def test_a_version_that_was_published_is_found_also_once_the_run_begins_in_another_space(
    index: Index,
) -> None:
    run_id, other = str(uuid.uuid4()), Space(model="text-embedding-3-small", dimension=1536)
    put = await begin(index, chunk(0, "harbour"), run_id=run_id)
    await finish(index, put.begun.version_id, {0: unit_vector(0)}, 1)
    # The run was cut off before it could say so, and by now another model embeds.
    again = await begin(index, chunk(0, "harbour"), run_id=run_id, space=other)
    assert (again.begun.outcome, again.begun.version_id) == (PUBLISHED, put.begun.version_id)
    assert again.begun.space == SPACE
    # What is not published yet goes over to the other space.
    await begin(index, chunk(0, "quay"), run_id=run_id, key="b.md")
    put = await begin(index, chunk(0, "quay"), run_id=run_id, key="b.md", space=other)
    assert (put.begun.outcome, put.begun.HasField("space")) == (BEGUN, False)


async def test_what_is_published_already_is_not_written_again(index: Index) -> None:
    first = await begin(index, chunk(0, "harbour"))
    await finish(index, first.begun.version_id, {0: unit_vector(0)}, 1)
    other = await begin(index, chunk(0, "never"))
    assert (other.begun.outcome, other.begun.version_id) == (UNCHANGED, first.begun.version_id)
    assert found(await index.search("never")) == []


async def test_vectors_of_a_version_that_lacks_others_are_not_kept_nor_published(index: Index) -> None:
    put = await begin(index, chunk(0, "harbour"), chunk(1, "pilot"))
    async with refused("VERSION_INCOMPLETE", grpc.StatusCode.FAILED_PRECONDITION):
        await finish(index, put.begun.version_id, {0: unit_vector(0)}, 2)
    pending = await index.list_chunks(put.begun.version_id, pending_only=True)
    assert [one.ordinal for one in pending.chunks] == [0, 1]


async def test_an_older_content_does_not_replace_a_newer_one(index: Index) -> None:
    old = await begin(index, chunk(0, "old harbour"), content="old")
    new = await begin(index, chunk(0, "new harbour"), content="new")
    await finish(index, new.begun.version_id, {0: unit_vector(0)}, 1, edition=2)
    answer = await finish(index, old.begun.version_id, {0: unit_vector(1)}, 1, edition=1)
    assert answer.replaced_version_id == old.begun.version_id
    assert found(await index.search("harbour")) == ["new harbour"]


async def test_a_space_that_nobody_has_used_gets_its_room(index: Index) -> None:
    space = Space(model=f"new-{uuid.uuid4().hex[:8]}", dimension=4)
    put = await begin(index, chunk(0, "harbour"), space=space)
    assert (put.begun.outcome, list(put.pending_ordinals)) == (BEGUN, [0])


async def test_a_call_that_contradicts_itself_is_refused(index: Index) -> None:
    put = await begin(index, chunk(0, "harbour"))
    wanted = pb.BeginVersionRequest(
        document_key="a.md", source_sha256="0" * 64, recipe="r", space=SPACE, run_id="r"
    )
    both = pb.PutChunksRequest(version_id=put.begun.version_id, begin=wanted)
    async with refused("INVALID_REQUEST", INVALID):
        await index.stub.PutChunks(both, metadata=index.headers)
    wanted.validate_only = True
    async with refused("INVALID_REQUEST", INVALID):
        await index.stub.PutChunks(pb.PutChunksRequest(begin=wanted), metadata=index.headers)
    other = pb.PublishVersionRequest(version_id=str(uuid.uuid4()), chunk_count=1)
    request = pb.PutVectorsRequest(version_id=put.begun.version_id, space=SPACE, publish=other)
    async with refused("INVALID_REQUEST", INVALID):
        await index.stub.PutVectors(request, metadata=index.headers)
