"""The pool that every service's transactions come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from psycopg_pool import AsyncConnectionPool

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
    database = Database(cast("AsyncConnectionPool[Connection]", ForgetfulPool()))
    task = asyncio.create_task(database.ping())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
