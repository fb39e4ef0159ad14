"""A pool of connections whose every transaction names the tenant that it acts for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Self

import psycopg
import structlog
from psycopg import sql
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from waybill.runtime import faults, sqlstates
from waybill.runtime.fair import Places

Connection = psycopg.AsyncConnection[DictRow]
log = structlog.get_logger()
# For a connection to be made. To wait until another transaction ends, a caller has all of its deadline.
ACQUIRE_SECONDS = 10.0
# Connections that a restart of Postgres has cut off, and that the pool still has, are at most so many.
MOST_CONNECTIONS = 3


class Attempts:
    """Why the last attempt to connect failed; empty where it did not. The pool itself does not say."""

    def __init__(self) -> None:
        self.failure = ""

    def failed(self, failure: str) -> None:
        """Notes it, and tells the log what is new. libpq's words name host and role, and no password."""
        if failure != self.failure:
            log.warning("the database does not let us in", error=failure)
        self.failure = failure


class _Noting(psycopg.AsyncConnection[DictRow]):
    @classmethod
    async def connect(  # type: ignore[override]  # one argument more
        cls, conninfo: str = "", *, attempts: Attempts, **kwargs: Any
    ) -> Self:
        try:
            connection = await super().connect(conninfo, **kwargs)
        except psycopg.OperationalError as error:
            attempts.failed(" ".join(str(error).split()))
            raise
        attempts.failure = ""
        return connection


class Database:
    """One login role's way into Postgres; transactions that wait get their turn by tenant."""

    def __init__(
        self, pool: AsyncConnectionPool[Connection], connections: int, attempts: Attempts | None = None
    ) -> None:
        self._pool = pool
        self._attempts = attempts or Attempts()
        self._places = Places(connections)

    @classmethod
    async def open(
        cls, url: str, *, max_size: int = MOST_CONNECTIONS, acquire_seconds: float = ACQUIRE_SECONDS
    ) -> Database:
        """Opens a pool of at most `max_size` connections, made when needed."""
        # A cached generic plan keeps ignoring a vector index that was added later, and Supabase's
        # transaction pooler cannot hold prepared statements: never prepare.
        # Transactions are begun by `transaction` alone, in one message with the tenant's name.
        attempts = Attempts()
        kwargs: dict[str, Any] = {
            "row_factory": dict_row, "prepare_threshold": None, "autocommit": True, "attempts": attempts,
        }  # fmt: skip
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url, connection_class=_Noting, min_size=0, max_size=max_size, timeout=acquire_seconds,
            kwargs=kwargs, open=False, max_idle=60.0, reconnect_timeout=5.0,
        )  # fmt: skip
        await pool.open()
        return cls(pool, max_size, attempts)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, *, max_size: int = MOST_CONNECTIONS, acquire_seconds: float = ACQUIRE_SECONDS
    ) -> AsyncIterator[Database]:
        """`open` for the length of a block."""
        database = await cls.open(url, max_size=max_size, acquire_seconds=acquire_seconds)
        try:
            yield database
        finally:
            await database.close()

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def ping(self) -> bool:
        """Whether Postgres answers; for health. Raises Unavailable when it does not."""
        await self.execute(None, "select 1")
        return True

    async def rows(
        self, tenant: str | None, query: QueryNoTemplate, values: Params | None = None
    ) -> list[DictRow]:
        """What a statement answers that is a `transaction` of its own."""
        async with self.transaction(tenant) as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def row(
        self, tenant: str | None, query: QueryNoTemplate, values: Params | None = None
    ) -> DictRow | None:
        """The first of `rows`."""
        async with self.transaction(tenant) as connection:
            return await (await connection.execute(query, values)).fetchone()

    async def execute(self, tenant: str | None, query: QueryNoTemplate, values: Params | None = None) -> int:
        """How many rows such a statement finds or changes."""
        async with self.transaction(tenant) as connection:
            return (await connection.execute(query, values)).rowcount

    @asynccontextmanager
    async def transaction(self, tenant: str | None, *, snapshot: bool = False) -> AsyncIterator[Connection]:
        """One transaction on behalf of a tenant; None is for the owner role, which sees all.

        Args:
            tenant: On whose behalf.
            snapshot: Every statement sees the same state of the database.

        Raises:
            ServiceError: As `runtime.sqlstates` has it, for instance Unavailable while Postgres is away,
                restarting, full or read-only. To wait for other transactions is not that: it ends with the
                caller's deadline.
        """
        asked_before = _cancellations()
        try:
            async with (
                self._places.turn(tenant or ""),
                self._begun(tenant, snapshot, asked_before) as connection,
            ):
                yield connection
                await faults.point("commit.before")
            await faults.point("commit.after")
        except PoolTimeout as error:
            if _cancellations() > asked_before:
                raise asyncio.CancelledError from error
            raise sqlstates.not_let_in(error, self._attempts.failure) from error
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and _cancellations() > asked_before:
                raise asyncio.CancelledError from error
            if (failure := sqlstates.told(error)) is None:
                raise
            raise failure from error

    @asynccontextmanager
    async def _begun(
        self, tenant: str | None, snapshot: bool, asked_before: int
    ) -> AsyncIterator[Connection]:
        """A transaction, on the first connection of the pool that is not cut off."""
        for passed_over in range(MOST_CONNECTIONS + 1):
            async with self._pool.connection() as connection:
                if _cancellations() > asked_before:
                    raise asyncio.CancelledError
                try:
                    await connection.execute(_begin(tenant, snapshot))
                except psycopg.OperationalError:
                    if passed_over < MOST_CONNECTIONS and connection.broken:
                        continue
                    raise
                yield connection
                return


# Making it takes a quarter of the CPU of a transaction.
@lru_cache(maxsize=1_000)
def _begin(tenant: str | None, snapshot: bool) -> bytes:
    begin = "begin isolation level repeatable read" if snapshot else "begin"
    if tenant is None:
        return begin.encode()
    name_tenant = sql.SQL("; select set_config('waybill.tenant', {}, true)").format(sql.Literal(tenant))
    return begin.encode() + name_tenant.as_bytes()


def _cancellations() -> int:
    """How often the task was asked to end.

    The pool waits by `asyncio.wait_for`, which before Python 3.12 answers a result that came together
    with a cancellation and drops the latter (python/cpython#86296); nobody would ask a second time.
    """
    task = asyncio.current_task()
    return task.cancelling() if task else 0
