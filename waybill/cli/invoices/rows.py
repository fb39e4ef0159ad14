"""A CSV of one's own: a row for each attempt, by our id or the vendor's, or one for each day and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from waybill.cli.invoices.lines import Lines, invalid, nano_usd, whole
from waybill.ledger.v1.invoice_pb2 import InvoiceLine

# What names an entry, or the day.
NAMES = ("entry_id", "vendor_reference", "day")
AMOUNTS = ("quantity", "usd", "nano_usd")


def is_one(columns: set[str]) -> bool:
    """Whether a CSV with such columns can be read."""
    return bool(columns & {*NAMES} and columns & {*AMOUNTS})


def of_rows(rows: Sequence[tuple[int, Mapping[str, str]]], vendor: str) -> Lines:
    """Lines, each with its number. Raises InvalidRequest."""
    found = Lines(vendor.lower())
    for number, row in rows:
        told = row.get("vendor", "").lower() or found.vendor
        if found.vendor and told != found.vendor:
            raise invalid(
                number, f"it is of {told}, others are of {found.vendor}: make a file for each vendor"
            )
        found.vendor = told
        if (currency := row.get("currency") or "usd").lower() != "usd":
            raise invalid(number, f"its currency is {currency!r}; costs are compared in usd")
        line = InvoiceLine(line=number, unit=row.get("unit", ""))
        for name in NAMES:
            setattr(line, name, row.get(name, ""))
        if model := row.get("model"):
            line.models.append(model)
        if row.get("quantity"):
            line.quantity = whole(number, "quantity", row["quantity"])
        if row.get("requests"):
            line.requests = whole(number, "requests", row["requests"])
        if row.get("nano_usd"):
            line.nano_usd = whole(number, "nano_usd", row["nano_usd"])
        elif row.get("usd"):
            line.nano_usd = nano_usd(number, "usd", row["usd"])
        found.lines.append(line)
    return found
