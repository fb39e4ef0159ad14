"""Holds an invoice against the ledger: lines that name entries one by one, the others by day and models."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.ledger.changing import CORRECTED
from services.ledger.drift import Difference, Share, Sum, differences
from services.ledger.invoices import MATCHED, find
from services.ledger.prices import PriceTable
from services.ledger.rows import NO_RUN, Row
from waybill.runtime.errors import Precondition
from waybill.runtime.postgres import Connection

# More than that is no drift, but another vendor's file, or another account's.
MOST_NOT_INVOICED = 10_000

# What an entry is known to cost; a doubt, nothing so far.
KNOWN = f"(case when e.state = 'SETTLED' then e.reported_nano_usd else 0 end + {CORRECTED})"
NAMED = f"""
with {MATCHED}, summed as (
    select matched_id, count(*) as lines, min(line) as line, min(day) as line_day,
        greatest(sum(charged), 0)::bigint as invoiced, sum(quantity)::bigint as invoiced_quantity,
        max(unit) as line_unit
    from matched group by matched_id
)
select * from (
    select e.*, summed.*, {KNOWN} as known from summed join waybill_ledger.entries e
    on e.entry_id = summed.matched_id
) compared
where state in ('IN_DOUBT', 'HELD') or invoiced <> known
order by held_at, entry_id
"""  # noqa: S608  (constants only)
TO_FOLLOW = f"""
select entry_id, invoiced from ({NAMED}) named where state <> 'HELD' limit %(most)s
"""  # noqa: S608  (constants only)
UNMATCHED = f"""
with {MATCHED}
select l.* from waybill_ledger.invoice_lines l
where l.invoice_id = %(invoice_id)s and (l.entry_id is not null or l.vendor_reference <> '')
    and coalesce(l.nano_usd, l.quantity) <> 0
    and not exists (select from matched m where m.line = l.line)
order by l.line
"""  # noqa: S608  (constants only)
IN_WINDOW = """e.vendor = %(vendor)s and e.kind = %(kind)s
    and e.held_at >= %(first_day)s::date::timestamp at time zone 'UTC'
    and e.held_at < (%(last_day)s::date + 1)::timestamp at time zone 'UTC'"""
NOT_INVOICED = f"""
with {MATCHED}
select * from (
    select e.*, {KNOWN} as known from waybill_ledger.entries e
    where {IN_WINDOW} and e.state = 'SETTLED' and not exists (
        select from matched m where m.matched_id = e.entry_id)
) settled
where known <> 0 order by held_at, entry_id limit {MOST_NOT_INVOICED}
"""  # noqa: S608  (constants only)
LINES = """
select day, models, unit, min(line) as line, sum(quantity)::bigint as quantity,
    sum(requests)::bigint as requests, sum(nano_usd)::bigint as nano_usd
from waybill_ledger.invoice_lines
where invoice_id = %(invoice_id)s and entry_id is null and vendor_reference = ''
group by day, models, unit order by day, models, unit
"""
# Settled entries are summed by day and model. Others are named one by one, so that a drift has its run.
BOOKED = f"""
select (e.held_at at time zone 'UTC')::date as day, e.model, e.unit, e.state,
    case when e.state <> 'SETTLED' then e.tenant else '' end as tenant,
    case when e.state <> 'SETTLED' then e.run_id end as run_id,
    case when e.state <> 'SETTLED' then e.document_key else '' end as document_key,
    count(*) as entries, sum(e.quantity)::bigint as quantity, sum(e.expected_nano_usd)::bigint as expected,
    sum(coalesce(e.reported_nano_usd, 0) + {CORRECTED})::bigint as known
from waybill_ledger.entries e where {IN_WINDOW}
group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608  (constants only)


async def compared(connection: Connection, prices: PriceTable, invoice_id: str) -> list[Difference]:
    """Where an invoice and the ledger differ. Raises NotFound INVOICE_NOT_FOUND."""
    invoice = await find(connection, invoice_id)
    rows = await _rows(connection, NAMED, invoice)
    found = [of_entry(row) for row in rows]
    found += [_unmatched(row) for row in await _rows(connection, UNMATCHED, invoice)]
    if invoice["first_day"] is None:
        return found
    day_sums = await sums(connection, prices, invoice)
    if day_sums:
        return found + differences(day_sums)
    return found + [_of_one(row, "NOT_INVOICED", 0) for row in await _rows(connection, NOT_INVOICED, invoice)]


