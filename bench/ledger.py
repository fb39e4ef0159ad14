"""How long the ledger's statements take in a tenant of many entries; each should take what it took with few.

python -m bench.ledger [--entries 10000,100000,1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

import psycopg

from evals.database import migrated
from services.ledger.entries import NO_RUN, Entries, EntryFilter, Hold
from services.ledger.prices import PriceTable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

TENANT, DAY = "large", datetime.date(2026, 11, 27)
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
from generate_series(%(first)s::int, %(last)s - 1) n,
    lateral (select clock_timestamp() - interval '1 day' + n * interval '1 ms' as at) times
"""


def main() -> None:
    """Prints milliseconds, and how often what they were at the smallest size."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--entries", default="10000,100000,1000000")
    loaded, smallest = 0, dict[str, float]()
    with migrated() as urls, psycopg.connect(urls.admin, autocommit=True) as admin:
        print("| entries | what | ms, median | × smallest |\n|---:|---|---:|---:|")
        for entries in map(int, parser.parse_args().entries.split(",")):
            values = {"tenant": TENANT, "no_run": NO_RUN, "question": QUESTION}
            admin.execute("delete from waybill_ledger.entries where state <> 'SETTLED'")  # measured before
            admin.execute(LOAD, {**values, "first": loaded, "last": entries})
            admin.execute("vacuum analyze waybill_ledger.entries")
            loaded = entries
            # As the service's role, so under row-level security.
            url = f"{urls.admin}?options=-c%20role%3Dwaybill_ledger"
            for what, ms in asyncio.run(_measured(url)).items():
                ratio = ms / smallest.setdefault(what, ms)
                print(f"| {entries:,} | {what} | {ms:.2f} | {ratio:.2f} |", flush=True)


async def _measured(url: str) -> Mapping[str, float]:
    database = await Database.open(url)
    entries = Entries(database, PriceTable.load(), lambda: DAY)
    run, search = Caller(TENANT, "c0", str(uuid.uuid4())), Caller(TENANT, "c0", "")
    everything = EntryFilter(None, None)
    operations: Mapping[str, Callable[[], Awaitable[object]]] = {
        "Hold in a run": lambda: entries.hold(run, _hold(f"embed:space:{uuid.uuid4()}")),
        "Hold of the same again": lambda: entries.hold(run, _hold("embed:space:again")),
        "Hold of the most asked question": lambda: entries.hold(search, _hold(QUESTION)),
        "ListEntries, the first 200 of all": lambda: entries.page(TENANT, everything, 200, None),
    }
    medians = {what: await _median_ms(operation) for what, operation in operations.items()}
    await database.close()
    return medians


async def _median_ms(operation: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(EACH):
        began = time.perf_counter()
        await operation()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


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
        ttl_seconds=600,
        owner=f"embedder/{uuid.uuid4()}",
        trace_id="",
        parent_span_id="",
        step_span_id="",
    )


if __name__ == "__main__":
    main()
