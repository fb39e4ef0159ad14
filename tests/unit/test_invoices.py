"""Vendors' files: each form is known by what stands in it, and a wrong line is named with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from waybill.cli.invoices.lines import Lines
from waybill.cli.invoices.reading import read
from waybill.ledger.v1.invoice_pb2 import InvoiceLine
from waybill.runtime.errors import InvalidRequest, NotFound, ServiceError

SMALL, LARGE = "text-embedding-3-small", "text-embedding-3-large"
# The columns of the dashboard's exports, as people have published them.
COSTS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,"
    "organization_id,organization_name\n"
)
USAGE = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,"
    "batch,service_tier,input_tokens,output_tokens\n"
)
DAY, NEXT = 1_759_622_400, 1_759_708_800  # 5 and 6 October 2025


def lines_of(folder: Path, text: str | bytes, vendor: str = "") -> Lines:
    file = folder / "invoice"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, vendor)[1]


def bucket(*results: dict[str, Any], start: int = DAY, seconds: int = 86_400) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": start + seconds, "results": list(results)}


def page(*buckets: dict[str, Any], more: bool = False) -> str:
    return json.dumps({"object": "page", "data": buckets, "has_more": more, "next_page": None})


def usage(tokens: Any, model: str | None = SMALL, requests: int = 2) -> dict[str, Any]:
    told = {"input_tokens": tokens, "num_model_requests": requests, "project_id": None, "model": model}
    return {"object": "organization.usage.embeddings.result", **told}


def cost(value: Any, item: str | None, currency: str = "usd") -> dict[str, Any]:
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item, "project_id": None}


def credits(many: float) -> str:
    item = {"event_aggregation_type": "parse_job", "event_aggregation_key": "pjb-1", "day": "2026-11-27"}
    return json.dumps({"items": [{**item, "credits": many}], "next_page_token": None})


def test_openais_usage_is_sums_over_both_tiers_of_a_model(tmp_path: Path) -> None:
    found = lines_of(tmp_path, page(bucket(usage(100), usage(7, LARGE)), bucket(start=NEXT)))
    assert found.vendor == "openai"
    small, large, *zeros = found.completed()
    assert (small.day, small.unit, small.quantity, small.requests) == ("2025-10-05", "token", 100, 2)
    assert list(small.models) == [SMALL, f"{SMALL} batch"]
    assert (list(large.models), large.quantity) == ([LARGE, f"{LARGE} batch"], 7)
    # A day without any is a day on which nothing was charged.
    assert [(line.day, line.quantity, list(line.models)) for line in zeros] == [
        ("2025-10-06", 0, list(small.models)),
        ("2025-10-06", 0, list(large.models)),
    ]


def test_openais_costs_are_money_to_the_nano_dollar_and_other_products_are_left_out(tmp_path: Path) -> None:
    text = page(bucket(cost(0.000000123, f"{SMALL}, input"), cost(3, "gpt-4o, output"), cost(1, None)))
    found = lines_of(tmp_path, text)
    assert [(line.nano_usd, list(line.models)[:1]) for line in found.lines] == [(123, [SMALL]), (10**9, [])]
    assert (found.left_out, found.lines[0].HasField("quantity")) == (1, False)


def test_pages_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    text = page(bucket(usage(1)), more=True) + "\n" + page(bucket(usage(2), start=NEXT))
    assert [line.quantity for line in lines_of(tmp_path, text).lines] == [1, 2]


def test_lines_that_differ_in_any_field_or_charge_nothing_are_not_the_same_line(tmp_path: Path) -> None:
    of_others = [{**usage(5), "project_id": one} for one in ("a", "b")]
    text = page(bucket(*of_others, usage(0), usage(0)), bucket(usage(5), start=NEXT))
    assert [line.quantity for line in lines_of(tmp_path, text).lines] == [5, 5, 0, 0, 5]
    keys = [{**cost(1, SMALL), "api_key_id": one} for one in ("a", "b")]
    assert len(lines_of(tmp_path, page(bucket(*keys))).lines) == 2
    assert len(lines_of(tmp_path, credits(0) + credits(0)).lines) == 2


def test_the_dashboards_exports_are_read_by_their_columns(tmp_path: Path) -> None:
    rows = f"{DAY},{NEXT},a,b,0.8958740000000000,usd,,,org-1,Personal\n{NEXT},{NEXT + 86_400},a,b,,,,,,\n"
    costs = lines_of(tmp_path, "\ufeff" + COSTS + rows)
    assert [(line.day, line.nano_usd) for line in costs.completed()] == [
        ("2025-10-05", 895_874_000), ("2025-10-06", 0)
    ]  # fmt: skip
    rows = (
        f"{DAY},{NEXT},a,b,proj,3,,,{SMALL},true,,100,0\n{DAY},{NEXT},a,b,proj,2,,,{SMALL},false,,50,0\n"
        f"{DAY},{NEXT},a,b,proj,2,,,gpt-5-mini,false,,50,9\n"
    )
    found = lines_of(tmp_path, (USAGE + rows).replace(",", "\t"))
    assert [(list(line.models), line.quantity, line.requests) for line in found.lines] == [
        ([f"{SMALL} batch"], 100, 3), ([SMALL], 50, 2)
    ]  # fmt: skip
    assert found.left_out == 1


def test_llamaclouds_usage_names_jobs_by_their_credits(tmp_path: Path) -> None:
    item = {"event_aggregation_type": "parse_job", "event_aggregation_key": "pjb-1", "day": "2026-11-27"}
    items = [{**item, "credits": 3.25}, {**item, "event_aggregation_type": "extract_job", "credits": 9}]
    found = lines_of(tmp_path, json.dumps({"items": items, "next_page_token": None, "total_size": 2}))
    (line,) = found.lines
    assert line == InvoiceLine(
        line=1, vendor_reference="pjb-1", day="2026-11-27", price_model="credit", unit="microcredit",
        quantity=3_250_000,
    )  # fmt: skip
    assert (found.vendor, found.left_out) == ("llamaparse", 1)


def test_a_csv_of_ones_own_names_entries_or_days(tmp_path: Path) -> None:
    found = lines_of(tmp_path, "Vendor;entry_id;quantity;unit;usd\nopenai;e-1;7;token;\nopenai;e-2;;;0.5\n")
    first, second = found.lines
    assert (found.vendor, first.entry_id, first.quantity, first.unit) == ("openai", "e-1", 7, "token")
    assert lines_of(tmp_path, "vendor,day,usd\nOpenAI,2026-11-27,1\n").vendor == "openai"
    assert (second.nano_usd, second.HasField("quantity"), second.line) == (500_000_000, False, 3)


@pytest.mark.parametrize(
    ("text", "reason", "says"),
    [
        (b"\xff\xfe\x00", "INVOICE_UNREADABLE", "no UTF-8 text"),
        ("name,age\nx,3\n", "INVOICE_UNREADABLE", "columns are of no form"),
        ('{"a": 1}', "INVOICE_UNREADABLE", "no form that is known"),
        ("[]", "INVOICE_UNREADABLE", "no form that is known"),
        ('{"object": "page",\n "data": [,]}', "INVOICE_LINE_INVALID", "Line 2: it is no JSON"),
        (page(bucket(usage(1)), more=True), "INVOICE_UNREADABLE", "has_more"),
        ('{"items": [], "next_page_token": "x"}', "INVOICE_UNREADABLE", "next_page_token"),
        (page(bucket(usage(-1))), "INVOICE_LINE_INVALID", "Line 1: input_tokens is '-1'"),
        (page(bucket(usage(1), usage("1e999"))), "INVOICE_LINE_INVALID", "Line 2: input_tokens"),
        (page(bucket(usage(True))), "INVOICE_LINE_INVALID", "Line 1: input_tokens is 'True'"),
        (page(bucket(cost("1,50", SMALL))), "INVOICE_LINE_INVALID", "amount_value is '1,50'"),
        (page(bucket(cost(1, SMALL, "eur"))), "INVOICE_LINE_INVALID", "its currency is 'eur'"),
        (page(bucket(usage(1), seconds=8 * 86_400)), "INVOICE_LINE_INVALID", "bucket_width=1d"),
        (page(bucket(usage(1), start=10**17)), "INVOICE_LINE_INVALID", "no moment"),
        ('{"object": "page", "data": [3]}', "INVOICE_UNREADABLE", "no list of results"),
        ("day,usd\n2026-11-27,=1+1\n", "INVOICE_LINE_INVALID", "Line 2: usd is '=1+1'"),
        ("day,usd\n2026-11-27,NaN\n", "INVOICE_LINE_INVALID", "Line 2: usd is 'NaN'"),
        ("day,usd\n2026-11-27\n", "INVOICE_LINE_INVALID", "Line 2: it has 1 cells"),
        ('day,usd\n"2026-11-27,3\n', "INVOICE_LINE_INVALID", "it is no CSV"),
        ("vendor,day,usd\nopenai,d,1\nb,d,1\n", "INVOICE_LINE_INVALID", "Line 3: it is of b, others are of"),
        ("day,usd,currency\n2026-11-27,1,EUR\n", "INVOICE_LINE_INVALID", "its currency is 'EUR'"),
        ("day,usd,usd\n2026-11-27,1,2\n", "INVOICE_UNREADABLE", "two columns usd"),
        (page(bucket(usage(1), start=DAY + 3_600)), "INVOICE_LINE_INVALID", "by days of UTC"),
        (credits(1e30), "INVOICE_LINE_INVALID", "they must be from 0 to 1,000,000,000,000"),
        (credits(-1), "INVOICE_LINE_INVALID", "credits are -1"),
        (page(bucket(usage(5), usage(5))), "INVOICE_LINE_INVALID", "Line 2: it is line 1 once more"),
        (page(bucket(cost(1, SMALL))) * 2, "INVOICE_LINE_INVALID", "Leave one of the two out"),
        (credits(3) + credits(3), "INVOICE_LINE_INVALID", "Line 2: it is line 1 once more"),
        (
            USAGE + f"{DAY},{NEXT},a,b,p,3,,,{SMALL},,,100,0\n" * 2,
            "INVOICE_LINE_INVALID",
            "is line 2 once more",
        ),
        ("entry_id,usd\n\x1b[31m,\x1b[2J\n", "INVOICE_LINE_INVALID", "\\x1b[2J"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, reason: str, says: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        lines_of(tmp_path, text, "openai")
    assert (type(caught.value), caught.value.reason) == (InvalidRequest, reason)
    assert says in caught.value.message


def test_a_file_that_is_not_there_or_says_no_vendor_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read(tmp_path / "absent", "")
    with pytest.raises(InvalidRequest, match="--vendor openai"):
        lines_of(tmp_path, "day,usd\n2026-11-27,3\n")
