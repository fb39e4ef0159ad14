"""What the index holds, listed: documents by name, collections with counts, chunks of a document."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psycopg
import pytest

from services.storage import inventory
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import SPACE, Index, chunk, refused, unit_vector
from tests.contract.test_document_index import index
from tests.contract.test_search_backfill import of_database, old
from waybill.runtime.channel import MAX_MESSAGE_BYTES
from waybill.runtime.postgres import Database
from waybill.storage.v1 import document_index_service_pb2 as pb
from waybill.storage.v1.document_pb2 import Document

__all__ = ["index", "old"]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
MANY = 20_000

# As many documents of one tenant, each published with one chunk, and as many of another.
FILL = """
with made as (
    insert into waybill_index.documents (tenant, collection, document_key, current_version_id)
    select tenant, 'c' || number %% 2, 'key-' || lpad(number::text, 6, '0'), null
    from unnest(%(tenants)s::text[]) tenant, generate_series(1, %(many)s) number
    returning tenant, document_id
), versions as (
    insert into waybill_index.document_versions
        (tenant, document_id, run_id, source_sha256, recipe, space_id, state, chunk_count, published_at)
    select tenant, document_id, 'run', md5(document_id::text), 'recipe', 1, 'PUBLISHED', 1, now() from made
    returning tenant, document_id, version_id
)
select count(*) from versions
"""
POINT = """
update waybill_index.documents set current_version_id = version_id
from waybill_index.document_versions versions where versions.document_id = documents.document_id
    and documents.tenant = any(%(tenants)s)
