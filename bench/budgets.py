"""Hold + Settle a second, by what budgets apply, beside a bare conditional UPDATE of one row.

As the ledger has it: one process, its pool of connections, its transactions.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from services.ledger.budgets import Budgets, Wanted
from services.ledger.entries import Entries, Hold
from services.ledger.rows import NO_RUN
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

SECONDS, WORKERS, ROUNDS = 1.5, 12, 3
LARGE = 10**15
# A bare one: the row is known, and nothing else is written.
BARE = """
update waybill_ledger.budget_windows set held = held + 1
where window_id = %s and used + held + in_doubt + 1 <= limit_amount
"""
FIND = "select window_id from waybill_ledger.budget_windows where tenant = %s"
Work = Callable[[int], Awaitable[None]]
MakeHold = Callable[[str], Hold]


async def throughput(url: str, entries: Entries, tenant: str, hold: MakeHold) -> Mapping[str, float]:
    """Times a second by what is done; the best of some rounds, which are taken in turn."""
    database = await Database.open(url)
    works = {
        "Hold + Settle, no budget": _buying(entries, f"{tenant}-none", hold),
        "Hold + Settle, one hot budget": _buying(entries, f"{tenant}-hot", hold),
        "Hold + Settle, eight hot budgets": _buying(entries, f"{tenant}-eight", hold),
        "Hold + Settle, a budget for each of twelve collections": _buying(entries, f"{tenant}-many", hold),
        "bare conditional UPDATE, one hot row": _bare(database, f"{tenant}-hot"),
    }
    budgets = Budgets(database, "")
    await budgets.set(Caller(f"{tenant}-hot", "c"), _wanted("", "", "DAY"))
    for service in ("", "embedder"):
        for period in ("HOUR", "DAY", "MONTH", "RUN"):
            await budgets.set(Caller(f"{tenant}-eight", "c"), _wanted("", service, period))
    for number in range(WORKERS):
        await budgets.set(Caller(f"{tenant}-many", "c"), _wanted(str(number), "", "DAY"))
    await works["Hold + Settle, one hot budget"](0)  # makes the window that the bare one updates
    best = dict.fromkeys(works, 0.0)
    for _ in range(ROUNDS):
        for what, work in works.items():
            best[what] = max(best[what], await _a_second(work))
    await database.close()
    return best


def _wanted(collection: str, service: str, period: str) -> Wanted:
    return Wanted(False, collection, service, NO_RUN, "REAL", "NANO_USD", period, LARGE, [80])


def _buying(entries: Entries, tenant: str, hold: MakeHold) -> Work:
    run_id = str(uuid.uuid4())

    async def buy(worker: int) -> None:
        who = Caller(tenant, "c", run_id, collection=str(worker))
        row = await entries.hold(who, hold(f"embed:space:{uuid.uuid4()}"))
        await entries.settle(tenant, str(row["entry_id"]), 1000)

    return buy


def _bare(database: Database, tenant: str) -> Work:
    window_id: list[uuid.UUID] = []

    async def update(_: int) -> None:
        async with database.transaction(tenant) as connection:
            if not window_id:
                row = await (await connection.execute(FIND, [tenant])).fetchone()
                assert row is not None  # a hold has made it
                window_id.append(row["window_id"])
            await connection.execute(BARE, window_id)

    return update


async def _a_second(work: Work) -> float:
    """So often a second, by workers side by side."""
    ends, done = time.perf_counter() + SECONDS, 0

    async def worker(number: int) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await work(number)
            done += 1

    await asyncio.gather(*map(worker, range(WORKERS)))
    return done / SECONDS
