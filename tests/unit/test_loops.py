"""Background loops: no error ends them, and none is kept silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from services.storage.sweep import Patience, Sweeper
from tests import waiting
from tests.waiting import PATIENCE_SECONDS
from waybill.runtime.errors import Precondition, Unavailable
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database


class BrokenOnce(Database):
    """A database whose first transaction fails, and whose second tells that there was one."""

    def __init__(self) -> None:
        self.asked = 0
        self.again = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, tenant: str | None, *, snapshot: bool = False) -> AsyncIterator[Any]:
        self.asked += 1
        if self.asked == 2:
            self.again.set()
        raise psycopg.errors.UndefinedTable("no such table")
        yield


@pytest.mark.parametrize(
    "error", [Unavailable("R", "m"), Precondition("R", "m"), ValueError("odd")], ids=type
)
async def test_a_loop_goes_on_after_any_error_and_tells_it(error: Exception) -> None:
    turns, again = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise error
        again.set()

    with capture_logs() as logs:
        async with repeating("test", turn, 0.0), asyncio.timeout(PATIENCE_SECONDS):
            await again.wait()
    assert [(entry["loop"], entry["exc_info"]) for entry in logs] == [("test", error)]


async def test_a_loop_that_goes_on_to_fail_takes_its_turns_ever_more_seldom_until_one_works() -> None:
    turns, enough = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 8:
            enough.set()
        if turns != 6:
            raise ValueError("odd")

    with capture_logs() as logs:
        async with repeating("test", turn, 0.001, most_seconds=0.008), asyncio.timeout(PATIENCE_SECONDS):
            await enough.wait()
    pauses = [entry["again_in_seconds"] for entry in logs]
    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.008, 0.001, 0.002]


async def test_a_loop_that_is_woken_takes_its_turn_at_once_also_where_that_was_during_a_turn() -> None:
    turns: asyncio.Queue[None] = asyncio.Queue()
    woken = asyncio.Event()

    async def turn() -> None:
        if turns.empty():
            woken.set()
        await turns.put(None)

    async with repeating("test", turn, 3_600.0, woken), asyncio.timeout(PATIENCE_SECONDS):
        await turns.get()
        await turns.get()
        woken.set()
        await turns.get()


async def test_leaving_the_block_cancels_a_turn_and_waits_for_its_end() -> None:
    begun, ended = asyncio.Event(), False

    async def turn() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await waiting.turns()
            ended = True

    async with repeating("test", turn, 0.0), asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
    assert ended


async def test_the_sweeper_outlives_a_broken_statement() -> None:
    database = BrokenOnce()
    sweeper = Sweeper(database, Patience(superseded_seconds=0))
    async with sweeper.running(), asyncio.timeout(PATIENCE_SECONDS):
        await waiting.until(lambda: database.asked > 0)
        sweeper.wake()
        await database.again.wait()
