"""A report as FOCUS, the FinOps Open Cost and Usage Specification 1.2 (focus.finops.org), in CSV.

Every mandatory column of 1.2 is there, and of the others those that have something to say. What FOCUS has no
column for begins with `x_`. Costs are what is owed: simulated money is in `x_SimulatedCost` alone, what is
held or in doubt is in columns of its own, and the work of local engines has no row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from waybill.cli.money import priced
from waybill.cli.objects import KINDS
from waybill.cli.report import Report, csv_text
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.report_pb2 import ReportLine

_BILLION, _MILLION = Decimal(10**9), 10**6
# As its unit format has them.
_UNITS = {"token": "Tokens", "page": "Pages", "byte": "B", "gigabyte hour": "GB-Hours"}
_NAMES = {"openai": "OpenAI", "llamaparse": "LlamaIndex", "supabase": "Supabase"}
_SERVICES = {"openai": "OpenAI API", "llamaparse": "LlamaParse", "supabase": "Supabase Storage"}
Row = Mapping[str, object]


def as_focus(report: Report, tenant: str) -> str:
    """A report by day as FOCUS CSV, safe to open in a spreadsheet; USD, exact to the nano-dollar.

    Args:
        report: Its lines are by day.
        tenant: Whose it is.
    """
    rows = [row for line in _done(report) for row in _rows(line, tenant)]
    return csv_text(list(_usage(ReportLine(group="1970-01-01"), tenant)), rows)


def without_rows(report: Report) -> str:
    """Why a report has no row, in a sentence; empty where it has some."""
    done = _done(report)
    if not done:
        return "No row: nothing was done on these days."
    if all(line.kind == CostKind.COST_KIND_LOCAL for line in done):
        return "No row: this machine did all the work of these days, and FOCUS has what vendors charge."
    return ""


def _done(report: Report) -> Sequence[ReportLine]:
    """Lines that say something; a day on which nothing was done has one, too."""
    return [line for line in report.lines if line.attempts or line.cached_quantity]


def _rows(line: ReportLine, tenant: str) -> Iterator[Row]:
    if line.kind == CostKind.COST_KIND_LOCAL:
        return
    usage = _usage(line, tenant)
    yield usage
    if line.adjusted_nano_usd:
        yield _adjustment(usage, line)


def _usage(line: ReportLine, tenant: str) -> Row:
    """What was bought of one thing on one day, at one price."""
    day = date.fromisoformat(line.group)
    month = day.replace(day=1)
    simulated = line.kind == CostKind.COST_KIND_SIMULATED
    cost = _usd(0 if simulated else line.settled_nano_usd)
    _, by_million = priced(line.price_nano_usd_per_million)
    unit = _UNITS.get(line.unit, line.unit.title())
    price = _usd(line.price_nano_usd_per_million) / (1 if by_million else _MILLION)
    vendor = _NAMES.get(line.vendor, line.vendor)
    return {
        "BilledCost": cost,
        # The account's own number is the vendor's to know.
        "BillingAccountId": line.vendor,
        "BillingAccountName": vendor,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _moment((month + timedelta(days=31)).replace(day=1)),
        "BillingPeriodStart": _moment(month),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{line.model}: {line.quantity} {unit}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _moment(day + timedelta(days=1)),
        "ChargePeriodStart": _moment(day),
        "ConsumedQuantity": line.quantity,
        "ConsumedUnit": unit,
        "ContractedCost": cost,
        "ContractedUnitPrice": _plain(price),
        "EffectiveCost": cost,
        "InvoiceIssuerName": vendor,
        "ListCost": cost,
        "ListUnitPrice": _plain(price),
        "PricingCategory": "Standard",
        "PricingQuantity": _plain(Decimal(line.quantity) / (_MILLION if by_million else 1)),
        "PricingUnit": f"{_MILLION} {unit}" if by_million else unit,
        "ProviderName": vendor,
        "PublisherName": vendor,
        "ServiceCategory": "Storage" if line.vendor == "supabase" else "AI and Machine Learning",
        "ServiceName": _SERVICES.get(line.vendor, vendor),
        "SkuId": line.model,
        "SkuPriceId": f"{line.model} {line.price_date}".rstrip(),
        "SubAccountId": tenant,
        "SubAccountName": tenant,
        "Tags": json.dumps({"tenant": tenant}),
        "x_Kind": KINDS.get(line.kind),
        "x_Attempts": line.attempts,
        "x_SimulatedCost": _usd(line.settled_nano_usd if simulated else 0),
        "x_HeldCost": _usd(line.held_nano_usd),
        "x_InDoubtCost": _usd(line.in_doubt_nano_usd),
        "x_WrittenOffCost": _usd(line.written_off_nano_usd),
        "x_CachedQuantity": line.cached_quantity,
        "x_AvoidedCost": _usd(line.avoided_nano_usd),
        "x_PriceDate": line.price_date or None,
        "x_PriceSource": line.price_source or None,
    }


def _adjustment(usage: Row, line: ReportLine) -> Row:
    """What the vendor charged more or less in the end: without a price or a quantity of its own."""
    simulated = line.kind == CostKind.COST_KIND_SIMULATED
    cost, nothing = _usd(0 if simulated else line.adjusted_nano_usd), _usd(0)
    changed: Row = {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **dict.fromkeys(
            ("ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory",
             "PricingQuantity", "PricingUnit")
        ),
        **dict.fromkeys(("x_HeldCost", "x_InDoubtCost", "x_WrittenOffCost", "x_AvoidedCost"), nothing),
        "x_CachedQuantity": 0,
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"{line.model}: charged otherwise than reported at first",
        "x_Attempts": 0,
        "x_SimulatedCost": _usd(line.adjusted_nano_usd if simulated else 0),
    }  # fmt: skip
    return {**usage, **changed}


def _usd(nano_usd: int) -> Decimal:
    return _plain(Decimal(nano_usd) / _BILLION)


def _plain(number: Decimal) -> Decimal:
    """The same, without an exponent and without zeros that say nothing."""
    return Decimal(f"{number.normalize():f}")


def _moment(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat().replace("+00:00", "Z")
