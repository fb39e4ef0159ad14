"""`waybill forecast`: what today, this week or this month will have cost at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli import forecasting
from waybill.cli.forecasting import MOST_DAYS, Forecast, Window
from waybill.cli.objects import KINDS, Shape
from waybill.cli.report import By, Report, report_of
from waybill.cli.screen import counted, spread
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.spans import Days
from waybill.common.v1.cost_pb2 import CostKind
from waybill.money import dollars
from waybill.runtime.clock import utc_now
from waybill.runtime.identity import DEFAULT_TENANT

_ONE = timedelta(days=1)
# No sum is ever made of the two.
_OWED = (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)


def forecast(
    window: Annotated[
        Window, typer.Argument(help=f"Up to whose end: {', '.join(Window)}.", metavar="WINDOW")
    ] = Window.MONTH,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Forecast what today, this week or this month will cost, with its range and how sure that is."""
    now = utc_now()
    today = now.date()
    first, last = window.of(today)
    with session(tenant, as_json) as here:
        asked = Days(min(first, today - MOST_DAYS * _ONE), today)
        report = report_of(reachable(here.client, "ledger"), asked, By.DAY)
        told = _by_kind(report, today, first, last, now)
        if as_json:
            here.screen.emit(_object(window, first, last, told))
            return
        here.screen.show(Text(f"{window.value} up to the end of {last} (UTC)", "bold"))
        for kind, found in told.items():
            here.screen.show(*_lines(KINDS[kind], found, here.screen.page_width))


def _by_kind(
    report: Report, today: date, first: date, last: date, now: datetime
) -> Mapping[CostKind, Forecast]:
    """Real money, and simulated money where there is any."""
    costs: defaultdict[CostKind, dict[date, int]] = defaultdict(dict)
    for line in report.lines:
        if line.kind in _OWED:
            day, of_kind = date.fromisoformat(line.group), costs[line.kind]
            of_kind[day] = of_kind.get(day, 0) + line.settled_nano_usd + line.adjusted_nano_usd
    found = {}
    for kind in _OWED:
        if kind in costs or kind == CostKind.COST_KIND_REAL:
            by_day = costs[kind]
            past = [by_day.get(day, 0) for day in report.days if day < today]
            spent = sum(cost for day, cost in by_day.items() if first <= day)
            found[kind] = forecasting.forecast(past, spent, forecasting.days_left(now, last))
    return found


def _object(window: Window, first: date, last: date, told: Mapping[CostKind, Forecast]) -> Shape:
    days = Days(first, last)
    return {
        "window": window.value,
        "since": days.since.isoformat().replace("+00:00", "Z"),
        "until": days.until.isoformat().replace("+00:00", "Z"),
        "forecasts": [
            {
                "kind": KINDS[kind],
                "spent_nano_usd": found.spent,
                "expected_nano_usd": found.expected,
                "low_nano_usd": found.low,
                "high_nano_usd": found.high,
                "days": found.days,
                "sure": found.sure,
            }
            for kind, found in told.items()
        ],
    }


def _lines(kind: str, found: Forecast, width: int) -> Iterator[Text]:
    yield spread(Text(f"{kind}, spent so far", "bold"), dollars(found.spent), width)
    if found.expected is None:
        yield Text(f"  no forecast: nothing was bought in the {MOST_DAYS} days before today")
        return
    yield spread("  forecast", dollars(found.expected), width)
    if found.low is not None and found.high is not None:
        yield spread("  8 times of 10 within", f"{dollars(found.low)} to {dollars(found.high)}", width)
    yield Text(f"  {found.sure}, from {counted(found.days, 'day')}")
