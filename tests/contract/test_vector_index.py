"""Vector indexes are built in bulk, while documents are written, replaced, deleted and searched."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from services.storage.__main__ import build
from services.storage.config import StorageConfig
from services.storage.nearest import FEW
from services.storage.sweep import Patience, Sweeper
from services.storage.vector_index import LOCK, NEVER, TIMES_WHILE_FILLING, Builder
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import Index, chunk, found, unit_vector, vector_near
from tests.contract.test_document_index import index_at
from tests.waiting import until
from waybill.runtime.places import MIGRATIONS
from waybill.runtime.postgres import Database
from waybill.runtime.server import ServerConfig
from waybill.runtime.telemetry import Telemetry
from waybill.stack.migrate import migrate
from waybill.storage.v1 import document_index_service_pb2 as pb

pytestmark = pytest.mark.slow

THIS = "20261127000008"
BY_INDEX_ALONE = f"?options={quote('-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off')}"
INDEXES = """
select indexrelname, idx_scan from pg_stat_user_indexes
where indexrelname ~ '^vectors_[0-9]' and schemaname = 'waybill_index'
"""


@contextmanager
def another_database(database: MigratedPostgres) -> Iterator[MigratedPostgres]:
    """An empty one on the same server: builders look at the vectors of every tenant."""
    name = f"vectors_{uuid.uuid4().hex}"

    def there(url: str) -> str:
        return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))

    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            urls = {role: there(url) for role, url in database.urls.items()}
            yield MigratedPostgres(there(database.admin_url), urls)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def own(database: MigratedPostgres) -> Iterator[MigratedPostgres]:
    """A database of the test's own."""
    with another_database(database) as made:
        migrate(made.admin_url, {})
        yield made


@asynccontextmanager
async def builder_of(database: MigratedPostgres, most_open: int) -> AsyncIterator[Builder]:
    """Builds parts of so many vectors."""
    async with Database.opened(database.owner_url("storage"), max_size=1) as owner:
        yield Builder(owner, database.owner_url("storage"), most_open)


def segments(database: MigratedPostgres) -> list[int]:
    """Where the parts of the first space end."""
    with psycopg.connect(database.admin_url) as admin:
        row = admin.execute("select segments from waybill_index.spaces where space_id = 1").fetchone()
    assert row is not None
    return list(row[0])


def scans(database: MigratedPostgres) -> dict[str, int]:
    """How often each vector index was read by connections that have ended."""
    with psycopg.connect(database.admin_url) as admin:
        return dict(admin.execute(INDEXES).fetchall())


async def add_many(index: Index, key: str, vectors: dict[int, bytes], content: str = "one") -> str:
    """A published document of these vectors."""
    version_id = (await index.begin(key, content)).version_id
    await index.put_chunks(version_id, *(chunk(place, f"{key} {content} {place}") for place in vectors))
    await index.put_vectors(version_id, vectors)
    await index.publish(version_id, len(vectors))
    return version_id


def places(answer: pb.SearchResponse) -> list[tuple[str, int]]:
    """Documents and ordinals of the hits, each with all its copies."""
    first = [(hit.document_key, hit.chunk.ordinal) for hit in answer.hits]
    return sorted(first + [(copy.document_key, copy.ordinal) for hit in answer.hits for copy in hit.also])


async def test_new_vectors_have_no_index_until_there_are_many_and_are_found_all_along(
    own: MigratedPostgres,
) -> None:
    vectors = {place: unit_vector(place) for place in range(19)}
    async with index_at(own) as index, builder_of(own, 20) as builder:
        await add_many(index, "a.md", vectors)
        assert await builder.build() == 0
        assert (segments(own), scans(own)) == ([], {})
        await index.add("b.md", "the twentieth", seed=100)
        assert await builder.build() == 1
        (end,) = segments(own)
        assert list(scans(own)) == [f"vectors_1_0_{end}"]
        await index.add("c.md", "open again", seed=200)
        assert await builder.build() == 0
        for seed, key in ((7, "a.md"), (100, "b.md"), (200, "c.md")):
            answer = await index.search(vector=unit_vector(seed), limit=100)
            assert answer.hits[0].document_key == key
            assert len(places(answer)) == len(set(places(answer))) == 21
        assert found(await index.as_tenant().search(vector=unit_vector(7))) == []


