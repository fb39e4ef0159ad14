"""`waybill bill --focus`: what the FOCUS specification asks of a cost and usage dataset."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from decimal import Decimal

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger
from tests.cli.test_report_command import a_line
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import ReportResponse
from waybill.ledger.v1.report_pb2 import Grouping, ReportLine

# Columns of FOCUS 1.2 by type, with those that may be null: the 21 mandatory ones, and others that we have.
MANDATORY = {
    "BilledCost": "decimal", "BillingAccountId": "text", "BillingAccountName": "text?",
    "BillingCurrency": "text", "BillingPeriodEnd": "moment", "BillingPeriodStart": "moment",
    "ChargeCategory": "text", "ChargeClass": "text?", "ChargeDescription": "text?",
    "ChargePeriodEnd": "moment", "ChargePeriodStart": "moment", "ContractedCost": "decimal",
    "EffectiveCost": "decimal", "InvoiceIssuerName": "text", "ListCost": "decimal",
    "PricingQuantity": "decimal?", "PricingUnit": "text?", "ProviderName": "text", "PublisherName": "text",
    "ServiceCategory": "text", "ServiceName": "text",
}  # fmt: skip
OTHERS = {
    "ChargeFrequency": "text", "ConsumedQuantity": "decimal?", "ConsumedUnit": "text?",
    "ContractedUnitPrice": "decimal?", "ListUnitPrice": "decimal?", "PricingCategory": "text?",
    "SkuId": "text?", "SkuPriceId": "text?", "SubAccountId": "text?", "SubAccountName": "text?",
    "Tags": "json",
}  # fmt: skip
# In every row one of the values that the specification allows.
ALLOWED = {
    "BillingCurrency": {"USD"},
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning", "Storage"},
}


def some_lines() -> list[ReportLine]:
    """Money that is owed, of all vendors, corrected, simulated and in doubt; and local work."""
    day = "2026-11-26"
    return [
        a_line(
            group="2026-10-31", vendor="supabase", model="egress", unit="byte", quantity=10**9,
            price_nano_usd_per_million=90_000, settled_nano_usd=90_000_000,
        ),
        a_line(group=day, in_doubt_nano_usd=5_000),
        a_line(
            group=day, vendor="llamaparse", model="fast", unit="page", quantity=2, attempts=1,
            price_nano_usd_per_million=1_250_000_000_000, settled_nano_usd=2_500_000,
            adjusted_nano_usd=-1_250_000, price_source="=HYPERLINK(1)",
        ),
        a_line(group=day, kind=CostKind.COST_KIND_SIMULATED, settled_nano_usd=7_000),
        a_line(group=day, kind=CostKind.COST_KIND_LOCAL, vendor="local", settled_nano_usd=0),
    ]  # fmt: skip


def exported(waybill: Waybill, ledger: Ledger) -> list[dict[str, str]]:
    ledger.report = ReportResponse(lines=some_lines())
    days = ("--since", "2026-10-01", "--until", "2026-11-26")
    return list(csv.DictReader(io.StringIO(waybill("bill", "--focus", *days).stdout)))


def test_every_row_has_the_columns_that_focus_asks_for_in_their_types(
    waybill: Waybill, ledger: Ledger
) -> None:
    rows = exported(waybill, ledger)
    assert ledger.asked[-1].by == Grouping.GROUPING_DAY
    known = MANDATORY | OTHERS
    assert known.keys() <= rows[0].keys()
    assert all(name.startswith("x_") for name in rows[0].keys() - known.keys())
    for row in rows:
        for name, kind in known.items():
            assert is_of(row[name], kind), (name, row[name])
        for name, values in ALLOWED.items():
            assert row[name] in values, (name, row[name])


def is_of(text: str, kind: str) -> bool:
    if not text:
        return kind.endswith("?")
    match kind.rstrip("?"):
        case "decimal":
            return Decimal(text).is_finite() and "E" not in text
        case "moment":
            return text.endswith("Z") and datetime.fromisoformat(text).utcoffset() == timedelta()
        case "json":
            return isinstance(json.loads(text), dict)
    return True


def test_what_is_owed_is_the_cost_and_the_rest_stands_beside_it(waybill: Waybill, ledger: Ledger) -> None:
    rows = exported(waybill, ledger)
    told = [(row["SkuId"], row["ChargeCategory"], row["x_Kind"], row["BilledCost"]) for row in rows]
    assert told == [
        ("egress", "Usage", "real", "0.09"),
        ("text-embedding-3-small", "Usage", "real", "0.000022"),
        ("fast", "Usage", "real", "0.0025"),
        ("fast", "Adjustment", "real", "-0.00125"),
        ("text-embedding-3-small", "Usage", "simulated", "0"),
    ]
    assert [row["x_SimulatedCost"] for row in rows] == ["0", "0", "0", "0", "0.000007"]
    assert rows[1]["x_InDoubtCost"] == "0.000005"
    assert rows[2]["x_PriceSource"] == "'=HYPERLINK(1)"
    for row in rows[:3]:
        assert Decimal(row["PricingQuantity"]) * Decimal(row["ContractedUnitPrice"]) == Decimal(
            row["ContractedCost"]
        )
    assert (rows[1]["PricingUnit"], rows[2]["PricingUnit"]) == ("1000000 Tokens", "Pages")
    assert (rows[0]["BillingPeriodStart"], rows[0]["BillingPeriodEnd"]) == (
        "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z",
    )  # fmt: skip


def test_focus_has_a_row_for_each_day_and_is_no_other_form(waybill: Waybill, ledger: Ledger) -> None:
    assert waybill("bill", "--focus", "--by", "model").exit_code == 2
    assert waybill("bill", "--focus", "--csv").exit_code == 2
    assert not ledger.asked
    ledger.report = ReportResponse()
    assert waybill("bill", "--focus").stdout.count("\n") == 1


def test_a_table_without_a_row_says_why(waybill: Waybill, ledger: Ledger) -> None:
    day = "2026-11-26"
    asked = ("bill", "--focus", "--since", day, "--until", day)
    ledger.report = ReportResponse()
    assert "nothing was done on these days" in " ".join(waybill(*asked).stderr.split())
    local = a_line(group=day, kind=CostKind.COST_KIND_LOCAL, vendor="local")
    ledger.report = ReportResponse(lines=[local])
    result = waybill(*asked)
    assert len(result.stdout.splitlines()) == 1
    told = " ".join(result.stderr.split())
    assert "this machine did all the work" in told
    assert f"bill --since {day} --until {day} --would-cost" in told
    ledger.report = ReportResponse(lines=[local, a_line(group=day)])
    assert waybill(*asked).stderr == ""
