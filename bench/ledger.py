"""How long the ledger's statements take by the number of a tenant's entries: each should take as long.

And how many Hold + Settle it does a second, by what budgets apply.

python -m bench.ledger [--entries 10000,100000,1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import psycopg

from bench.budgets import throughput
from evals.database import migrated
from services.ledger.entries import Entries, Hold
from services.ledger.listing import EntryFilter, Listing
from services.ledger.prices import PriceTable
from services.ledger.rows import NO_RUN
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

DAY = datetime.date(2026, 11, 27)
EACH = 200
# What the tenant asks most: a tenth of its entries are attempts at this one, outside any run.
QUESTION = "embed:space:question"
# 20 entries a run.
LOAD = """
insert into waybill_ledger.entries (entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind,
    service, operation, vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd,
    reported_nano_usd, owner, trace_id, parent_span_id, step_span_id, held_at, expires_at, ended_at)
select gen_random_uuid(), %(tenant)s,
    case when n %% 10 = 0 then %(no_run)s::uuid else md5((n / 20)::text)::uuid end, 'c' || n / 2000,
    case when n %% 10 = 0 then %(question)s else 'embed:space:' || md5(n::text) end,
    case when n %% 10 = 0 then n / 10 + 1 else 1 end, 'SETTLED', 'REAL', 'embedder', 'embed', 'openai',
    'text-embedding-3-small', 'token', 1000, 20000000, 20000, 20000, 'embedder/0', '', '', '', at, at, at
from generate_series(0, %(entries)s::int - 1) n,
    lateral (select clock_timestamp() - interval '1 day' + n * interval '1 ms' as at) times
"""


def main() -> None:
    """Prints milliseconds, and how often what they are in the smallest tenant."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--entries", default="10000,100000,1000000")
    sizes = [int(size) for size in parser.parse_args().entries.split(",")]
    with migrated() as urls, psycopg.connect(urls.admin, autocommit=True) as admin:
        for size in sizes:
            values = {"tenant": str(size), "entries": size, "no_run": NO_RUN, "question": QUESTION}
            admin.execute(LOAD, values)
        admin.execute("vacuum analyze waybill_ledger.entries")
        # As the service's role, so under row-level security.
        url = f"{urls.admin}?options=-c%20role%3Dwaybill_ledger"
        times = asyncio.run(_measured(url, sizes))
        rates = asyncio.run(_rates(url, str(sizes[-1])))
    print("| what | entries | ms, median | × smallest |\n|---|---:|---:|---:|")
    for (what, size), ms in times.items():
        print(f"| {what} | {size:,} | {ms:.2f} | {ms / times[what, sizes[0]]:.2f} |")
    print(f"\n| what, {sum(sizes):,} entries in the ledger | a second |\n|---|---:|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} |")


async def _measured(url: str, sizes: Sequence[int]) -> Mapping[tuple[str, int], float]:
    """Medians by operation and size; the sizes in turn, so that what else the machine does hits all alike."""
    database = await Database.open(url)
    operations = _operations(Entries(database, PriceTable.load(), lambda: DAY), Listing(database))
    times: dict[tuple[str, int], list[float]] = {(what, size): [] for what in operations for size in sizes}
    for _ in range(EACH):
        for (what, size), each in times.items():
            began = time.perf_counter()
            await operations[what](str(size))
            each.append((time.perf_counter() - began) * 1000)
    await database.close()
    return {one: statistics.median(each) for one, each in times.items()}


async def _rates(url: str, tenant: str) -> Mapping[str, float]:
    database = await Database.open(url)
    entries = Entries(database, PriceTable.load(), lambda: DAY)
    rates = await throughput(url, entries, tenant, _hold)
    await database.close()
    return rates


def _operations(entries: Entries, listing: Listing) -> Mapping[str, Callable[[str], Awaitable[object]]]:
    """By name; each takes a tenant."""
    run_id = str(uuid.uuid4())

    def hold(spend_key: str, run_id: str, tenant: str) -> Awaitable[object]:
        return entries.hold(Caller(tenant, "c0", run_id), _hold(spend_key))

    return {
        "Hold in a run": lambda tenant: hold(f"embed:space:{uuid.uuid4()}", run_id, tenant),
        "Hold of the same again": lambda tenant: hold("embed:space:again", run_id, tenant),
        "Hold of the most asked question": lambda tenant: hold(QUESTION, "", tenant),
        "ListEntries, the first 200 of all": lambda tenant: listing.page(
            tenant, EntryFilter(None, None), 200, None, summed=False
        ),
    }


def _hold(spend_key: str) -> Hold:
    return Hold(
        entry_id=str(uuid.uuid4()),
        spend_key=spend_key,
        kind="REAL",
        service="embedder",
        operation="embed",
        vendor="openai",
        model="text-embedding-3-small",
        quantity=1000,
        unit="token",
        size_bytes=4000,
        ttl_seconds=600,
        owner=f"embedder/{uuid.uuid4()}",
        trace_id="",
        parent_span_id="",
        step_span_id="",
    )


if __name__ == "__main__":
    main()
