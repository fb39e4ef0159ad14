"""LlamaCloud's usage metrics, saved from its API: a line for each parse job, in credits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from waybill.cli.invoices.lines import Lines, decimal, invalid, unreadable
from waybill.ledger.v1.invoice_pb2 import InvoiceLine
from waybill.vendors.registry import LLAMAPARSE

PARSE = "parse_job"
# A million million dollars' worth; much more could not be counted.
_MOST_CREDITS = 10**12


def is_page(answer: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a page of usage metrics."""
    return isinstance(answer.get("items"), list) and "next_page_token" in answer


def of_pages(pages: Sequence[Mapping[str, Any]]) -> Lines:
    """Lines of saved answers, in the order of their pages. Raises InvalidRequest."""
    if pages[-1].get("next_page_token"):
        raise unreadable(
            "The file ends before its last page: it has a next_page_token. Save the others, too."
        )
    found = Lines(LLAMAPARSE.name)
    items = [item for page in pages for item in page["items"]]
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise invalid(number, "an item is no object; save the vendor's answer as it is")
        if item.get("event_aggregation_type", PARSE) != PARSE:
            found.left_out += 1
            continue
        job, day = item.get("event_aggregation_key"), item.get("day")
        if not isinstance(job, str) or not job or not isinstance(day, str):
            raise invalid(number, "an item has no event_aggregation_key or no day")
        credits = decimal(number, "credits", item.get("credits"))
        if not 0 <= credits <= _MOST_CREDITS:
            raise invalid(number, f"credits are {credits}; they must be from 0 to {_MOST_CREDITS:,}")
        if credits:
            found.check_new(number, day, item)
        found.lines.append(
            InvoiceLine(
                line=number, vendor_reference=job, day=day[:10], price_model="credit", unit="microcredit",
                quantity=round(credits * 1_000_000),
            )
        )  # fmt: skip
    return found
