"""DocumentIndexService on the real Postgres: versions, publishing, search, and whose is what."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np
import psycopg
import pytest

from services.storage.index_servicer import DocumentIndexServicer
from services.storage.sweep import Patience, Sweeper
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
from tests.waiting import until
from waybill.common.v1.space_pb2 import Space
from waybill.runtime.postgres import Database
from waybill.runtime.server import Service
from waybill.runtime.wire import timestamp
from waybill.storage.v1 import document_index_service_pb2 as pb
from waybill.storage.v1 import document_index_service_pb2_grpc as rpc

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
BEGUN = pb.BeginVersionResponse.OUTCOME_BEGUN
UNCHANGED = pb.BeginVersionResponse.OUTCOME_UNCHANGED
TABLES = [
    "collection_spaces",
    "documents",
    "document_versions",
    "chunks",
    "vectors",
    "postings",
    "totals",
    "objects",
]


@asynccontextmanager
async def index_at(
    database: MigratedPostgres, on_replaced: Callable[[], None] = lambda: None, options: str = ""
) -> AsyncIterator[Index]:
    """The service over this database, seen by a new tenant."""
    pool = await Database.open(database.url("storage") + options)
    owner = await Database.open(database.owner_url("storage"), max_size=1)
    add = rpc.add_DocumentIndexServiceServicer_to_server
    servicer = DocumentIndexServicer(pool, owner, on_replaced)
    service = Service([(add, servicer)])
    try:
        async with channel_to(service) as channel:
            yield Index(rpc.DocumentIndexServiceStub(channel), tenant_headers())
    finally:
        await pool.close()
        await owner.close()


@pytest.fixture
async def index(database: MigratedPostgres) -> AsyncIterator[Index]:
    """A new tenant's index; nothing is swept unless a test says so."""
    async with index_at(database) as made:
        yield made


# Beginning


async def test_a_run_that_begins_twice_gets_the_same_version(index: Index) -> None:
    run_id = str(uuid.uuid4())
    first, second = await asyncio.gather(index.begin(run_id=run_id), index.begin(run_id=run_id))
    assert first == second
    assert first.outcome == BEGUN
    other = await index.begin()
    assert other.document_id == first.document_id
    assert other.version_id != first.version_id


async def test_a_run_cannot_begin_one_document_with_two_contents(index: Index) -> None:
    run_id = str(uuid.uuid4())
    await index.begin(content="one", run_id=run_id)
    async with refused("RUN_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await index.begin(content="two", run_id=run_id)


async def test_the_published_content_is_unchanged_until_content_recipe_or_space_differ(index: Index) -> None:
    version_id = await index.add("a.md", "harbour", "pilot", content="one")
    again = await index.begin("a.md", "one")
    assert (again.outcome, again.version_id, again.chunk_count) == (UNCHANGED, version_id, 2)
    other_space = Space(model="text-embedding-3-small", dimension=1536)
    for differs in (
        await index.begin("a.md", "two"),
        await index.begin("a.md", "one", recipe="recipe-2"),
        await index.begin("a.md", "one", space=other_space),
        await index.begin("b.md", "one"),
        await index.begin("a.md", "one", collection="other"),
    ):
        assert (differs.outcome, differs.chunk_count) == (BEGUN, 0)


async def test_content_that_was_only_begun_is_not_unchanged(index: Index) -> None:
    await index.begin("a.md", "one")
    assert (await index.begin("a.md", "one")).outcome == BEGUN


async def test_asking_only_writes_nothing(index: Index) -> None:
    asked = await index.begin(run_id="", validate_only=True)
    assert (asked.outcome, asked.version_id, asked.document_id) == (BEGUN, "", "")
    begun = await index.begin()
    asked = await index.begin(content="two", validate_only=True)
    assert (asked.outcome, asked.version_id, asked.document_id) == (BEGUN, "", begun.document_id)


@pytest.mark.parametrize(
    "changed",
    [
        {"document_key": ""},
        {"document_key": "a\0b"},
        {"document_key": "é" * 513},
        {"collection": "c" * 129},
        {"source_sha256": "nothing"},
        {"run_id": "\0"},
    ],
)
async def test_a_beginning_that_cannot_be_stored_is_refused(index: Index, changed: dict[str, str]) -> None:
    async with refused("INVALID_REQUEST", INVALID):
        await index.begin(**changed)


async def test_a_space_that_can_have_no_index_is_refused_with_the_ones_there_are(index: Index) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="text-embedding-3-small") as caught:
        await index.begin(space=Space(model="too-large", dimension=4_001))
    assert caught.value.code() is PRECONDITION
    async with refused("SPACE_UNKNOWN", PRECONDITION):
        await index.search(vector=unit_vector(1), space=Space(model="\0", dimension=256))


