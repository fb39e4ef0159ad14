"""Each fault of Postgres at the pool that every service's transactions come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.postgres_faults import ROWS, Row
from tests.waiting import until
from waybill.runtime.errors import CODES, ServiceError, Unavailable
from waybill.runtime.postgres import Database


async def answer(database: Database, statement: str) -> str:
    """Code and reason of what a transaction ends with."""
    with pytest.raises(ServiceError) as caught:
        async with database.transaction("one") as connection:
            await connection.execute(statement.encode())
    return f"{CODES[type(caught.value)].name} {caught.value.reason}"


@contextmanager
def full(database: MigratedPostgres, role: str) -> Iterator[None]:
    """The role has all the connections that it may."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"alter role {role} connection limit 0".encode())
        try:
            yield
        finally:
            admin.execute(f"alter role {role} connection limit -1".encode())


@pytest.mark.parametrize("row", [row for row in ROWS if row.fault != "F30"], ids=lambda row: row.code)
async def test_a_fault_is_told_by_its_meaning_and_the_next_transaction_works(
    database: MigratedPostgres, row: Row
) -> None:
    async with Database.opened(database.url("storage"), max_size=1) as pool:
        assert await answer(pool, row.statement) == row.answer
        assert await pool.ping()


async def test_a_server_without_a_connection_left_is_told_so_and_served_again(
    database: MigratedPostgres,
) -> None:
    (row,) = (row for row in ROWS if row.fault == "F30")
    # No other test of this session uses the role meanwhile: a file's tests run one after the other.
    async with Database.opened(database.owner_url("parser"), max_size=1, acquire_seconds=1.0) as pool:

        async def told() -> bool:  # not before a first attempt has failed, on a slow machine after a second
            return await answer(pool, row.statement) == row.answer

        with full(database, "waybill_parser_owner"):
            await until(told)
            with pytest.raises(Unavailable, match="no connection left"):
                await pool.ping()

        async def served() -> bool:
            with suppress(Unavailable):  # the pool pauses between attempts
                return await pool.ping()
            return False

        await until(served)
