"""Runs of a rare state, of a document or of a time are found among very many, without reading all of them."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import psycopg
import pytest

from services.orchestrator.runs import listing
from services.orchestrator.runs.listing import RunFilter, RunListing
from services.orchestrator.runs.rows import new_run_id, unix_ms
from tests.conftest import MigratedPostgres
from waybill.runtime.postgres import Database

MANY = 20_000
BEGAN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FILL = """
insert into waybill_runs.runs (run_id, tenant, correlation_id, collection, document_key, filename,
    source_sha256, size_bytes, source_key, state, step, created_at, ended_at)
values (%s, %s, 'label', 'default', %s, 'x', 'y', 1, 'z', %s, 'publish', %s, now())
"""


def run_id(minute: int) -> str:
    """Of the run that came so many minutes after the first."""
    moment = BEGAN + datetime.timedelta(minutes=minute)
    return new_run_id(unix_ms(moment), minute.to_bytes(10, "big"))


@pytest.fixture(scope="module")
def tenant(database: MigratedPostgres) -> str:
    """One with a run a minute, all READY but the first ten, which FAILED; another tenant has as many."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database.admin_url) as admin:
        for whose in (name, f"{name}x"):
            rows = [
                (
                    run_id(minute) if whose == name else str(uuid.uuid4()),
                    whose,
                    f"{minute}.md",
                    "FAILED" if minute < 10 else "READY",
                    BEGAN + datetime.timedelta(minutes=minute),
                )
                for minute in range(MANY)
            ]
            admin.cursor().executemany(FILL, rows)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("vacuum analyze waybill_runs.runs")
    return name


async def found(database: MigratedPostgres, tenant: str, limit: int = 5, **wanted: Any) -> list[str]:
    async with Database.opened(database.url("orchestrator")) as pool:
        rows = await RunListing(pool).page(tenant, RunFilter(**wanted), limit, None)
    return [str(row["run_id"]) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        ({}, [19_999, 19_998, 19_997, 19_996, 19_995]),
        ({"states": ["FAILED", "CANCELLED"]}, [9, 8, 7, 6, 5]),
        ({"states": ["FAILED", "READY"]}, [19_999, 19_998, 19_997, 19_996, 19_995]),
        ({"document_key": "7.md", "collection": "default"}, [7]),
        ({"document_key": "7.md", "collection": "default", "states": ["READY"]}, []),
        ({"accepted_before": BEGAN + datetime.timedelta(minutes=3)}, [2, 1, 0]),
        ({"accepted_from": BEGAN + datetime.timedelta(minutes=19_998)}, [19_999, 19_998]),
        ({"accepted_from": BEGAN + datetime.timedelta(minutes=8), "states": ["FAILED"]}, [9, 8]),
    ],
    ids=str,
)
async def test_what_is_asked_for_is_found_newest_first(
    database: MigratedPostgres, tenant: str, wanted: dict[str, Any], minutes: list[int]
) -> None:
    assert await found(database, tenant, **wanted) == [run_id(minute) for minute in minutes]


@pytest.mark.parametrize(
    "wanted",
    [
        {"states": ["FAILED"]},
        {"states": ["CANCELLED", "EXPIRED"]},
        {"document_key": "7.md"},
        {"first": run_id(15_000), "before": run_id(15_100)},
        {"before": run_id(100)},
    ],
    ids=str,
)
async def test_a_page_reads_little_whatever_it_is_of(
    database: MigratedPostgres, tenant: str, wanted: dict[str, Any]
) -> None:
    values: dict[str, Any] = dict.fromkeys(("correlation_id", "document_key", "states"))
    values |= {"first": listing.LOWEST, "before": listing.HIGHEST, "collection": "default", "limit": 51}
    query = listing.LIST_BY_STATE if "states" in wanted else listing.LIST
    async with await psycopg.AsyncConnection.connect(database.url("orchestrator")) as connection:
        await connection.execute("select set_config('waybill.tenant', %s, false)", [tenant])
        # The first time, what a function is planned with is read, too.
        await connection.execute(query.encode(), values | wanted)
        explain = f"explain (analyze, buffers, format json) {query}".encode()
        row = await (await connection.execute(explain, values | wanted)).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 150, plan
