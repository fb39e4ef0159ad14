"""DeleteDocument beside others: two deletions, a build, a listing and a sweep at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import psycopg
import pytest

from services.storage.sweep import Patience, Sweeper
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import Index, chunk, found, refused, unit_vector
from tests.contract.test_document_delete import NOT_FOUND, building, counts, delete, rows_of, sha256, steps
from tests.contract.test_document_index import contents, index, owner_of
from tests.waiting import PATIENCE_SECONDS, until

__all__ = ["index"]


@asynccontextmanager
async def held(
    database: MigratedPostgres, statement: str, values: Sequence[object] = ()
) -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody's open transaction, whose locks the block's calls wait for."""
    async with await psycopg.AsyncConnection.connect(database.owner_url("storage")) as owner:
        await owner.execute(statement, values)
        yield owner


async def waiting(database: MigratedPostgres, number: int) -> None:
    """Returns once so many statements wait for locks."""
    query = """
        select count(*) from pg_stat_activity
        where usename in ('waybill_storage', 'waybill_storage_owner') and wait_event_type = 'Lock'
    """
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:

        async def reached() -> bool:
            row = await (await admin.execute(query)).fetchone()
            assert row is not None
            return bool(row[0] == number)

        await until(reached)


async def test_of_two_documents_deleted_at_the_same_time_one_orphans_their_source(
    index: Index, database: MigratedPostgres
) -> None:
    for key in ("a.md", "b.md"):
        await index.add(key, "harbour", content="shared")
    lock = "select 1 from documents where tenant = %s for update"
    async with held(database, lock, [index.headers[0][1]]):
        both = asyncio.gather(delete(index, "a.md"), delete(index, "b.md"))
        await waiting(database, 2)
    orphaned = [list(deleted.orphaned_source_sha256) for deleted in await both]
    assert sorted(orphaned) == [[], sha256("shared")]


@pytest.mark.parametrize("step", ["chunks", "vectors", "publish"])
async def test_a_step_that_waits_for_the_deletion_is_told_too(
    index: Index, database: MigratedPostgres, step: str
) -> None:
    version_id = await building(index)
    lock = "select 1 from vectors where version_id = %s for update"
    async with held(database, lock, [version_id]):
        deleting = asyncio.ensure_future(delete(index, "a.md"))
        await waiting(database, 1)
        stepping = asyncio.ensure_future(steps(index, version_id)[step]())
        await waiting(database, 2)
    assert counts(await deleting) == (1, 2, 2)
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await stepping
    assert await rows_of(database, index) == 0


async def test_a_listing_that_began_before_the_deletion_is_no_empty_page(
    index: Index, database: MigratedPostgres
) -> None:
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "harbour"))
    async with held(database, "lock table chunks in access exclusive mode") as deleting:
        listing = asyncio.ensure_future(index.list_chunks(version_id))
        await waiting(database, 1)
        for table in ("chunks", "document_versions"):
            await deleting.execute(f"delete from {table} where version_id = %s", [version_id])  # noqa: S608
    async with refused("VERSION_NOT_FOUND", NOT_FOUND):
        await listing


async def test_builds_racing_with_deletions_leave_a_whole_document_or_none(
    index: Index, database: MigratedPostgres
) -> None:
    async def build(round_: int) -> None:
        try:
            await index.publish(await building(index, content=f"draft {round_}"), 2)
        except grpc.aio.AioRpcError as error:
            if error.code() is not NOT_FOUND:
                raise

    for round_ in range(10):
        await asyncio.gather(build(2 * round_), delete(index, "a.md"), build(2 * round_ + 1))
        answer = await index.search(vector=unit_vector(0))
        assert sorted(found(answer)) in ([], ["draft harbour", "draft pilot"])
    await delete(index, "a.md")
    assert await rows_of(database, index) == 0


async def test_a_sweep_copes_with_versions_that_vanish_under_it(
    index: Index, database: MigratedPostgres
) -> None:
    replaced = [await index.add("a.md", f"harbour {content}", content=content) for content in ("one", "two")]
    await index.add("a.md", "harbour three")
    kept = await index.add("b.md", "pilot")
    version = "select 1 from document_versions where tenant = %s for update"
    async with owner_of(database) as owner:
        async with held(database, version, [index.headers[0][1]]):
            deleting = asyncio.ensure_future(delete(index, "a.md"))
            await waiting(database, 1)
            sweeping = asyncio.ensure_future(Sweeper(owner, Patience(superseded_seconds=0)).sweep())
            await waiting(database, 2)
            assert [await contents(database, one) for one in replaced] == [(1, 1), (1, 1)]
        deleted, _ = await asyncio.gather(deleting, sweeping)
    assert deleted.versions == 3
    # A row of each table, and two of postings: the word and its stem.
    assert await rows_of(database, index) == 7, "what is left is the other document's"
    assert await contents(database, kept) == (1, 1)
    assert found(await index.search("harbour pilot")) == ["pilot"]


async def test_a_sweep_gives_up_old_versions_without_waiting_for_one_that_is_in_use(
    index: Index, database: MigratedPostgres
) -> None:
    version_id = await building(index)
    age = "update document_versions set began_at = began_at - interval '25 hours' where version_id = %s"
    async with owner_of(database) as owner:
        async with owner.transaction(None) as connection:
            await connection.execute(age, [version_id])
        lock = "select 1 from document_versions where version_id = %s for update"
        async with held(database, lock, [version_id]), asyncio.timeout(PATIENCE_SECONDS):
            await Sweeper(owner, Patience()).sweep()
        assert await contents(database, version_id) == (2, 2)
        await Sweeper(owner, Patience()).sweep()
    assert await contents(database, version_id) == (0, 0)