async def test_a_new_model_gets_room_for_its_vectors_once_however_many_ask(
    index: Index, database: MigratedPostgres
) -> None:
    space = Space(model=f"sentences-{uuid.uuid4().hex}", dimension=7, revision="1")
    begun = await asyncio.gather(*(index.begin(space=space, document_key=f"{n}.md") for n in range(4)))
    for number, one in enumerate(begun):
        await index.put_chunks(one.version_id, chunk(0, f"text {number}"))
        await index.put_vectors(one.version_id, {0: unit_vector(number + 1, 7)}, space)
        await index.publish(one.version_id, 1)
    (first, *_) = (await index.search(vector=unit_vector(3, 7), space=space)).hits
    assert first.document_key == "2.md"
    async with await psycopg.AsyncConnection.connect(database.owner_url("storage")) as connection:
        rows = await (
            await connection.execute("select from waybill_index.spaces where model = %s", [space.model])
        ).fetchall()
    assert len(rows) == 1


# Filling


async def test_chunks_are_listed_as_they_were_put_and_putting_them_again_changes_nothing(
    index: Index,
) -> None:
    version_id = (await index.begin()).version_id
    sent = [chunk(1, "Zweiter\n\x1b[31m[bold]", "Teil › B", page=2), chunk(0, "first 🦊")]
    for _ in range(2):
        assert await index.put_chunks(version_id, *sent) == 0
    await index.put_chunks(version_id, chunk(0, "another text for a place that is taken"))
    listed = (await index.list_chunks(version_id)).chunks
    for one in listed:
        assert one.chunk_id == str(uuid.uuid5(uuid.UUID(version_id), str(one.ordinal)))
        one.ClearField("chunk_id")
    assert list(listed) == sent[::-1]


async def test_pages_of_chunks_follow_each_other_without_gap(index: Index) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, *(chunk(place, f"text {place}") for place in range(7)))
    places, token = [], ""
    for size in (3, 3, 1_000_000):
        page = await index.list_chunks(version_id, page_size=size, page_token=token)
        places.append([one.ordinal for one in page.chunks])
        token = page.next_page_token
    assert (places, token) == ([[0, 1, 2], [3, 4, 5], [6]], "")
    within = await index.list_chunks(version_id, start_ordinal=2, end_ordinal=5, page_size=3)
    assert ([one.ordinal for one in within.chunks], within.next_page_token) == ([2, 3, 4], "")


async def test_a_page_ends_at_one_mebibyte_of_text(index: Index) -> None:
    version_id = (await index.begin()).version_id
    for first in (0, 10):
        await index.put_chunks(version_id, *(chunk(first + n, "wharf " * 10_000) for n in range(10)))
    page = await index.list_chunks(version_id)
    assert len(page.chunks) == 17  # of 60,000 bytes each
    rest = await index.list_chunks(version_id, page_token=page.next_page_token)
    assert ([one.ordinal for one in rest.chunks], rest.next_page_token) == ([17, 18, 19], "")


@pytest.mark.parametrize("token", ["no token", "AAAA", "ä", "A" * 28, "\0"])
async def test_a_page_token_that_was_not_given_out_is_refused(index: Index, token: str) -> None:
    version_id = (await index.begin()).version_id
    async with refused("PAGE_TOKEN_INVALID", INVALID):
        await index.list_chunks(version_id, page_token=token)