"""


async def pages(index: Index, **wanted: object) -> AsyncIterator[pb.ListDocumentsResponse]:
    """Every page of a listing."""
    request = pb.ListDocumentsRequest(**wanted)  # type: ignore[arg-type]
    while True:
        answer = await index.stub.ListDocuments(request, metadata=index.headers)
        yield answer
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


async def listed(index: Index, **wanted: object) -> list[Document]:
    """Every document of a listing."""
    return [document async for page in pages(index, **wanted) for document in page.documents]


async def keys(index: Index, **wanted: object) -> list[str]:
    """Their keys."""
    return [document.document_key for document in await listed(index, **wanted)]


async def get(index: Index, key: str, collection: str = "") -> Document:
    """One document."""
    request = pb.GetDocumentRequest(collection=collection, document_key=key)
    return (await index.stub.GetDocument(request, metadata=index.headers)).document


async def collections(index: Index, **wanted: object) -> pb.ListCollectionsResponse:
    """A page of collections."""
    return await index.stub.ListCollections(
        pb.ListCollectionsRequest(**wanted),  # type: ignore[arg-type]
        metadata=index.headers,
    )


async def publish_in(index: Index, collection: str, key: str, *texts: str, **begun: Any) -> str:
    """A published document of a collection."""
    version_id = (await index.begin(key, repr(texts), collection=collection, **begun)).version_id
    await index.put_chunks(version_id, *(chunk(place, text) for place, text in enumerate(texts)))
    await index.put_vectors(version_id, {place: unit_vector(place) for place in range(len(texts))})
    await index.publish(version_id, len(texts))
    return version_id


async def test_a_document_tells_what_is_published_of_it(index: Index) -> None:
    version_id = await publish_in(
        index, "manuals", "a.md", "harbour", "pilot", run_id="run-1", metadata={"lang": "en"}, origin="/docs"
    )
    document = await get(index, "a.md", "manuals")
    assert (document.version_id, document.run_id, document.chunk_count) == (version_id, "run-1", 2)
    assert document.source_sha256 == hashlib.sha256(repr(("harbour", "pilot")).encode()).hexdigest()
    assert (dict(document.metadata), document.origin, document.space) == ({"lang": "en"}, "/docs", SPACE)
    assert document.create_time.ToNanoseconds() <= document.publish_time.ToNanoseconds()
    assert await listed(index) == [document]


async def test_a_document_of_which_nothing_is_published_is_listed_without_a_version(index: Index) -> None:
    await index.begin("draft.md")
    (document,) = await listed(index)
    assert (document.document_key, document.version_id, document.run_id) == ("draft.md", "", "")
    assert not document.HasField("publish_time")
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await index.list_chunks("", document_key="draft.md")


async def test_a_document_that_is_not_there_is_said(index: Index) -> None:
    await index.add("a.md", "harbour")
    for collection, key in (("", "b.md"), ("other", "a.md")):
        async with refused("DOCUMENT_NOT_FOUND", NOT_FOUND):
            await get(index, key, collection)
        async with refused("DOCUMENT_NOT_FOUND", NOT_FOUND):
            await index.list_chunks("", collection=collection, document_key=key)


async def test_pages_follow_each_other_by_collection_and_key_and_miss_nothing(index: Index) -> None:
    for collection, key in (("b", "1"), ("a", "2"), ("a", "1"), ("b", "0"), ("a", "3")):
        await publish_in(index, collection, key, "harbour")
    answers = [page async for page in pages(index, page_size=2)]
    assert [len(answer.documents) for answer in answers] == [2, 2, 1]
    places = [(one.collection, one.document_key) for answer in answers for one in answer.documents]
    assert places == [("a", "1"), ("a", "2"), ("a", "3"), ("b", "0"), ("b", "1")]
    assert await keys(index, collection="b", page_size=1) == ["0", "1"]


async def test_a_listing_is_filtered_by_metadata_origin_and_content(index: Index) -> None:
    await publish_in(index, "default", "en.md", "one", metadata={"lang": "en", "year": "1890"}, origin="/a")
    await publish_in(index, "default", "de.md", "two", metadata={"lang": "de"}, origin="/b")
    await publish_in(index, "other", "copy.md", "one")
    assert await keys(index, metadata={"lang": "en"}) == ["en.md"]
    assert await keys(index, metadata={"lang": "en", "year": "1990"}) == []
    assert await keys(index, origin="/b") == ["de.md"]
    source = (await get(index, "en.md")).source_sha256
    assert await keys(index, source_sha256=source) == ["en.md", "copy.md"]
    assert await keys(index, source_sha256=source, collection="other") == ["copy.md"]


async def test_content_that_was_replaced_is_nobodys_any_more(index: Index) -> None:
    await index.add("a.md", "old", content="old")
    await index.add("a.md", "new", content="new")
    assert await keys(index, source_sha256=hashlib.sha256(b"old").hexdigest()) == []


async def test_a_page_of_documents_with_much_metadata_fits_into_a_message(index: Index) -> None:
    for number in range(40):
        await index.begin(f"{number:02}.md", origin="x" * 4_000)
        await publish_in(index, "default", f"{number:02}.md", "harbour", metadata={"k": "v" * 65_000})
    answers = [page async for page in pages(index)]
    assert len(answers) > 1
    assert all(answer.ByteSize() < MAX_MESSAGE_BYTES for answer in answers)
    assert len({one.document_key for answer in answers for one in answer.documents}) == 40


async def test_unchanged_content_keeps_metadata_and_origin_until_others_are_named(index: Index) -> None:
    await publish_in(index, "default", "a.md", "one", metadata={"lang": "en"}, origin="/a")
    content = repr(("one",))
    same = await index.begin("a.md", content, validate_only=True, origin="/a")
    assert (same.outcome, same.description_differs) == (pb.BeginVersionResponse.OUTCOME_UNCHANGED, False)
    assert (await index.begin("a.md", content, validate_only=True, origin="/b")).description_differs
    assert (await index.begin("a.md", content, validate_only=True, metadata={"x": "y"})).description_differs
    assert (await get(index, "a.md")).origin == "/a"
    assert not (await index.begin("a.md", content, origin="/b")).description_differs
    document = await get(index, "a.md")
    assert (document.origin, dict(document.metadata)) == ("/b", {"lang": "en"})


async def test_new_content_has_its_origin_at_once_and_keeps_it_until_another_is_named(index: Index) -> None:
    await publish_in(index, "default", "a.md", "one", origin="/a")
    await publish_in(index, "default", "a.md", "two")
    assert (await get(index, "a.md")).origin == "/a"
    await index.begin("a.md", "three", origin="/b")
    assert (await get(index, "a.md")).origin == "/b"


async def test_collections_count_what_is_published_and_follow_changes_and_deletions(index: Index) -> None:
    await publish_in(index, "manuals", "a.md", "one", "two")
    await publish_in(index, "manuals", "b.md", "three")
    await publish_in(index, "letters", "c.md", "four")
    await index.begin("draft.md", collection="drafts")
    found = {one.collection: (one.documents, one.chunks) for one in (await collections(index)).collections}
    assert found == {"letters": (1, 1), "manuals": (2, 3)}
    await publish_in(index, "manuals", "a.md", "changed")
    await index.stub.DeleteDocument(
        pb.DeleteDocumentRequest(collection="letters", document_key="c.md"), metadata=index.headers
    )
    found = {one.collection: (one.documents, one.chunks) for one in (await collections(index)).collections}
    assert found == {"manuals": (2, 2)}


async def test_documents_of_a_release_before_are_counted_and_have_a_time(
    database: MigratedPostgres, old: str
) -> None:
    async with Database.opened(of_database(database.url("storage"), old)) as pool:
        (collection,) = await inventory.collections(pool, "old", 10, None)
        listed = await inventory.documents(pool, "old", inventory.Wanted(), 10, None)
    assert collection == {"collection": "default", "documents": 1, "chunks": 2}
    assert [(one["document_key"], one["published_at"] is not None) for one in listed] == [
        ("a.md", True),
        ("b.md", False),
    ]


async def test_collections_come_in_pages_by_name(index: Index) -> None:
    for name in ("b", "c", "a"):
        await publish_in(index, name, "a.md", "harbour")
    first = await collections(index, page_size=2)
    rest = await collections(index, page_size=2, page_token=first.next_page_token)
    assert [one.collection for one in (*first.collections, *rest.collections)] == ["a", "b", "c"]
    assert not rest.next_page_token


async def test_chunks_of_a_document_are_those_of_its_published_version(index: Index) -> None:
    version_id = await publish_in(index, "manuals", "a.md", "harbour", "pilot", "mole")
    await index.begin("a.md", "draft", collection="manuals")
    of = {"collection": "manuals", "document_key": "a.md", "page_size": 2}
    first = await index.list_chunks("", **of)
    rest = await index.list_chunks("", **of, page_token=first.next_page_token)
    assert [one.text for one in (*first.chunks, *rest.chunks)] == ["harbour", "pilot", "mole"]
    assert first.version_id == rest.version_id == version_id


async def test_a_document_that_was_replaced_between_two_pages_says_so(index: Index) -> None:
    await index.add("a.md", "harbour", "pilot")
    first = await index.list_chunks("", document_key="a.md", page_size=1)
    await index.add("a.md", "other", "text")
    async with refused("PAGE_TOKEN_INVALID", INVALID):
        await index.list_chunks("", document_key="a.md", page_token=first.next_page_token)


async def test_a_stranger_sees_nothing_of_another_tenants_inventory(index: Index) -> None:
    await publish_in(index, "manuals", "a.md", "harbour", metadata={"lang": "en"}, origin="/a")
    source = (await get(index, "a.md", "manuals")).source_sha256
    stranger = index.as_tenant()
    filters: list[dict[str, object]] = [
        {},
        {"collection": "manuals"},
        {"metadata": {"lang": "en"}},
        {"origin": "/a"},
        {"source_sha256": source},
    ]
    for wanted in filters:
        assert await listed(index, **wanted)
        assert not await listed(stranger, **wanted)
    assert not (await collections(stranger)).collections
    async with refused("DOCUMENT_NOT_FOUND", NOT_FOUND):
        await get(stranger, "a.md", "manuals")
    async with refused("DOCUMENT_NOT_FOUND", NOT_FOUND):
        await stranger.list_chunks("", collection="manuals", document_key="a.md")


@pytest.mark.parametrize("token", ["x", "!!", "W10=", "WzEsMl0=", "bnVsbA==", "W1tbW1tbW1tb"])
async def test_a_token_of_nobodys_is_refused(index: Index, token: str) -> None:
    async with refused("PAGE_TOKEN_INVALID", INVALID):
        await listed(index, page_token=token)
    async with refused("PAGE_TOKEN_INVALID", INVALID):
        await collections(index, page_token=token)


async def test_a_page_size_is_clamped_and_never_negative(index: Index) -> None:
    await index.add("a.md", "harbour")
    assert await keys(index, page_size=2**31 - 1) == ["a.md"]
    async with refused("INVALID_REQUEST", INVALID):
        await listed(index, page_size=-1)


async def explained(connection: psycopg.AsyncConnection, query: str, values: dict[str, object]) -> int:
    """Pages of the database that a query touches, hits and reads."""
    cursor = await connection.execute(f"explain (analyze, buffers, format json) {query}".encode(), values)
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_the_last_page_of_very_many_documents_costs_what_the_first_does(
    index: Index, database: MigratedPostgres
) -> None:
    tenant = str(index.headers[0][1])
    tenants = {"tenants": [tenant, f"{tenant}-other"], "many": MANY}
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        await admin.execute(FILL, tenants)
        await admin.execute(POINT, tenants)
        await admin.execute("vacuum analyze waybill_index.documents, waybill_index.document_versions")
    unfiltered = inventory.Wanted().values()
    costs: dict[str, list[int]] = {}
    async with await psycopg.AsyncConnection.connect(database.url("storage")) as storage:
        await storage.execute("select set_config('waybill.tenant', %s, false)", [tenant])
        for collection in (None, "c1"):
            for key in (None, f"key-{MANY // 2:06}", f"key-{MANY - 500:06}"):
                values = unfiltered | {
                    "tenant": tenant,
                    "collection": collection,
                    "after_collection": "c1" if key else None,
                    "after_key": key,
                    "limit": 101,
                }
                costs.setdefault(str(collection), []).append(await explained(storage, inventory.LIST, values))
        source = hashlib.sha256(b"none").hexdigest()
        values |= {"source_sha256": source, "after_key": None, "after_collection": None}
        assert await explained(storage, inventory.LIST, values) < 50
    for first, *others in costs.values():
        assert first < 1_000, costs
        assert all(cost < 1.6 * first for cost in others), costs
