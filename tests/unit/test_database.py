"""The pool that every service's transactions come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from psycopg_pool import AsyncConnectionPool

from tests.conftest import MigratedPostgres
from tests.waiting import turns
from waybill.runtime.postgres import Connection, Database


class ForgetfulPool:
    """Answers a cancellation with a connection, as `asyncio.wait_for` may before Python 3.12."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield None


async def test_a_cancellation_that_the_pool_drops_is_obeyed_all_the_same() -> None:
    database = Database(cast("AsyncConnectionPool[Connection]", ForgetfulPool()), 1)
    task = asyncio.create_task(database.ping())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_to_wait_for_other_transactions_is_no_failure_and_goes_by_turns_over_tenants(
    database: MigratedPostgres,
) -> None:
    """One connection, and less time to get it than a transaction takes."""
    order: list[str] = []
    async with Database.opened(database.url("storage"), max_size=1, acquire_seconds=3.0) as pool:

        async def question(tenant: str) -> None:
            async with pool.transaction(tenant) as connection:
                order.append(tenant)
                await connection.execute("select pg_sleep(0.5)")

        await asyncio.gather(*(question(tenant) for tenant in "aaaaaaab"))
    assert sorted(order) == [*"aaaaaaab"]
    assert order.index("b") <= 2, "who asks once does not stand behind one who asks often"


async def test_a_transaction_that_waits_ends_with_its_callers_deadline(database: MigratedPostgres) -> None:
    async with Database.opened(database.url("storage"), max_size=1) as pool, pool.transaction("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), pool.transaction("b"):
                pass
