"""How long each report takes over many entries, beside the same sums in SQL by hand, in turn; and an invoice.

python -m bench.reports [--entries 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import statistics
import time
from collections.abc import Mapping

import psycopg

from bench import invoices
from evals.database import migrated
from services.ledger.reports import GROUPS, ORDER, Reports, Span
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

TENANT, OPERATOR = "t", "operator"
PAGE = 2_000  # as `waybill bill` asks
UNTIL = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
DAYS = 30
# A month: 20 entries a run, two runs a document, 50 collections; one of a hundred is corrected.
LOAD = """
insert into waybill_ledger.entries (entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind,
    service, operation, vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd,
    reported_nano_usd, owner, trace_id, parent_span_id, step_span_id, collection, document_key, held_at,
    expires_at, ended_at)
select gen_random_uuid(), %(tenant)s, md5((n / 20)::text)::uuid, 'c' || n / 2000, 'embed:space:' || n, 1,
    case when n %% 50 = 49 then 'IN_DOUBT' else 'SETTLED' end, 'REAL',
    case n %% 20 when 0 then 'parser' else 'embedder' end, case n %% 20 when 0 then 'parse' else 'embed' end,
    case n %% 20 when 0 then 'llamaparse' else 'openai' end,
    case n %% 20 when 0 then 'fast' else 'text-embedding-3-small' end,
    case n %% 20 when 0 then 'page' else 'token' end, 1000, 20000000, 20000, 20000, 'embedder/0', '', '', '',
    'collection ' || n / 40 %% 50, 'folder/document ' || n / 40 || '.pdf', at, at, at
from generate_series(0, %(entries)s::int - 1) n,
    lateral (select %(until)s - n * (interval '1 day' * %(days)s / %(entries)s) as at) times
where at < %(until)s
"""
CORRECT = """
insert into waybill_ledger.adjustments (
    tenant, entry_id, run_id, correlation_id, kind, model, unit, quantity, nano_usd, reason)
select tenant, entry_id, run_id, correlation_id, kind, 'credit', 'microcredit', 1, 1, 'bench'
from waybill_ledger.entries where vendor = 'llamaparse' and attempt = 1 and quantity = 1000
    and hashtext(spend_key) %% 5 = 0
"""
BY_HAND = """
select {group}, e.kind, e.vendor, e.model, e.unit, e.price_nano_usd_per_million, count(*),
    sum(e.quantity) filter (where e.state = 'SETTLED'),
    sum(e.reported_nano_usd) filter (where e.state = 'SETTLED'), sum(a.nano_usd),
    sum(e.expected_nano_usd) filter (where e.state = 'IN_DOUBT')
from waybill_ledger.entries e
left join (select entry_id, sum(nano_usd) nano_usd from waybill_ledger.adjustments group by 1) a
    using (entry_id)
where e.held_at >= %(since)s and e.held_at < %(until)s{tenant}
group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
"""


def main() -> None:
    """Prints seconds, and how often what the same takes by hand."""
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with migrated() as urls, psycopg.connect(urls.admin, autocommit=True) as admin:
        values = {"tenant": TENANT, "entries": asked.entries, "days": DAYS, "until": UNTIL}
        admin.execute(LOAD, values)
        admin.execute(CORRECT, {})
        admin.execute("vacuum analyze waybill_ledger.entries, waybill_ledger.adjustments")
        times, reconciled = asyncio.run(_measured(urls.admin, admin, asked.rounds))
    print(f"| report over {asked.entries:,} entries | lines | s, median | s by hand | × by hand |")
    print("|---|---:|---:|---:|---:|")
    for what, (lines, seconds, by_hand) in times.items():
        print(f"| {what} | {lines:,} | {seconds:.2f} | {by_hand:.2f} | {seconds / by_hand:.2f} |")
    print("\n| `waybill reconcile --adjust` | of | s |\n|---|---:|---:|")
    for what, count, seconds in reconciled:
        print(f"| {what} | {count:,} | {seconds:.1f} |")


async def _measured(
    admin_url: str, admin: psycopg.Connection, rounds: int
) -> tuple[Mapping[str, tuple[int, float, float]], list[tuple[str, int, float]]]:
    """Lines, medians of a report with all its pages, and of the same by hand; and of an invoice, once."""
    database = await Database.open(_as(admin_url, "waybill_ledger"))
    owner = await Database.open(_as(admin_url, "waybill_ledger_owner"))
    reports = Reports(database, owner, OPERATOR)
    month = Span(UNTIL - datetime.timedelta(days=DAYS), UNTIL)
    day = Span(UNTIL - datetime.timedelta(days=1), UNTIL)
    asked = {f"by {by.lower()}": (by, TENANT, month) for by in GROUPS}
    asked["by tenant, all of them"] = ("TENANT", OPERATOR, month)
    asked["by model, one day"] = ("MODEL", TENANT, day)
    asked["by tenant, all of them, one day"] = ("TENANT", OPERATOR, day)
    found: dict[str, tuple[int, float, float]] = {}
    for what, (by, tenant, span) in asked.items():
        pairs = []
        for _ in range(rounds):
            began = time.perf_counter()
            lines = await _pages(reports, tenant, span, by)
            pairs.append((time.perf_counter() - began, _by_hand(admin, tenant, span, by)))
        ours, hand = zip(*pairs, strict=True)
        found[what] = lines, statistics.median(ours), statistics.median(hand)
    reconciled = [one async for one in invoices.measured(admin, database, owner)]
    await database.close()
    await owner.close()
    return found, reconciled


async def _pages(reports: Reports, tenant: str, span: Span, by: str) -> int:
    """A whole report, page by page; answers its lines."""
    lines, after, more = 0, None, True
    while more:
        page, _, more = await reports.page(Caller(tenant, "c"), span, by, PAGE, after)
        lines, after = lines + len(page), [str(page[-1][name]) for name in ORDER] if page else None
    return lines


def _by_hand(admin: psycopg.Connection, tenant: str, span: Span, by: str) -> float:
    mine = "" if tenant == OPERATOR else " and e.tenant = %(tenant)s"
    statement = BY_HAND.format(group=GROUPS[by].column, tenant=mine)
    began = time.perf_counter()
    admin.execute(statement.encode(), {**vars(span), "tenant": tenant}).fetchall()
    return time.perf_counter() - began


def _as(url: str, role: str) -> str:
    """As a service's role, so under row-level security."""
    return f"{url}?options=-c%20role%3D{role}"


if __name__ == "__main__":
    main()
