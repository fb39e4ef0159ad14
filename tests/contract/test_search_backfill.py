"""A database of the release before: its chunks are indexed in place, and found as others are."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from services.storage import backfill, search
from services.storage.reach import Filter
from services.storage.search import Mode, Question
from tests.conftest import MigratedPostgres
from waybill.runtime.places import MIGRATIONS
from waybill.runtime.postgres import Database
from waybill.stack.migrate import migrate

THIS = "20261127000003"
OLD_DOCUMENT = """
with document as (
    insert into waybill_index.documents (tenant, collection, document_key)
    values ('old', 'default', %(key)s) returning document_id
), version as (
    insert into waybill_index.document_versions
        (tenant, document_id, run_id, source_sha256, recipe, space_id, state, chunk_count, vector_count)
    select 'old', document_id, 'run', '', '', 1, %(state)s, 2, 2 from document returning version_id
), chunk as (
    insert into waybill_index.chunks
        (tenant, version_id, ordinal, sha256, text, heading, page, start_char, end_char, token_count)
    select 'old', version_id, ordinal, '', %(text)s || ordinal, '', 1, 0, 1, 1
    from version, generate_series(0, 1) ordinal
)
select version_id from version
"""
POINT = """
update waybill_index.documents set current_version_id = %s where document_key = %s and tenant = 'old'
"""


LENGTH = """
select sum(chunks.length) as length from chunks join document_versions using (version_id)
where state = 'PUBLISHED'
"""


def of_database(url: str, name: str) -> str:
    """The same server's other database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture
def old(database: MigratedPostgres, tmp_path: Path) -> Iterator[str]:
    """The name of a database as the release before left it, brought up to date."""
    name = f"old_{uuid.uuid4().hex}"
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < THIS:
            shutil.copy(path, tmp_path)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            url = of_database(database.admin_url, name)
            migrate(url, {}, tmp_path)
            _fill(url)
            assert any(THIS in applied for applied in migrate(url, {}))
            yield name
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        for key, state in (("a.md", "PUBLISHED"), ("b.md", "BUILDING")):
            values = {"key": key, "state": state, "text": f"the harbour of {key} "}
            row = connection.execute(OLD_DOCUMENT, values).fetchone()
            assert row is not None
            if state == "PUBLISHED":
                connection.execute(POINT, [row[0], key])


async def test_chunks_of_the_release_before_are_indexed_in_place_and_found(
    database: MigratedPostgres, old: str
) -> None:
    owner = await Database.open(of_database(database.owner_url("storage"), old), max_size=1)
    pool = await Database.open(of_database(database.url("storage"), old))
    question = Question(Filter("default"), Mode.TEXT, "harbours")
    try:
        before = await search.search(pool, "old", question)
        assert (len(before.hits), before.chunks) == (0, 2)
        assert await backfill.fill(owner, batch_chunks=1) == 4
        assert await backfill.fill(owner) == 0
        after = await search.search(pool, "old", question)
        assert {hit.candidate.row["document_key"] for hit in after.hits} == {"a.md"}
        async with owner.transaction(None) as connection:
            query = "select chunks, length from totals where tenant = 'old'"
            (totals,) = await (await connection.execute(query)).fetchall()
            (lengths,) = await (await connection.execute(LENGTH)).fetchall()
        assert (totals["chunks"], totals["length"]) == (2, lengths["length"])
    finally:
        await pool.close()
        await owner.close()