async def test_chunks_without_a_vector_are_pending(index: Index) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, *(chunk(place, f"text {place}") for place in range(3)))
    await index.put_vectors(version_id, {1: unit_vector(1)})
    pending = (await index.list_chunks(version_id, pending_only=True)).chunks
    assert [one.ordinal for one in pending] == [0, 2]


@pytest.mark.parametrize(
    "bad",
    [
        [chunk(0, "text"), chunk(0, "text")],
        [chunk(-1, "text")],
        [chunk(0, "te\0xt")],
        [chunk(0, "text", page=0)],
        [chunk(0, "x" * 65_537)],
    ],
)
async def test_chunks_that_cannot_be_stored_are_refused_together(index: Index, bad: list[object]) -> None:
    version_id = (await index.begin()).version_id
    async with refused("INVALID_REQUEST", INVALID):
        await index.put_chunks(version_id, chunk(9, "good"), *bad)  # type: ignore[arg-type]
    assert not (await index.list_chunks(version_id)).chunks


async def test_a_hash_of_another_text_is_refused_because_it_would_fetch_that_ones_vector(
    index: Index,
) -> None:
    version_id = (await index.begin()).version_id
    wrong = chunk(0, "text")
    wrong.sha256 = chunk(0, "other").sha256
    async with refused("INVALID_REQUEST", INVALID):
        await index.put_chunks(version_id, wrong)


async def test_ids_that_name_nothing_here_are_not_found(index: Index) -> None:
    theirs = (await index.as_tenant().begin()).version_id
    for version_id in ("", "no id", "../x", str(uuid.uuid4()), theirs):
        for call in (
            index.put_chunks(version_id, chunk(0, "text")),
            index.list_chunks(version_id),
            index.put_vectors(version_id, {0: unit_vector(1)}),
            index.publish(version_id, 1),
        ):
            async with refused("VERSION_NOT_FOUND", NOT_FOUND):
                await call


@pytest.mark.parametrize(
    "values",
    [b"", unit_vector(1)[:-1], unit_vector(1) * 2, bytes(1024), b"\xff" * 1024, b"\x00\x00\x80\x3f" * 256],
    ids=["none", "short", "long", "zero", "nan", "length 16"],
)
async def test_bytes_that_are_no_unit_vector_are_refused(index: Index, values: bytes) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "text"), chunk(1, "more"))
    async with refused("VECTOR_INVALID", INVALID):
        await index.put_vectors(version_id, {0: unit_vector(1), 1: values})
    with pytest.raises(grpc.aio.AioRpcError, match="The vector of chunk 1 has"):
        await index.put_vectors(version_id, {1: values, 0: unit_vector(1)})
    async with refused("VECTOR_INVALID", INVALID):
        await index.search(vector=values or b"x")
    assert len((await index.list_chunks(version_id, pending_only=True)).chunks) == 2


async def test_each_chunk_has_its_own_vector_in_halves_in_whatever_order_they_came(
    index: Index, database: MigratedPostgres
) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, *(chunk(place, f"text {place}") for place in range(3)))
    await index.put_vectors(version_id, {place: unit_vector(place) for place in (2, 0, 1)})
    await index.put_vectors(version_id, {})
    query = (
        "select array_agg(e::extensions.vector::real[] order by ordinal) from vectors where version_id = %s"
    )
    with psycopg.connect(database.owner_url("storage")) as owner:
        (stored,) = owner.execute(query, [version_id]).fetchone() or [None]
    sent = [np.frombuffer(unit_vector(place), "<f4").astype(np.float16) for place in range(3)]
    assert np.array_equal(np.array(stored, np.float16), sent)


