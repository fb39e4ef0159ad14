"""A cut-off wait for a connection leaves nothing behind for the next transaction."""

from __future__ import annotations

import asyncio

import pytest
from psycopg.pq import TransactionStatus

from tests.conftest import MigratedPostgres
from waybill.runtime.postgres import Database


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_transaction_names_its_tenant_after_one_that_was_cancelled(
    database: MigratedPostgres, turns: int
) -> None:
    pool = await Database.open(database.url("storage"), max_size=1)
    try:
        await pool.ping()
        await asyncio.sleep(0.01)  # longer than psycopg lets a completed statement go without yielding
        task = asyncio.create_task(pool.ping())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        async with pool.transaction("acme") as connection:
            row = await (await connection.execute("select current_setting('waybill.tenant') as t")).fetchone()
            assert row == {"t": "acme"}
            assert connection.info.transaction_status is TransactionStatus.INTRANS
    finally:
        await pool.close()
