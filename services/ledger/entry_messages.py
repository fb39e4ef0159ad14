"""Rows of the ledger as messages of its contract."""

from __future__ import annotations

from services.ledger.doubts import FIRST_ASKED_AFTER
from services.ledger.rows import NO_RUN, Row
from waybill.ledger.v1 import asking_pb2, entry_pb2
from waybill.money import cost_nano_usd
from waybill.runtime.wire import timestamp
from waybill.vendors.registry import tells_of


def entry_message(row: Row) -> entry_pb2.Entry:
    """An entry."""
    same = ("correlation_id", "spend_key", "attempt", "service", "operation", "vendor", "model", "quantity",
            "unit", "price_nano_usd_per_million", "expected_nano_usd", "owner", "end_reason", "collection",
            "document_key", "size_bytes", "vendor_reference")  # fmt: skip
    entry = entry_pb2.Entry(
        entry_id=str(row["entry_id"]),
        run_id="" if str(row["run_id"]) == NO_RUN else str(row["run_id"]),
        state=f"STATE_{row['state']}",
        kind=f"COST_KIND_{row['kind']}",
        reported_nano_usd=row["reported_nano_usd"],
        invoiced_nano_usd=row["invoiced_nano_usd"],
        # A row that has just been written has none.
        adjusted_nano_usd=row.get("adjusted_nano_usd", 0),
        hold_time=timestamp(row["held_at"]),
        expire_time=timestamp(row["expires_at"]),
        span=entry_pb2.SpanLink(
            trace_id=row["trace_id"], parent_span_id=row["parent_span_id"], step_span_id=row["step_span_id"]
        ),
        **{name: row[name] for name in same},
    )
    if row["would_vendor"]:
        entry.would_cost.CopyFrom(_would_cost(row))
    if row["ended_at"] is not None:
        entry.end_time.CopyFrom(timestamp(row["ended_at"]))
    if row["state"] == "IN_DOUBT":
        entry.asking.CopyFrom(_asking(row))
    return entry


def _asking(row: Row) -> asking_pb2.Asking:
    possible = tells_of(row["vendor"], row["model"]) and not row["unanswerable"]
    asking = asking_pb2.Asking(possible=possible, times=row["asks"], answer=row["answer"])
    if row["asked_at"] is not None:
        asking.last_time.CopyFrom(timestamp(row["asked_at"]))
    if possible:
        asking.next_time.CopyFrom(timestamp(row["ask_at"] or row["ended_at"] + FIRST_ASKED_AFTER))
    return asking


def _would_cost(row: Row) -> entry_pb2.WouldCost:
    price = row["would_price_nano_usd_per_million"]
    return entry_pb2.WouldCost(
        vendor=row["would_vendor"],
        model=row["would_model"],
        price_nano_usd_per_million=price,
        price_date=row["would_price_date"].isoformat(),
        nano_usd=cost_nano_usd(price, row["quantity"]),
    )


def total_message(row: Row) -> entry_pb2.RunTotal:
    """The sums of a run."""
    return entry_pb2.RunTotal(
        run_id=str(row["run_id"]),
        cost_nano_usd=int(row["cost"]),
        simulated_nano_usd=int(row["simulated"]),
        uncertain_nano_usd=int(row["uncertain"]),
        uncertain_simulated_nano_usd=int(row["uncertain_simulated"]),
    )