async def test_vectors_that_pour_in_get_their_index_once_they_have_come_or_are_too_many(
    own: MigratedPostgres,
) -> None:
    async with index_at(own) as index, builder_of(own, 4) as builder:
        await add_many(index, "a.md", {place: unit_vector(place) for place in range(4)})
        assert await builder.look() == 0
        await index.add("b.md", "one more", seed=50)
        assert await builder.look() == 0, "others are on their way"
        assert await builder.look() == 1
        assert await builder.look() == 0
        many = 4 * TIMES_WHILE_FILLING
        await add_many(index, "c.md", {place: unit_vector(100 + place) for place in range(many)})
        assert await builder.look() == 1


async def test_parts_grow_together_so_that_few_have_an_index(own: MigratedPostgres) -> None:
    async with index_at(own) as index, builder_of(own, 4) as builder:
        counts = []
        for number in range(8):
            await add_many(
                index, f"{number}.md", {place: unit_vector(4 * number + place) for place in range(4)}
            )
            assert await builder.build() == 1
            counts.append(len(segments(own)))
            assert len(scans(own)) == counts[-1], "an index that was replaced is dropped"
        assert counts == [1, 1, 2, 1, 2, 2, 3, 1]


async def test_an_open_part_that_was_emptied_before_its_turn_stays_as_it_is(own: MigratedPostgres) -> None:
    async with index_at(own) as index, builder_of(own, 1) as builder, builder_of(own, 0) as hasty:
        await index.add("a.md", "harbour")
        await builder.build()
        before = segments(own)
        await hasty.build()
        assert (len(before), segments(own)) == (1, before)
        with psycopg.connect(own.admin_url) as admin:
            admin.execute("delete from waybill_index.vectors")
            admin.execute("update waybill_index.spaces set segments = %s where space_id = 1", [[NEVER]])
        await builder.build()
        assert (segments(own), scans(own)) == ([], {}), "an index of before that holds nothing is dropped"


async def test_searches_beside_builders_find_each_vector_once(own: MigratedPostgres) -> None:
    expected = [("a.md", place) for place in range(10)]
    async with index_at(own) as index, builder_of(own, 1) as one, builder_of(own, 1) as other:
        await add_many(index, "a.md", {place: vector_near(1, place, 0.1) for place in range(10)})

        async def write() -> None:
            for number in range(8):
                await index.add("b.md", f"far {number}", seed=50 + number)
                await asyncio.gather(one.build(), other.build())

        writing = asyncio.create_task(write())
        answers = [await index.search(vector=unit_vector(1), limit=10)]
        while not writing.done():
            answers.append(await index.search(vector=unit_vector(1), limit=10))
        await writing
        assert [places(answer) for answer in answers] == [expected] * len(answers)


async def test_what_is_replaced_or_deleted_goes_from_indexed_and_open_parts(own: MigratedPostgres) -> None:
    async with index_at(own) as index, builder_of(own, 1) as builder:
        for key in ("a.md", "b.md"):
            await index.add(key, f"old {key}")
        await builder.build()
        await index.add("a.md", "new", seed=1)
        request = pb.DeleteDocumentRequest(document_key="b.md")
        await index.stub.DeleteDocument(request, metadata=index.headers)
        assert found(await index.search(vector=unit_vector(0))) == ["new"]
        async with Database.opened(own.owner_url("storage"), max_size=1) as owner:
            assert await Sweeper(owner, Patience(superseded_seconds=0)).sweep() == 1
        assert await builder.build() == 1
        assert found(await index.search(vector=unit_vector(0))) == ["new"]
        assert len(segments(own)) == 1, "a part of which nothing is left goes into the next"


