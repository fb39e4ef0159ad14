"""`waybill bill` without an id: what was spent on some days, by whatever one asks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from rich.text import Text

from waybill.cli.money import Figures, unit_price
from waybill.cli.objects import KINDS, Shape, told
from waybill.cli.paging import pages
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, plain_console, spread
from waybill.cli.spans import Days
from waybill.client import Client
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import ReportRequest
from waybill.ledger.v1.report_pb2 import ReportLine, ReportTotal
from waybill.money import dollars

_PAGE = 2_000
# A spreadsheet takes text that begins so for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AMOUNTS = ("attempts", "quantity", "settled_nano_usd", "adjusted_nano_usd", "held_nano_usd",
            "in_doubt_nano_usd", "written_off_nano_usd", "would_cost_nano_usd", "cached_quantity",
            "avoided_nano_usd")  # fmt: skip


class By(StrEnum):
    """What a report sums over."""

    DAY = "day"
    DOCUMENT = "document"
    RUN = "run"
    TENANT = "tenant"
    SERVICE = "service"
    MODEL = "model"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class Report:
    """What was spent.

    Attributes:
        days: When.
        by: What its lines are sums over.
        lines: In the order of their groups; a day without any has one without figures.
        totals: One a kind of money.
    """

    days: Days
    by: By
    lines: Sequence[ReportLine]
    totals: Sequence[ReportTotal]


def report_of(client: Client, days: Days, by: By) -> Report:
    """Asks the ledger."""
    request = ReportRequest(by=f"GROUPING_{by.name}", page_size=_PAGE)
    request.since.FromDatetime(days.since)
    request.until.FromDatetime(days.until)
    lines: list[ReportLine] = []
    totals: list[ReportTotal] = []
    for answer in pages(client.ledger.Report, request):
        lines += answer.lines
        totals += answer.totals
    return Report(days, by, lines if by is not By.DAY else list(_every_day(days, lines)), totals)


def _every_day(days: Days, lines: Sequence[ReportLine]) -> Iterator[ReportLine]:
    found = {day: list(of_day) for day, of_day in groupby(lines, lambda line: line.group)}
    for day in map(str, days):
        yield from found.get(day) or [ReportLine(group=day)]


def report_object(report: Report) -> Shape:
    """A report, as `bill --json` prints it."""
    return {
        "since": _moment(report.days.since),
        "until": _moment(report.days.until),
        "by": report.by.value,
        "lines": [_line_object(line) for line in report.lines],
        "totals": [told(total) for total in report.totals],
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _line_object(line: ReportLine) -> Shape:
    return {
        "group": line.group,
        "collection": line.collection or None,
        "kind": KINDS.get(line.kind),
        "vendor": line.vendor or None,
        "model": line.model or None,
        "unit": line.unit or None,
        "price_nano_usd_per_million": line.price_nano_usd_per_million,
        "price_date": line.price_date or None,
        "price_source": line.price_source or None,
        **{name: getattr(line, name) for name in _AMOUNTS},
    }


def as_csv(report: Report) -> str:
    """A report as CSV, safe to open in a spreadsheet; money in integer nano-USD."""
    return csv_text(
        list(_csv_row(report.by, ReportLine())), (_csv_row(report.by, one) for one in report.lines)
    )


def _csv_row(by: By, line: ReportLine) -> Shape:
    """A line as JSON has it; what it is a sum over is the column of that name, which no other one has."""
    row = _line_object(line)
    group = row.pop("group")
    if by is By.MODEL:  # it is the vendor and the model, which have columns
        return row
    return {**row, by.value: group} if by.value in row else {by.value: group, **row}


def csv_text(header: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV in which no text is taken for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def show_report(screen: Screen, report: Report, *, would_cost: bool = False) -> None:
    """Prints a report for people: each group, and below it quantity × price of what was bought.

    Args:
        screen: Where to.
        report: What was spent.
        would_cost: Say beside the work of local engines what a vendor would charge for it.
    """
    first, last, width = report.days.first, report.days.last, screen.page_width
    when = str(first) if first == last else f"{first} to {last}"
    screen.show(Text(f"{when} (UTC) by {report.by.value}", "bold"))
    for _, lines in groupby(report.lines, lambda line: (line.group, line.collection)):
        screen.show(*_group(report.by, list(lines), width, would_cost))
    owed = [total for total in report.totals if total.kind != CostKind.COST_KIND_LOCAL]
    screen.show(Text("─" * width, "dim"))
    for total in owed or [ReportTotal(kind=CostKind.COST_KIND_REAL)]:
        screen.show(*_sums(total, width))
    if would_cost and (amount := sum(line.would_cost_nano_usd for line in report.lines)):
        screen.show(spread("local work would cost at vendors", dollars(amount), width))
    if not any(line.attempts or line.cached_quantity for line in report.lines):
        screen.note(f"Nothing was bought then. Earlier: {screen.command('bill --since 30d --by day')}")


def _group(by: By, lines: Sequence[ReportLine], width: int, would_cost: bool) -> Iterator[Text]:
    line = lines[0]
    name = plain(line.group) or f"(no {by.value})"
    if line.collection:
        name = f"{plain(line.collection)}/{name}"
    real, simulated = (
        sum(_cost(line) for line in lines if line.kind == kind)
        for kind in (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)
    )
    figures = Figures(cost_nano_usd=real, simulated_nano_usd=simulated)
    yield from _headed(Text(name, "bold"), figures.short(), width)
    for line in lines:
        if line.cached_quantity:
            yield from _cached(by, line, width)
        if line.attempts:
            yield from _bought(by, line, width)
            if would_cost and line.would_cost_nano_usd:
                yield spread("    would cost", dollars(line.would_cost_nano_usd), width)


def _headed(name: Text, amount: str, width: int) -> Iterator[Text]:
    """A name and its amount on a line; a name that does not fit has lines of its own, and is not cut."""
    room = width - len(amount) - 2
    if name.cell_len <= room:
        yield spread(name, amount, width)
        return
    yield from name.wrap(plain_console(), width, overflow="fold")
    yield spread("", amount, width)


def _cached(by: By, line: ReportLine, width: int) -> Iterator[Text]:
    """What was there: no money, so that it stands in no sum."""
    if by is not By.MODEL:
        yield Text(f"  {plain(line.vendor)} {plain(line.model)}", "cyan")
    quantity = f"    cached: {counted(line.cached_quantity, plain(line.unit))}"
    avoided = f"avoided {dollars(line.avoided_nano_usd)}" if line.avoided_nano_usd else ""
    yield spread(Text(quantity, "dim"), Text(avoided, "dim"), width)


def _bought(by: By, line: ReportLine, width: int) -> Iterator[Text]:
    kind = KINDS.get(line.kind, "unknown")
    repeats = f"{counted(line.attempts, 'call')}, {kind}"
    if by is By.MODEL:  # the group has its name
        yield Text(f"  {repeats}")
    else:
        yield spread(Text(f"  {plain(line.vendor)} {plain(line.model)}", "cyan"), repeats, width)
    quantity = counted(line.quantity, plain(line.unit))
    if line.kind != CostKind.COST_KIND_LOCAL:
        since = f", {line.price_date}" if line.price_date else ""
        quantity += f" × {unit_price(line.price_nano_usd_per_million)}{since}"
    yield spread(f"    {quantity}", dollars(_cost(line)), width)
    for what, amount in (
        ("adjusted afterwards", line.adjusted_nano_usd),
        ("held", line.held_nano_usd),
        ("in doubt", line.in_doubt_nano_usd),
        ("written off", line.written_off_nano_usd),
    ):
        if amount:
            yield spread(f"      {what}", dollars(amount), width)


def _cost(line: ReportLine) -> int:
    return int(line.settled_nano_usd + line.adjusted_nano_usd)


def _sums(total: ReportTotal, width: int) -> Iterator[Text]:
    simulated = total.kind == CostKind.COST_KIND_SIMULATED
    name = "simulated, owed to nobody" if simulated else "total"
    yield spread(
        Text(name, "bold"), Text(dollars(total.cost_nano_usd), "yellow" if simulated else "bold"), width
    )
    for what, amount in (
        ("held", total.held_nano_usd),
        ("in doubt", total.in_doubt_nano_usd),
        ("written off", total.written_off_nano_usd),
    ):
        if amount:
            yield spread(f"  {what}", dollars(amount), width)