async def test_vectors_of_another_space_or_of_no_chunk_are_refused(index: Index) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "text"))
    small = Space(model="text-embedding-3-small", dimension=1536)
    async with refused("VECTOR_INVALID", INVALID):
        await index.put_vectors(version_id, {0: unit_vector(1, 1536)}, small)
    async with refused("SPACE_UNKNOWN", PRECONDITION):
        await index.put_vectors(version_id, {0: unit_vector(1)}, Space(model="unheard-of", dimension=256))
    async with refused("CHUNK_NOT_FOUND", NOT_FOUND):
        await index.put_vectors(version_id, {0: unit_vector(1), 1: unit_vector(2)})


async def test_the_same_text_of_the_same_tenant_and_space_needs_no_second_embedding(index: Index) -> None:
    await index.add("a.md", "harbour", "pilot", seed=5)
    version_id = (await index.begin("b.md")).version_id
    chunks = [chunk(0, "new"), chunk(1, "pilot"), chunk(2, "pilot", heading="Other")]
    for _ in range(2):
        assert await index.put_chunks(version_id, *chunks) == 1
    await index.put_vectors(version_id, {0: unit_vector(50), 2: unit_vector(52)})
    await index.publish(version_id, 3)
    hits = (await index.search(vector=unit_vector(6), document_keys=["b.md"])).hits
    assert hits[0].chunk.ordinal == 1
    for other in (
        (await index.begin("c.md", space=Space(model="text-embedding-3-small", dimension=1536)), index),
        (await (them := index.as_tenant()).begin("c.md"), them),
    ):
        assert await other[1].put_chunks(other[0].version_id, chunk(0, "pilot")) == 0


# Publishing


async def test_a_version_with_gaps_or_without_vectors_is_not_published(index: Index) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "harbour"), chunk(2, "pilot"))
    await index.put_vectors(version_id, {0: unit_vector(0), 2: unit_vector(2)})
    for count in (1, 2, 3):
        async with refused("VERSION_INCOMPLETE", PRECONDITION):
            await index.publish(version_id, count)
    await index.put_chunks(version_id, chunk(1, "tide"))
    async with refused("VERSION_INCOMPLETE", PRECONDITION):
        await index.publish(version_id, 3)
    assert found(await index.search("harbour pilot tide")) == []
    await index.put_vectors(version_id, {1: unit_vector(1)})
    await index.publish(version_id, 3)
    assert len(found(await index.search("harbour pilot tide"))) == 3


async def test_the_old_version_answers_until_the_new_one_is_published(index: Index) -> None:
    old = await index.add("a.md", "the old harbour", seed=1)
    new = (await index.begin("a.md", "two")).version_id
    await index.put_chunks(new, chunk(0, "the new harbour"))
    await index.put_vectors(new, {0: unit_vector(1)})
    for query in ({"query": "harbour"}, {"vector": unit_vector(1)}):
        assert found(await index.search(**query)) == ["the old harbour"]
    published = await index.publish(new, 1)
    assert published.replaced_version_id == old
    for query in ({"query": "harbour"}, {"vector": unit_vector(1)}):
        assert found(await index.search(**query)) == ["the new harbour"]


async def test_publishing_again_changes_nothing_and_brings_no_replaced_version_back(index: Index) -> None:
    old = await index.add("a.md", "old harbour")
    assert (await index.publish(old, 1)).replaced_version_id == ""
    new = await index.add("a.md", "new harbour")
    assert (await index.publish(old, 1)).replaced_version_id == ""
    assert [hit.version_id for hit in (await index.search("harbour")).hits] == [new]


async def test_a_published_version_takes_no_more_chunks(index: Index) -> None:
    version_id = await index.add("a.md", "harbour")
    async with refused("VERSION_PUBLISHED", PRECONDITION):
        await index.put_chunks(version_id, chunk(1, "pilot"))
    async with refused("INVALID_REQUEST", INVALID):
        await index.publish((await index.begin("b.md")).version_id, 0)


# Searching


