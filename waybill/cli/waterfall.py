"""A trace as a waterfall: one line a span, its bar where it lay in time. Fits 60 columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from waybill.cli.durations import spent
from waybill.cli.money import Figures
from waybill.cli.plain import plain
from waybill.cli.screen import spread
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceResponse
from waybill.orchestrator.v1.span_pb2 import Span

MOST_WIDTH = 120
_DURATION_WIDTH = 7
_DEEPEST_INDENT = 8
_MARKS = {"ERROR": "×", "CANCELLED": "-"}
_LEGEND = {
    "!": "! interrupted: its process died",
    "×": "× failed",
    "-": "- cancelled",
    "~": "~ simulated, owed to nobody",
}


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    service: str
    mark: str
    span: Span
    cost: str


def waterfall(trace: GetTraceResponse.Trace, width: int) -> Iterator[Text]:
    """Lines of the picture: head, one a span, legend of the marks that stand there."""
    width = min(width, MOST_WIDTH)
    rows = [_row(depth, span) for depth, span in _tree(trace.spans)]
    start, whole = _extent(trace.spans)
    yield spread(Text(f"trace {plain(trace.trace_id)}", "bold"), spent(whole), width)
    yield Text(f"run   {plain(trace.run_id)}", "dim")
    service_width = max((Text(row.service).cell_len for row in rows), default=0)
    cost_width = max((len(row.cost) for row in rows), default=0)
    left = width - service_width - cost_width - _DURATION_WIDTH - 6
    bar_width = max(6, left // 2)
    for row in rows:
        yield Text.assemble(
            (f"{row.mark} ", "bold red"),
            _cell(row.label, max(8, left - bar_width)),
            " ",
            _cell(row.service, service_width, "dim"),
            " ",
            (_bar(row.span, start, whole, bar_width), "yellow" if row.cost else "green"),
            f" {spent(row.span.duration_nano):>{_DURATION_WIDTH}}",
            f" {row.cost:>{cost_width}}" if cost_width else "",
        )
    shown = {row.mark for row in rows} | {row.cost[:1] for row in rows}
    yield from (Text(text, "dim") for mark, text in _LEGEND.items() if mark in shown)


def _row(depth: int, span: Span) -> _Row:
    mark = "!" if span.interrupted else _MARKS.get(span.status, " ")
    figures = Figures(span.cost_nano_usd, span.simulated_nano_usd)
    cost = figures.short() if span.cost_nano_usd or span.simulated_nano_usd else ""
    # An RPC's span is named package.Service/Method; beside the service's column the method is enough.
    label = " " * min(depth, _DEEPEST_INDENT) + plain(span.name).rpartition("/")[2]
    return _Row(label, plain(span.service), mark, span, cost)


def _tree(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Spans below their parents, each level by start; one whose parent is not here stands at the top."""
    known = {span.span_id for span in spans}
    below: defaultdict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start_unix_nano, span.span_id), reverse=True):
        below[span.parent_span_id if span.parent_span_id in known else ""].append(span)
    waiting = [(0, span) for span in below.pop("", [])]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in below.pop(span.span_id, [])]


def _extent(spans: Sequence[Span]) -> tuple[int, int]:
    start = min((span.start_unix_nano for span in spans), default=0)
    end = max((span.start_unix_nano + span.duration_nano for span in spans), default=0)
    return start, end - start


def _bar(span: Span, start: int, whole: int, width: int) -> str:
    if not whole:
        return "█".ljust(width)
    first = min(width - 1, (span.start_unix_nano - start) * width // whole)
    length = max(1, round(span.duration_nano * width / whole))
    return (" " * first + "█" * length)[:width].ljust(width)


def _cell(text: str, width: int, style: str = "") -> Text:
    cell = Text(text, style)
    cell.truncate(width, overflow="ellipsis", pad=True)
    return cell
