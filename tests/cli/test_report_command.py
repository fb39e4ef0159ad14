"""`waybill bill` without an id: which days are asked for, and how their money is shown."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import typer

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger, make_entry
from tests.cli.test_commands import documented
from waybill.cli.spans import days
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.asking_pb2 import Asking
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ReportResponse
from waybill.ledger.v1.price_pb2 import Price
from waybill.ledger.v1.report_pb2 import Grouping, ReportLine, ReportTotal

TODAY = date(2026, 11, 27)


def a_line(**fields: object) -> ReportLine:
    told = {
        "kind": CostKind.COST_KIND_REAL, "vendor": "openai", "model": "text-embedding-3-small",
        "unit": "token", "price_nano_usd_per_million": 20_000_000, "price_date": "2024-01-25",
        "attempts": 2, "quantity": 1_100, "settled_nano_usd": 22_000,
    }  # fmt: skip
    return ReportLine(**(told | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        ("today", "", "2026-11-27", "2026-11-27"),
        ("", "", "2026-11-27", "2026-11-27"),
        ("", "2024-02-29", "2024-02-29", "2024-02-29"),
        ("yesterday", "yesterday", "2026-11-26", "2026-11-26"),
        ("7d", "", "2026-11-21", "2026-11-27"),
        ("2026-11-01", "2026-11-30", "2026-11-01", "2026-11-30"),
    ],
)
def test_days_are_named_as_people_do_and_seven_are_seven(
    since: str, until: str, first: str, last: str
) -> None:
    named = days(since, until, TODAY)
    assert (str(named.first), str(named.last)) == (first, last)
    assert named.until - named.since == timedelta(days=len(list(named)))


@pytest.mark.parametrize(("since", "until"), [("7", ""), ("0d", ""), ("2026-13-01", ""), ("today", "3d"),
                                              ("2026-11-28", ""), ("0001-01-01", "")])  # fmt: skip
def test_what_names_no_days_is_refused(since: str, until: str) -> None:
    with pytest.raises(typer.BadParameter):
        days(since, until, TODAY)


def test_an_end_that_has_not_come_is_told_by_the_name_of_its_own_option() -> None:
    with pytest.raises(typer.BadParameter, match=r"^--until 2026-12-05 has not begun: .* --since\.$"):
        days("", "2026-12-05", TODAY)


def test_each_of_seven_days_is_a_row_also_where_nothing_was_bought(waybill: Waybill, ledger: Ledger) -> None:
    today = datetime.now(UTC).date()
    ledger.report = ReportResponse(
        lines=[a_line(group=str(today))],
        totals=[ReportTotal(kind=CostKind.COST_KIND_REAL, attempts=2, cost_nano_usd=22_000)],
    )
    told = json.loads(waybill("bill", "--since", "7d", "--by", "day", "--json").stdout)
    assert list(told) == documented("report")
    assert all(list(line) == documented("report line") for line in told["lines"])
    assert [line["group"] for line in told["lines"]] == [
        str(today - timedelta(days=back)) for back in range(6, -1, -1)
    ]
    assert [line["settled_nano_usd"] for line in told["lines"]] == [0] * 6 + [22_000]
    assert ledger.asked[-1].by == Grouping.GROUPING_DAY
    assert ledger.asked[-1].until.seconds - ledger.asked[-1].since.seconds == 7 * 86_400


def test_a_report_shows_quantity_times_price_with_its_date_and_keeps_kinds_apart(
    waybill: Waybill, ledger: Ledger
) -> None:
    ledger.report = ReportResponse(
        lines=[
            a_line(group="a.md", collection="notes", adjusted_nano_usd=-2_000),
            a_line(group="a.md", collection="notes", kind=CostKind.COST_KIND_SIMULATED,
                   in_doubt_nano_usd=5_000),
            a_line(group="", collection="notes", kind=CostKind.COST_KIND_LOCAL, vendor="local",
                   model="word vectors", settled_nano_usd=0),
        ],
        totals=[
            ReportTotal(kind=CostKind.COST_KIND_REAL, attempts=2, cost_nano_usd=20_000),
            ReportTotal(kind=CostKind.COST_KIND_SIMULATED, attempts=2, cost_nano_usd=22_000,
                        in_doubt_nano_usd=5_000),
            ReportTotal(kind=CostKind.COST_KIND_LOCAL, attempts=2),
        ],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in waybill("bill", "--by", "document").stdout.splitlines()]
    assert lines[1:] == [
        "notes/a.md $0.00002 ~$0.000022",
        "openai text-embedding-3-small 2 calls, real",
        "1,100 tokens × $0.02 per million, 2024-01-25 $0.00002",
        "adjusted afterwards -$0.000002",
        "openai text-embedding-3-small 2 calls, simulated",
        "1,100 tokens × $0.02 per million, 2024-01-25 $0.000022",
        "in doubt $0.000005",
        "notes/(no document) $0.00",
        "local word vectors 2 calls, local",
        "1,100 tokens $0.00",
        "─" * 60,
        "total $0.00002",
        "simulated, owed to nobody $0.000022",
        "in doubt $0.000005",
    ]


def test_by_model_says_a_models_name_once_and_long_names_are_whole(waybill: Waybill, ledger: Ledger) -> None:
    ledger.report = ReportResponse(lines=[a_line(group="openai text-embedding-3-small")])
    lines = [" ".join(line.split()) for line in waybill("bill").stdout.splitlines()]
    assert lines[1:3] == ["openai text-embedding-3-small $0.000022", "2 calls, real"]
    long = "/".join(f"folder {number}" for number in range(20))
    ledger.report = ReportResponse(lines=[a_line(group=long)])
    shown = waybill("bill", "--by", "document").stdout
    assert long.replace(" ", "") in "".join(shown.split())
    assert "…" not in shown


def test_what_local_work_would_cost_stands_beside_it_where_asked_for(
    waybill: Waybill, ledger: Ledger
) -> None:
    local = {
        "kind": CostKind.COST_KIND_LOCAL,
        "vendor": "local",
        "model": "pdf engine",
        "settled_nano_usd": 0,
    }
    ledger.report = ReportResponse(
        lines=[a_line(group="a", **local, would_cost_nano_usd=60_000_000),
               a_line(group="b", **local, would_cost_nano_usd=1_000_000)]
    )  # fmt: skip
    assert "would cost" not in waybill("bill").stdout
    lines = [" ".join(line.split()) for line in waybill("bill", "--would-cost").stdout.splitlines()]
    assert [line for line in lines if "would cost" in line] == [
        "would cost $0.06",
        "would cost $0.001",
        "local work would cost at vendors $0.061",
    ]


def test_what_was_there_stands_beside_what_was_bought_and_is_no_money(
    waybill: Waybill, ledger: Ledger
) -> None:
    ledger.report = ReportResponse(
        lines=[a_line(group="a.md", cached_quantity=2_000, avoided_nano_usd=40_000),
               a_line(group="b.md", attempts=0, quantity=0, settled_nano_usd=0, cached_quantity=1,
                      avoided_nano_usd=20)],
        totals=[ReportTotal(kind=CostKind.COST_KIND_REAL, attempts=2, cost_nano_usd=22_000)],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in waybill("bill", "--by", "document").stdout.splitlines()]
    assert lines[1:-2] == [
        "a.md $0.000022",
        "openai text-embedding-3-small",
        "cached: 2,000 tokens avoided $0.00004",
        "openai text-embedding-3-small 2 calls, real",
        "1,100 tokens × $0.02 per million, 2024-01-25 $0.000022",
        "b.md $0.00",
        "openai text-embedding-3-small",
        "cached: 1 token avoided $0.00000002",
    ]
    assert lines[-1] == "total $0.000022"


def test_days_without_a_purchase_are_said_to_have_none(waybill: Waybill, ledger: Ledger) -> None:
    ledger.report = ReportResponse()
    assert "Nothing was bought" in waybill("bill").stderr


def test_a_report_is_not_csv_and_json_at_once(waybill: Waybill, ledger: Ledger) -> None:
    assert waybill("bill", "--csv", "--json").exit_code == 2
    assert not ledger.asked


def test_a_spreadsheet_takes_no_name_for_a_formula(waybill: Waybill, ledger: Ledger) -> None:
    ledger.report = ReportResponse(
        lines=[
            a_line(group="=HYPERLINK(1)"), a_line(group="plain.md", model="@SUM(1)"),
            a_line(group="＝1+1", collection="\n=1"), a_line(group='a,"b"\n=c'),
        ]
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(waybill("bill", "--by", "document", "--csv").stdout)))
    assert [row["document"] for row in rows] == ["'=HYPERLINK(1)", "plain.md", "'＝1+1", 'a,"b"\n=c']
    assert (rows[1]["model"], rows[2]["collection"]) == ("'@SUM(1)", "'\n=1")
    assert rows[0]["settled_nano_usd"] == "22000"


@pytest.mark.parametrize("by", ["day", "document", "run", "tenant", "service", "model", "collection"])
def test_each_column_of_a_csv_is_there_once_and_names_its_group(
    waybill: Waybill, ledger: Ledger, by: str
) -> None:
    group = {"day": str(datetime.now(UTC).date()), "model": "openai ada"}.get(by, "some name")
    ledger.report = ReportResponse(lines=[a_line(group=group, model="ada")])
    header, row = csv.reader(io.StringIO(waybill("bill", "--by", by, "--csv").stdout))
    assert len(header) == len(set(header))
    assert row[header.index(by)] == ("ada" if by == "model" else group)
    assert (row[header.index("vendor")], row[header.index("model")]) == ("openai", "ada")


def test_an_id_and_days_are_not_asked_for_together(waybill: Waybill, ledger: Ledger) -> None:
    result = waybill("bill", "some-run", "--since", "7d")
    assert result.exit_code == 2
    assert "leave the id out" in " ".join(result.stderr.split())
    assert not ledger.asked


def test_prices_are_listed_with_their_days_and_whose_they_are(waybill: Waybill, ledger: Ledger) -> None:
    ledger.prices = [
        Price(vendor="openai", model="text-embedding-3-small", unit="token", own=True,
              nano_usd_per_million=15_000_000, valid_from="2026-01-01", source="our contract"),
        Price(vendor="llamaparse", model="fast", unit="page", nano_usd_per_million=1_250_000_000_000,
              valid_from="2025-11-01", source="list"),
        Price(vendor="llamaparse", model="credit", unit="microcredit", nano_usd_per_million=1_250_000,
              valid_from="2025-11-01", source="list"),
        Price(vendor="supabase", model="storage size", unit="gigabyte hour", nano_usd_per_million=29_190_000,
              valid_from="2025-11-01", source="list"),
        Price(vendor="local", model="*", unit="page", valid_from="2024-01-01", source="this machine"),
    ]  # fmt: skip
    assert "openai text-embedding-3-small (yours)  " in waybill("prices", COLUMNS="80").stdout
    (told,) = [json.loads(line) for line in waybill("prices", "--json").stdout.splitlines()]
    assert all(list(one) == documented("price") for one in told["prices"])
    lines = [" ".join(line.split()) for line in waybill("prices", COLUMNS="100").stdout.splitlines()]
    assert lines[1:] == [
        "openai text-embedding-3-small (yours) $0.015 million tokens 2026-01-01",
        "llamaparse fast $0.00125 page 2025-11-01",
        "llamaparse credit $0.00125 credit 2025-11-01",
        "supabase storage size $0.02919 million GB hours 2025-11-01",
        "local any work $0.00 million pages 2024-01-01",
    ]


def test_doubts_say_what_for_why_and_how_much_at_most(waybill: Waybill, ledger: Ledger) -> None:
    assert waybill("doubts").stderr.strip() == "Nothing is in doubt."
    ledger.entries = [
        make_entry("run-1", state=Entry.STATE_IN_DOUBT, end_reason="VENDOR_TIMEOUT", document_key="a.md"),
        make_entry("run-2"),
    ]
    (told,) = [json.loads(line) for line in waybill("doubts", "--json").stdout.splitlines()]
    assert [entry["state"] for entry in told["entries"]] == ["IN_DOUBT"]
    assert all(list(entry) == documented("entry") for entry in told["entries"])
    result = waybill("doubts", COLUMNS="120")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    bought = "a.md openai text-embedding-3-small at most $0.00000084 simulated"
    assert lines[0] == f"{bought} {ledger.entries[0].entry_id[:8]}"
    assert re.fullmatch(r"VENDOR_TIMEOUT; held .* ago until .* UTC by embedder/1", lines[1])
    assert lines[2] == "openai cannot be asked"
    assert "waybill reconcile FILE --simulated --adjust" in result.stderr
    # An invoice is the operator's, of whatever tenant the doubt is.
    assert "waybill reconcile FILE --simulated --adjust." in waybill("doubts", "--tenant", "acme").stderr


def test_a_doubt_says_when_its_vendor_is_asked_and_what_it_said(waybill: Waybill, ledger: Ledger) -> None:
    asking = Asking(possible=True, times=2, answer="PARSE_RUNS")
    asking.last_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=5))
    asking.next_time.FromDatetime(datetime.now(UTC) + timedelta(minutes=90))
    ledger.entries = [make_entry("run-1", vendor="llamaparse", state=Entry.STATE_IN_DOUBT, asking=asking)]
    result = waybill("doubts", COLUMNS="120")
    assert "asked 2 ×, last 5 min ago: PARSE_RUNS; llamaparse is asked in 1 h" in result.stdout
    assert "there is nothing to do" in result.stderr


def test_doubts_are_written_off_by_the_beginning_of_their_ids(waybill: Waybill, ledger: Ledger) -> None:
    ids = ["11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "11112222-aaaa-4aaa-8aaa-aaaaaaaaaaaa"]
    ledger.entries = [make_entry("run-1", entry_id=one, state=Entry.STATE_IN_DOUBT) for one in ids]
    assert waybill("doubts", "write-off", "1111", "--reason", "old").exit_code == 5
    unknown = waybill("doubts", "write-off", "3", "--reason", "old")
    assert (unknown.exit_code, "`waybill doubts` lists" in unknown.stderr) == (4, True)
    assert ledger.written_off == []
    result = waybill("doubts", "write-off", "11111", ids[1], "--reason", "old", "--of", "acme")
    assert result.exit_code == 0
    assert [(one.entry_id, one.reason, one.tenant) for one in ledger.written_off] == [
        (one, "old", "acme") for one in ids
    ]