async def to_follow(connection: Connection, invoice: Row, most: int) -> Sequence[tuple[str, int]]:
    """Entries that an invoice charges otherwise, or that are in doubt, and how much it charges for each."""
    rows = await _rows(connection, TO_FOLLOW, {**invoice, "most": most})
    return [(str(row["entry_id"]), row["invoiced"]) for row in rows]


async def sums(connection: Connection, prices: PriceTable, invoice: Row) -> list[Sum]:
    """Each day's sums on both sides; none where the invoice has no line that is a sum."""
    lines = await _rows(connection, LINES, invoice)
    if not lines:
        return []
    found = {
        (row["day"], tuple(row["models"])): Sum(
            row["day"], tuple(row["models"]), row["unit"], row["line"], row["quantity"], row["requests"],
            row["nano_usd"],
        )
        for row in lines
    }  # fmt: skip
    groups = sorted({models for _, models in found})
    by_quantity = any(one.by_quantity for one in found.values())
    for row in await _rows(connection, BOOKED, invoice):
        models = next((group for group in groups if not group or row["model"] in group), (row["model"],))
        empty = Sum(row["day"], models, row["unit"], quantity=0 if by_quantity else None)
        one = found.setdefault((row["day"], models), empty)
        one.unit = one.unit or row["unit"]
        if row["state"] == "SETTLED":
            one.entries += row["entries"]
            one.ledger_quantity += row["quantity"]
            one.ledger_nano_usd += row["known"]
        else:
            run_id = "" if str(row["run_id"]) == NO_RUN else str(row["run_id"])
            one.shares.append(
                Share(row["state"], row["tenant"], run_id, row["document_key"], row["entries"],
                      row["quantity"], row["expected"])
            )  # fmt: skip
    for one in found.values():
        one.price = _price(prices, invoice["vendor"], one)
    return [found[key] for key in sorted(found)]


def of_entry(row: Row) -> Difference:
    """Why a line that names an entry says another amount."""
    same_unit = row["line_unit"] == row["unit"] and row["invoiced_quantity"] is not None
    match row["state"]:
        case "IN_DOUBT" | "HELD":
            reason = "IN_DOUBT"
        case "WRITTEN_OFF" | "RELEASED" as state:
            reason = state
        case _ if row["lines"] > 1 and row["invoiced"] > row["known"]:
            reason = "CHARGED_TWICE"
        case _ if same_unit and row["invoiced_quantity"] != row["quantity"]:
            reason = "QUANTITY_DIFFERS"
        case _:
            reason = "PRICE_DIFFERS" if same_unit else "AMOUNT_DIFFERS"
    found = _of_one(row, reason, row["invoiced"])
    return found if same_unit else replace(found, unit="", ledger_quantity=0)


def _of_one(row: Row, reason: str, invoiced: int) -> Difference:
    settled = row["state"] == "SETTLED"
    return Difference(
        reason, row["held_at"].astimezone(datetime.UTC).date(), (row["model"],), row["tenant"],
        "" if str(row["run_id"]) == NO_RUN else str(row["run_id"]), row["document_key"],
        str(row["entry_id"]), row["vendor_reference"], row.get("line", 0), 1, row["unit"],
        row.get("invoiced_quantity") or 0, row["quantity"] if settled else 0, invoiced, row["known"],
    )  # fmt: skip


def _unmatched(row: Row) -> Difference:
    return Difference(
        "NOT_IN_LEDGER", row["day"], tuple(row["models"]), entry_id=str(row["entry_id"] or ""),
        vendor_reference=row["vendor_reference"], line=row["line"], unit=row["unit"],
        invoiced_quantity=row["quantity"] or 0, invoiced_nano_usd=row["nano_usd"] or 0,
    )  # fmt: skip


def _price(prices: PriceTable, vendor: str, one: Sum) -> int:
    """Of units that nobody accounts for; 0 where it is not known."""
    if one.ledger_quantity:
        return one.ledger_nano_usd * 1_000_000 // one.ledger_quantity
    for model in one.models:
        try:
            return prices.find(vendor, model, one.unit, one.day).nano_usd_per_million
        except Precondition:
            continue
    return 0


async def _rows(connection: Connection, statement: str, values: Mapping[str, Any]) -> Sequence[Row]:
    return await (await connection.execute(statement.encode(), values)).fetchall()
