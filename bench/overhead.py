"""What a step spends on itself, and an RPC on its way, read from traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.stack.process import wait_until

ARRIVAL_SECONDS = 10.0
BETWEEN = "between steps"
EMBED = "EmbedderService/Embed"
_MILLI = 1_000_000


@dataclass(frozen=True)
class Step:
    """One step of one run.

    Attributes:
        name: Without the number of a batch.
        took_ms: From start to end.
        own_ms: With nothing below it under way: engine, own code, own rows.
        rpcs: Calls made below it, by whichever service.
        way_ms: What those calls took beyond their handlers: transport, interceptors, waiting for a loop.
    """

    name: str
    took_ms: float
    own_ms: float
    rpcs: int
    way_ms: float


def steps_of(client: Client, run_ids: Iterable[str]) -> dict[str, Step]:
    """The median of each step over runs, and of the time between steps."""
    found: dict[str, list[Step]] = defaultdict(list)
    for run_id in run_ids:
        for step in _steps(_whole_trace(client, run_id)):
            found[step.name].append(step)
    return {name: _median(steps) for name, steps in found.items()}


def calls_of(client: Client, run_ids: Iterable[str]) -> dict[str, float]:
    """Seconds of each Embed call as its caller sees it, by the ledger entry of the vendor call below it."""
    found: dict[str, float] = {}
    for run_id in run_ids:
        by_id = {span.span_id: span for span in _whole_trace(client, run_id)}
        for span in by_id.values():
            if span.entry_id and (call := _embed_above(span, by_id)):
                found[span.entry_id] = call.duration_nano / _MILLI / 1000
    return found


def _embed_above(span: Span, by_id: Mapping[str, Span]) -> Span | None:
    above: Span | None = span
    while above and not (above.kind == "CLIENT" and above.name.endswith(EMBED)):
        above = by_id.get(above.parent_span_id)
    return above


def _whole_trace(client: Client, run_id: str) -> Sequence[Span]:
    """A trace once two readings agree: spans come a moment after their ends."""
    readings: list[Sequence[Span]] = [()]

    def agree() -> bool:
        readings.append(client.orchestrator.GetTrace(GetTraceRequest(run_id=run_id)).traces[0].spans)
        return len(readings[-1]) == len(readings[-2])

    wait_until(agree, ARRIVAL_SECONDS)
    return readings[-1]


def _steps(spans: Sequence[Span]) -> Iterator[Step]:
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_span_id].append(span)
    root = spans[0]
    steps = children[root.span_id]
    yield Step(BETWEEN, root.duration_nano / _MILLI, _own_ms(root, steps), 0, 0.0)
    for step in steps:
        calls = [span for span in _below(step, children) if span.kind == "CLIENT" and "/" in span.name]
        yield Step(
            name=step.name.split()[0],
            took_ms=step.duration_nano / _MILLI,
            own_ms=_own_ms(step, children[step.span_id]),
            rpcs=len(calls),
            way_ms=sum(_own_ms(call, children[call.span_id]) for call in calls if children[call.span_id]),
        )


def _below(span: Span, children: dict[str, list[Span]]) -> Iterator[Span]:
    for child in children[span.span_id]:
        yield child
        yield from _below(child, children)


def _own_ms(span: Span, children: Sequence[Span]) -> float:
    """A span's time less the union of its children's."""
    covered, until = 0, span.start_unix_nano
    end = span.start_unix_nano + span.duration_nano
    for child in sorted(children, key=lambda child: child.start_unix_nano):
        child_end = min(end, child.start_unix_nano + child.duration_nano)
        covered += max(0, child_end - max(until, child.start_unix_nano))
        until = max(until, child_end)
    return (span.duration_nano - covered) / _MILLI


def _median(steps: Sequence[Step]) -> Step:
    return Step(
        steps[0].name,
        median(step.took_ms for step in steps),
        median(step.own_ms for step in steps),
        round(median(step.rpcs for step in steps)),
        median(step.way_ms for step in steps),
    )
