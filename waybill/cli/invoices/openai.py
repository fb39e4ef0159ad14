"""OpenAI's usage and costs: answers of its API, saved, and the dashboard's exports of the same as CSV.

Both are sums of days: no export names a request. Lines about other things than embeddings are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from waybill.cli.invoices.lines import Lines, day_of, invalid, nano_usd, tiers, unreadable, whole
from waybill.ledger.v1.invoice_pb2 import InvoiceLine
from waybill.vendors.registry import OPENAI

USAGE, COSTS = "organization.usage.embeddings.result", "organization.costs.result"
USAGE_COLUMNS, COST_COLUMNS = {"start_time", "input_tokens"}, {"start_time", "amount_value"}
DAY_SECONDS = 86_400
_WORD = "embedding"


def is_page(answer: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a page of buckets."""
    return isinstance(answer.get("data"), list) and answer.get("object") == "page"


def of_pages(pages: Sequence[Mapping[str, Any]]) -> Lines:
    """Lines of saved answers, in the order of their pages. Raises InvalidRequest."""
    if pages[-1].get("has_more"):
        raise unreadable("The file ends before its last page: has_more is true. Save the other pages, too.")
    found, number = Lines(OPENAI.name), 0
    for page in pages:
        for bucket in page["data"]:
            results = bucket.get("results") if isinstance(bucket, dict) else None
            if not isinstance(results, list):
                raise unreadable(
                    "A bucket of the file has no list of results. Save the vendor's answer as it is."
                )
            for result in results or [None]:
                number += 1
                day = _day(number, bucket.get("start_time"), bucket.get("end_time"))
                found.covered.add(day)
                if result is not None:
                    _add(found, number, day, _of_result(number, result))
    return found


def of_rows(rows: Sequence[tuple[int, Mapping[str, str]]]) -> Lines:
    """Lines of a CSV export, each with its number. Raises InvalidRequest."""
    found = Lines(OPENAI.name)
    for number, row in rows:
        day = _day(number, row["start_time"], row.get("end_time"))
        found.covered.add(day)
        if row.get("input_tokens") or row.get("amount_value"):
            _add(found, number, day, row)
    return found


def _of_result(number: int, result: object) -> Mapping[str, Any]:
    """A result as a CSV export has it."""
    if not isinstance(result, dict) or not isinstance(result.get("object"), str):
        raise invalid(number, "a result is no object that says what it is; save the vendor's answer as it is")
    if result["object"] == COSTS:
        amount = result.get("amount")
        if not isinstance(amount, dict):
            raise invalid(number, "a result of costs has no amount")
        told = {"amount_value": amount.get("value"), "amount_currency": amount.get("currency")}
        return {**result, **told}
    if result["object"] == USAGE:
        return result
    return {}


def _add(found: Lines, number: int, day: str, row: Mapping[str, Any]) -> None:
    line = InvoiceLine(line=number, day=day)
    if project := row.get("project_id"):
        found.projects.add(str(project))
    if "amount_value" in row:
        if (currency := str(row.get("amount_currency") or "usd").lower()) != "usd":
            raise invalid(number, f"its currency is {currency!r}; costs are compared in usd")
        name = str(row.get("line_item") or "")
        line.nano_usd = nano_usd(number, "amount_value", row["amount_value"])
    elif "input_tokens" in row:
        name = str(row.get("model") or "")
        line.unit, line.quantity = "token", whole(number, "input_tokens", row["input_tokens"])
        if row.get("num_model_requests") not in (None, ""):
            line.requests = whole(number, "num_model_requests", row["num_model_requests"])
    else:
        found.left_out += 1
        return
    if name and _WORD not in name:
        found.left_out += 1
        return
    if name:
        line.models.extend(_models(name, row.get("batch")))
    if line.quantity or line.nano_usd:
        found.check_new(number, day, row)
    found.lines.append(line)


def _models(name: str, batch: object) -> Sequence[str]:
    """Of `text-embedding-3-small`, or of an item of costs such as `text-embedding-3-small, input`."""
    model = name.partition(",")[0].strip().removesuffix("-v2")
    told = {"true": True, "false": False}.get(str(batch).lower())
    if model.endswith("batch"):
        model, told = model.removesuffix("batch").strip(" -"), True
    return tiers(model, told)


def _day(number: int, start: object, end: object) -> str:
    first = whole(number, "start_time", start)
    last = first if end in (None, "") else whole(number, "end_time", end) - 1
    if not first <= last < first + DAY_SECONDS:
        raise invalid(number, "it is about more than a day; export it with a bucket a day (bucket_width=1d)")
    day = day_of(number, "start_time", first)
    if day_of(number, "end_time", last) != day:
        raise invalid(number, f"it begins on {day} and ends on the next day of UTC; export it by days of UTC")
    return day