@pytest.mark.parametrize("spread", [0.3, 0.0], ids=["alike", "identical"])
async def test_every_hit_that_was_asked_for_comes_though_most_vectors_are_stale(
    own: MigratedPostgres, spread: float
) -> None:
    """The nearest vectors of each part are of replaced and foreign versions; the planner must use indexes."""
    stale = {place: vector_near(1, place, spread) for place in range(FEW // 2)}
    async with builder_of(own, 1) as builder, index_at(own, options=BY_INDEX_ALONE) as index:
        them = index.as_tenant()
        for part, more in enumerate([["more.md"], []]):  # a larger one would take in the one before
            for who, key in [(index, "0.md"), (index, "1.md"), *((them, key) for key in more)]:
                await add_many(who, f"{part}-{key}", stale)
            current = {place: unit_vector(100 + 10 * part + place) for place in range(10)}
            await add_many(index, f"{part}.md", current)
            await builder.build()
        assert len(scans(own)) == 2
        for key in ("0-0.md", "0-1.md", "1-0.md", "1-1.md"):
            await index.add(key, "its replacement", seed=200)
        answer = await index.search(vector=unit_vector(1), limit=24)
        assert len(places(answer)) == 24

    async def read_by_index() -> bool:
        return all(scans(own).values())

    await until(read_by_index)


async def test_what_a_killed_builder_left_is_dropped_and_built_again(own: MigratedPostgres) -> None:
    left = "create index vectors_1_0_77 on waybill_index.vectors using hnsw"
    expression = (
        "((e::extensions.halfvec(256)) extensions.halfvec_cosine_ops) where space_id = 1 and arrival < 77"
    )
    with psycopg.connect(own.admin_url) as admin:
        admin.execute(f"{left} {expression}")
    async with index_at(own) as index, builder_of(own, 1) as builder:
        await index.add("a.md", "harbour")
        assert await builder.build() == 1
        assert list(scans(own)) == [f"vectors_1_0_{end}" for end in segments(own)]


async def test_one_replica_builds_at_a_time(own: MigratedPostgres) -> None:
    async with index_at(own) as index, builder_of(own, 1) as builder:
        await index.add("a.md", "harbour")
        with psycopg.connect(own.owner_url("storage"), autocommit=True) as another:
            assert another.execute(LOCK).fetchone() == (True,)
            assert await builder.build() == 0
        assert await builder.build() == 1


async def test_an_index_of_the_release_before_serves_until_another_is_built(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        if not path.name.startswith(THIS):
            shutil.copy(path, tmp_path)
    with another_database(database) as old:
        migrate(old.admin_url, {}, tmp_path)
        async with index_at(old) as index, builder_of(old, 20) as builder:
            await index.add("a.md", "harbour")
            assert any(THIS in name for name in migrate(old.admin_url, {}))
            assert (segments(old), list(scans(old))) == ([NEVER], [f"vectors_1_0_{NEVER}"])
            await index.add("b.md", "pilot", seed=1)
            for _ in range(2):
                answer = await index.search(vector=unit_vector(0), limit=10)
                assert places(answer) == [("a.md", 0), ("b.md", 0)]
                await builder.build()
            (end,) = segments(old)
            assert (end < NEVER, list(scans(old))) == (True, [f"vectors_1_0_{end}"])
            await index.add("c.md", "tide", seed=2)
            assert await builder.build() == 0, "what comes now has no index"
            assert len(places(await index.search(vector=unit_vector(0)))) == 3


async def test_a_storage_service_that_starts_builds_what_is_due(
    own: MigratedPostgres, tmp_path: Path
) -> None:
    async with index_at(own) as index:
        await index.add("a.md", "harbour")
    with psycopg.connect(own.admin_url) as admin:
        admin.execute("update waybill_index.spaces set segments = %s where space_id = 1", [[NEVER]])
    config = StorageConfig(
        ServerConfig("storage", "127.0.0.1:0"), own.url("storage"), own.owner_url("storage"), tmp_path
    )

    async def built() -> bool:
        return [end for end in segments(own) if end < NEVER] != []

    async with build(config, Telemetry("storage", [])):
        await until(built)
