"""DocumentIndexService.DeleteDocument on the real Postgres: what goes, what stays, and who is told."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence

import grpc
import psycopg
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import Index, chunk, found, refused, unit_vector
from tests.contract.test_document_index import TABLES, index
from waybill.storage.v1 import document_index_service_pb2 as pb

__all__ = ["index"]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def delete(
    index: Index, key: str, collection: str = "", known: Sequence[str] = ()
) -> pb.DeleteDocumentResponse:
    """Deletes a document."""
    request = pb.DeleteDocumentRequest(collection=collection, document_key=key, source_sha256=known)
    return await index.stub.DeleteDocument(request, metadata=index.headers)


def counts(deleted: pb.DeleteDocumentResponse) -> tuple[int, int, int]:
    """Versions, chunks and vectors."""
    return deleted.versions, deleted.chunks, deleted.vectors


def sha256(*contents: str) -> list[str]:
    """What orphans are called, in order."""
    return sorted(hashlib.sha256(content.encode()).hexdigest() for content in contents)


async def building(index: Index, key: str = "a.md", content: str = "draft") -> str:
    """A version that only needs publishing: two chunks, two vectors."""
    version_id = (await index.begin(key, content)).version_id
    await index.put_chunks(version_id, chunk(0, "draft harbour"), chunk(1, "draft pilot"))
    await index.put_vectors(version_id, {0: unit_vector(0), 1: unit_vector(1)})
    return version_id


def steps(index: Index, version_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """What a run does to a version that is building."""
    return {
        "chunks": lambda: index.put_chunks(version_id, chunk(2, "late")),
        "vectors": lambda: index.put_vectors(version_id, {0: unit_vector(0)}),
        "list": lambda: index.list_chunks(version_id),
        "publish": lambda: index.publish(version_id, 2),
    }


async def rows_of(database: MigratedPostgres, index: Index) -> int:
    """Rows that a tenant has, in all tables."""
    total = 0
    async with await psycopg.AsyncConnection.connect(database.owner_url("storage")) as owner:
        for table in TABLES:
            query = f"select count(*) from {table} where tenant = %s"  # noqa: S608
            row = await (await owner.execute(query, [index.headers[0][1]])).fetchone()
            assert row is not None
            total += row[0]
    return total


async def test_every_version_chunk_and_vector_goes_and_is_counted(
    index: Index, database: MigratedPostgres
) -> None:
    await index.add("a.md", "old harbour", content="one")
    await index.add("a.md", "new harbour", "new pilot", content="two")
    draft = (await index.begin("a.md", "three")).version_id
    await index.put_chunks(draft, chunk(0, "draft harbour"))
    deleted = await delete(index, "a.md")
    assert counts(deleted) == (3, 4, 3)
    assert list(deleted.orphaned_source_sha256) == sha256("one", "two", "three")
    assert await rows_of(database, index) == 0


async def test_searches_find_nothing_of_it_at_once_and_all_of_the_rest(index: Index) -> None:
    await index.add("a.md", "harbour one", "pilot")
    await index.add("b.md", "harbour two")
    await index.add("a.md", "harbour three")
    await delete(index, "a.md")
    for query in ({"query": "harbour pilot"}, {"vector": unit_vector(0)}):
        answer = await index.search(**query)
        assert (found(answer), answer.coverage.chunks) == (["harbour two"], 1)


async def test_deleting_what_is_not_there_counts_nothing(index: Index) -> None:
    await index.add("a.md", "harbour")
    nothing = pb.DeleteDocumentResponse()
    assert await delete(index, "never.md") == nothing
    assert await delete(index, "a.md", collection="other") == nothing
    assert counts(await delete(index, "a.md", collection="default")) == (1, 1, 1)
    assert await delete(index, "a.md") == nothing


async def test_a_source_is_orphaned_only_by_the_last_document_made_from_it(index: Index) -> None:
    for key in ("a.md", "b.md"):
        await index.add(key, "harbour", content="shared")
    await index.add("a.md", "pilot", content="own")
    await index.as_tenant().add("c.md", "harbour", content="shared")
    assert list((await delete(index, "a.md")).orphaned_source_sha256) == sha256("own")
    assert list((await delete(index, "b.md")).orphaned_source_sha256) == sha256("shared")


async def test_a_repeat_whose_answer_was_lost_names_the_orphans_again(index: Index) -> None:
    await index.add("a.md", "harbour", content="one")
    await index.add("b.md", "pilot", content="two")
    known = sha256("one", "two")
    assert list((await delete(index, "a.md", known=known)).orphaned_source_sha256) == sha256("one")
    again = await delete(index, "a.md", known=known)
    assert (counts(again), list(again.orphaned_source_sha256)) == ((0, 0, 0), sha256("one"))


async def test_anothers_document_of_the_same_key_and_content_is_untouched(index: Index) -> None:
    them = index.as_tenant()
    for who in (index, them):
        await who.add("a.md", "harbour", content="same")
    deleted = await delete(index, "a.md")
    assert (counts(deleted), list(deleted.orphaned_source_sha256)) == ((1, 1, 1), sha256("same"))
    assert found(await them.search("harbour", unit_vector(0))) == ["harbour"]
    assert await delete(index, "a.md") == pb.DeleteDocumentResponse()


@pytest.mark.parametrize("key", ["", "a\0b", "é" * 513])
async def test_a_name_that_no_document_can_have_is_refused(index: Index, key: str) -> None:
    async with refused("INVALID_REQUEST", INVALID):
        await delete(index, key)


async def test_a_deleted_document_can_be_ingested_again(index: Index) -> None:
    run_id = str(uuid.uuid4())
    before = await index.begin("a.md", "one", run_id=run_id)
    await delete(index, "a.md")
    again = await index.begin("a.md", "one", run_id=run_id)
    assert {again.version_id, again.document_id}.isdisjoint({before.version_id, before.document_id, ""})
    await index.add("a.md", "harbour", content="one")
    assert found(await index.search("harbour")) == ["harbour"]


@pytest.mark.parametrize("step", ["chunks", "vectors", "list", "publish"])
async def test_a_run_whose_version_was_deleted_is_told_at_every_step(
    index: Index, database: MigratedPostgres, step: str
) -> None:
    version_id = await building(index)
    assert counts(await delete(index, "a.md")) == (1, 2, 2)
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await steps(index, version_id)[step]()
    assert await rows_of(database, index) == 0