async def test_a_hybrid_search_finds_by_vector_and_by_words_and_says_its_coverage(index: Index) -> None:
    await index.add("a.md", "Pilots board at the harbour.", "Tides turn.", "Anchors hold.", seed=1)
    await index.add("b.md", "The harbour master decides.", seed=10)
    answer = await index.search("harbour pilots", unit_vector(2))
    assert found(answer)[0] == "Pilots board at the harbour."
    assert set(found(answer)[1:3]) == {"The harbour master decides.", "Tides turn."}
    assert (answer.coverage.chunks, answer.coverage.vectors, answer.space) == (4, 4, SPACE)
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    small = await index.search("harbour", space=Space(model="text-embedding-3-small", dimension=1536))
    assert (small.coverage.chunks, small.coverage.vectors) == (4, 0)


async def test_headings_are_searched_and_word_forms_match(index: Index) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "Vessels wait.", "Rules › Anchorages"), chunk(1, "Other."))
    await index.put_vectors(version_id, {0: unit_vector(0), 1: unit_vector(1)})
    await index.publish(version_id, 2)
    assert found(await index.search("What is the rule for an anchored vessel?")) == ["Vessels wait."]


async def test_a_chunk_with_every_word_is_above_one_that_repeats_some(index: Index) -> None:
    await index.add("a.md", "storm " * 10 + "warning " * 10, "storm warning flag")
    assert found(await index.search("flag in a storm with a warning"))[0] == "storm warning flag"


async def test_a_search_keeps_to_its_collection_documents_and_limit(index: Index) -> None:
    await index.add("a.md", "harbour one", "harbour two")
    await index.add("b.md", "harbour three")
    assert len(found(await index.search("harbour", limit=2))) == 2
    only = await index.search("harbour", unit_vector(0), document_keys=["b.md", "none.md"])
    assert (found(only), only.coverage.chunks) == (["harbour three"], 1)
    assert found(await index.search("harbour", unit_vector(0), collection="other")) == []


async def test_equal_hits_come_in_the_same_order_each_time(index: Index) -> None:
    for key in ("c.md", "a.md", "b.md"):
        await index.add(key, f"harbour one of {key}", f"harbour two of {key}")
    by_text = (await index.search("harbour")).hits
    assert [hit.document_key for hit in by_text] == ["a.md", "a.md", "b.md", "b.md", "c.md", "c.md"]
    by_vector = (await index.search(vector=unit_vector(1), limit=3)).hits
    assert [hit.document_key for hit in by_vector] == ["a.md", "b.md", "c.md"]


async def test_the_same_passage_in_several_documents_is_one_hit_that_names_them_all(index: Index) -> None:
    for key in ("renamed.md", "a.md", "b.md"):
        await index.add(key, "the pilot boards at the harbour", f"only in {key}", content=key)
    (hit,) = (await index.search("where does the pilot board?", document_keys=["renamed.md", "a.md"])).hits
    assert (hit.document_key, [other.document_key for other in hit.also]) == ("a.md", ["renamed.md"])
    await index.as_tenant().add("theirs.md", "the pilot boards at the harbour")
    (hit,) = (await index.search("pilot")).hits
    assert [other.document_key for other in hit.also] == ["b.md", "renamed.md"]
    (alone,) = (await index.search("only in renamed.md", document_keys=["renamed.md"], limit=1)).hits
    assert not alone.also


@pytest.mark.parametrize("query", ["the", "who is it?", "?!", "' \\ \" : & | ! ( ) <-> *", "🦊"])
async def test_a_question_without_a_word_to_look_for_finds_nothing_by_text(index: Index, query: str) -> None:
    await index.add("a.md", "harbour")
    assert found(await index.search(query)) == []
    assert found(await index.search(query, unit_vector(0))) == ["harbour"]


@pytest.mark.parametrize(
    "query",
    [
        "harbour & !pilot",
        "!harbour",
        "harbour:*",
        "'harbour",
        "harbour' | 'x",
        "harbour\\",
        "(harbour",
        "harbour <-> sky",
        "-harbour",
        '"harbour',
        "har\0 harbour",
        "harbour'; drop table documents; --",
        "%s harbour %(x)s",
    ],
)
async def test_query_syntax_in_a_question_has_no_meaning(index: Index, query: str) -> None:
    await index.add("a.md", "harbour and pilot")
    assert found(await index.search(query)) == ["harbour and pilot"]


