"""What the rows of objects at a vendor cost to ask, however many there are."""

from __future__ import annotations

import psycopg

from services.storage.backends.supabase import rows
from tests.conftest import MigratedPostgres

TENANT, MANY = "rows-of-many", 20_000
FILL = """
insert into waybill_index.objects (object_id, tenant, key, state, size_bytes, sha256, content_type,
    created_at, updated_at, due_at)
select gen_random_uuid(), %(tenant)s, format('%%s/%%s', n %% 10, n), state, 1, 'x', 'text/plain',
    now(), now(), case when state <> 'STORED' then now() end
from generate_series(1, %(many)s) n, unnest(array['STORED', 'DROPPED']) state
"""
# Of an index of so many rows: its levels, and the row itself.
MOST_BLOCKS = 12


async def blocks(connection: psycopg.AsyncConnection, query: str, **values: object) -> int:
    """Pages of the database that a query touches."""
    explained = f"explain (analyze, buffers, format json) {query}"
    cursor = await connection.execute(explained.encode(), {"tenant": TENANT, **values})
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_an_object_among_very_many_is_found_by_an_index(database: MigratedPostgres) -> None:
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
        await admin.execute(FILL, {"tenant": TENANT, "many": MANY})
        await admin.execute("vacuum analyze waybill_index.objects")
    async with await psycopg.AsyncConnection.connect(database.url("storage")) as storage:
        await storage.execute("select set_config('waybill.tenant', %s, false)", [TENANT])
        cost = {
            "of key": await blocks(storage, rows.OF_KEY, key="7/19997"),
            "linked": await blocks(storage, rows.LINKED, prefix="7/"),
            "page": await blocks(storage, rows.LIST, prefix="9/", after="", limit=5),
        }
    assert all(touched < MOST_BLOCKS for touched in cost.values()), cost
