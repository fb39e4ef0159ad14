"""A cut-off wait for a connection leaves nothing behind for the next transaction."""

from __future__ import annotations

import asyncio
import time

import pytest
from psycopg.pq import TransactionStatus

from tests import waiting
from tests.conftest import MigratedPostgres
from waybill.runtime.postgres import Database

# After so long without a yield to the loop, psycopg yields though a statement is complete.
BUSY_SECONDS = 0.005


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_transaction_names_its_tenant_after_one_that_was_cancelled(
    database: MigratedPostgres, turns: int
) -> None:
    pool = await Database.open(database.url("storage"), max_size=1)
    try:
        await pool.ping()
        idle_at = time.monotonic()
        await waiting.until(lambda: time.monotonic() - idle_at > BUSY_SECONDS)
        task = asyncio.create_task(pool.ping())
        await waiting.turns(turns)
        task.cancel()
        await asyncio.wait([task])
        async with pool.transaction("acme") as connection:
            row = await (await connection.execute("select current_setting('waybill.tenant') as t")).fetchone()
            assert row == {"t": "acme"}
            assert connection.info.transaction_status is TransactionStatus.INTRANS
    finally:
        await pool.close()