@pytest.mark.parametrize(
    "changed",
    [
        {"query": " "},
        {"query": "x" * 8_193},
        {"query": "x", "limit": 101},
        {"query": "x", "limit": -1},
        {"query": "x", "mode": 99},
        {"query": "x", "collection": "\0"},
        {"query": "x", "vector": unit_vector(0), "space": None},
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(index: Index, changed: dict[str, object]) -> None:
    async with refused("INVALID_REQUEST", INVALID):
        await index.search(**changed)  # type: ignore[arg-type]


# Whose is what


async def test_tenants_with_the_same_file_never_see_each_other(index: Index) -> None:
    them = index.as_tenant()
    mine = await index.add("a.md", "harbour", content="same")
    begun = await them.begin("a.md", "same")
    assert begun.outcome == BEGUN, "another tenant's document says nothing about mine"
    assert await them.put_chunks(begun.version_id, chunk(0, "harbour")) == 0
    for query in (
        {"query": "harbour"},
        {"vector": unit_vector(0)},
        {"query": "harbour", "vector": unit_vector(0)},
    ):
        answer = await them.search(**query)
        assert (found(answer), answer.coverage.chunks) == ([], 0)
    await them.put_vectors(begun.version_id, {0: unit_vector(0)})
    await them.publish(begun.version_id, 1)
    assert [hit.version_id for hit in (await them.search("harbour", unit_vector(0))).hits] == [
        begun.version_id
    ]
    assert [hit.version_id for hit in (await index.search("harbour", unit_vector(0))).hits] == [mine]


@pytest.mark.parametrize("setting", [None, ""])
async def test_the_database_shows_and_takes_nothing_without_a_tenant(
    index: Index, database: MigratedPostgres, setting: str | None
) -> None:
    await index.add("a.md", "harbour")
    async with await psycopg.AsyncConnection.connect(database.url("storage"), autocommit=True) as connection:
        if setting is not None:
            await connection.execute("select set_config('waybill.tenant', %s, false)", [setting])
        for table in TABLES:
            rows = await connection.execute(f"select * from {table}")  # noqa: S608
            assert await rows.fetchall() == []
        for tenant in ("somebody", ""):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(
                    "insert into documents (tenant, collection, document_key) values (%s, 'c', 'k')", [tenant]
                )


async def test_every_table_with_a_tenant_is_guarded_also_against_its_owner(
    database: MigratedPostgres,
) -> None:
    guarded = """
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
        where c.relkind = 'r' and c.relnamespace = 'waybill_index'::regnamespace
            and c.relrowsecurity and c.relforcerowsecurity and c.relowner = 'waybill_storage_owner'::regrole
        order by 1
    """
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        rows = await (await admin.execute(guarded)).fetchall()
    assert [name for (name,) in rows] == sorted(TABLES)


# Sweeping

CONTENTS = """
select (select count(*) from chunks where version_id = %(id)s),
    (select count(*) from vectors where version_id = %(id)s)
"""


async def contents(database: MigratedPostgres, version_id: str) -> tuple[int, int]:
    """Rows of chunks and of vectors that a version has."""
    async with await psycopg.AsyncConnection.connect(database.owner_url("storage")) as owner:
        rows = await owner.execute(CONTENTS, {"id": version_id})
        row = await rows.fetchone()
    assert row is not None
    return row[0], row[1]


@asynccontextmanager
async def owner_of(database: MigratedPostgres) -> AsyncIterator[Database]:
    """The role that sweeps."""
    owner = await Database.open(database.owner_url("storage"), max_size=1)
    try:
        yield owner
    finally:
        await owner.close()


async def built(index: Index, content: str) -> str:
    """A version of the same document that only has to be published."""
    version_id = (await index.begin("a.md", content)).version_id
    await index.put_chunks(version_id, chunk(0, content))
    await index.put_vectors(version_id, {0: unit_vector(0)})
    return version_id


async def test_a_content_that_came_before_replaces_none_that_came_later_however_late_it_is_ready(
    index: Index,
) -> None:
    first, second, third = [await built(index, f"harbour {number}") for number in range(3)]
    await index.publish(second, 1, edition=20)
    assert (await index.publish(first, 1, edition=10)).replaced_version_id == first
    assert (await index.publish(first, 1, edition=10)).replaced_version_id == "", "a repeat changes nothing"
    assert found(await index.search("harbour")) == ["harbour 1"]
    # The current content has come again, after the third was begun.
    await index.publish(second, 1, edition=40)
    await index.publish(third, 1, edition=30)
    assert found(await index.search("harbour")) == ["harbour 1"]
    async with refused("INVALID_REQUEST", INVALID):
        await index.publish(third, 1, edition=-1)
    await index.publish(await built(index, "harbour 4"), 1, edition=50)
    assert found(await index.search("harbour")) == ["harbour 4"]
    await index.publish(await built(index, "harbour 5"), 1)
    assert found(await index.search("harbour")) == ["harbour 5"]


async def test_a_sweep_drops_replaced_versions_after_their_grace_and_nothing_else(
    index: Index, database: MigratedPostgres
) -> None:
    old = await index.add("a.md", *(f"old {place}" for place in range(3)))
    new = await index.add("a.md", "new harbour")
    building = (await index.begin("b.md")).version_id
    await index.put_chunks(building, chunk(0, "being built"))
    async with owner_of(database) as owner:
        await Sweeper(owner, Patience(superseded_seconds=3_600)).sweep()
        assert await contents(database, old) == (3, 3)
        await Sweeper(owner, Patience(superseded_seconds=0)).sweep()
    assert [await contents(database, one) for one in (old, new, building)] == [(0, 0), (1, 1), (1, 0)]
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await index.list_chunks(old)
    assert (await index.publish(old, 3)).replaced_version_id == "", "a late repeat is answered as before"
    assert found(await index.search("harbour")) == ["new harbour"]


async def test_a_version_left_unpublished_for_a_day_or_as_long_as_was_said_goes_without_a_trace(
    index: Index, database: MigratedPostgres
) -> None:
    run_id = str(uuid.uuid4())
    left = (await index.begin("a.md", run_id=run_id)).version_id
    await index.put_chunks(left, chunk(0, "harbour"))
    await index.put_vectors(left, {0: unit_vector(0)})
    now = datetime.datetime.now(datetime.UTC)
    kept, done = [
        (await index.begin(key, keep_until=timestamp(now + datetime.timedelta(hours=hours)))).version_id
        for key, hours in (("kept.md", 2), ("done.md", -2))
    ]
    async with owner_of(database) as owner:
        async with owner.transaction(None) as connection:
            age = "update document_versions set began_at = began_at - interval '25 hours'"
            await connection.execute(age)
        await Sweeper(owner, Patience()).sweep()
    assert await contents(database, left) == (0, 0)
    await index.put_chunks(kept, chunk(0, "harbour"))
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await index.put_chunks(done, chunk(0, "harbour"))
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await index.publish(left, 1)
    assert (await index.begin("a.md", run_id=run_id)).version_id not in ("", left)


async def test_the_sweeper_comes_soon_after_a_version_was_replaced(database: MigratedPostgres) -> None:
    async with owner_of(database) as owner:
        sweeper = Sweeper(owner, Patience(superseded_seconds=0))
        async with sweeper.running(), index_at(database, sweeper.wake) as index:
            for content in ("one", "two", "three"):
                replaced = await index.add("a.md", content)
                await index.add("a.md", f"not {content}")

                async def gone(version_id: str = replaced) -> bool:
                    return await contents(database, version_id) == (0, 0)

                await until(gone)
