"""Traces for another viewer: the spans of a run that no process has sent, once the run has ended.

Each process sends its live spans itself. Their parents, the run and its steps, are rows, and are sent from
here. A span that died with its process gets a stand-in, so that no parent is missing. Where such a span had
reached the viewer but not us, the viewer shows both. The run's row notes what was sent, in the same
transaction, so a restart goes on where the last process stopped.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.orchestrator.runs.rows import Row
from services.orchestrator.traces import ids as trace_ids
from services.orchestrator.traces.reading import SERVICE, Parts, Traces, assemble, nanos
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime import identity, semconv
from waybill.runtime.errors import Unavailable
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database
from waybill.runtime.telemetry import EXPORT_TIMEOUT_SECONDS, unrecorded

# Live spans come in before a run's own are sent: what is missing then was lost. After a crash of ours the
# others take a while to find us again.
LATE_SECONDS, LATE_AFTER_CRASH_SECONDS = 3, 15
LOOK_SECONDS = 1.0
RUNS = 20
# A viewer that is told of only now is not sent the whole past.
DUE = """
select * from waybill_runs.runs
where ended_at > clock_timestamp() - interval '1 day' and exported_tries < tries
    and ended_at < clock_timestamp() - make_interval(secs => case when starts > 1 then %s else %s end)
order by ended_at limit %s for no key update skip locked
"""
SENT = "update waybill_runs.runs set exported_tries = tries where run_id = any(%s)"
_propagator = TraceContextTextMapPropagator()


@asynccontextmanager
async def exporting(viewer: str, owner_database_url: str, traces: Traces) -> AsyncIterator[None]:
    """Sends to the viewer (host:port) for the length of a block; empty: nothing is sent."""
    if not viewer:
        yield
        return
    exporter = OTLPSpanExporter(endpoint=viewer, insecure=True, timeout=EXPORT_TIMEOUT_SECONDS)
    async with (
        Database.opened(owner_database_url, max_size=1) as owner,
        repeating("trace export", Sender(owner, traces, exporter).turn, LOOK_SECONDS),
    ):
        yield


class Sender:
    """Sends what is due."""

    def __init__(self, owner: Database, traces: Traces, exporter: SpanExporter) -> None:
        self._owner = owner
        self._traces = traces
        self._exporter = exporter

    async def turn(self) -> None:
        """Sends all that is due. Raises Unavailable where the viewer does not take it; it stays due."""
        while await self._some() == RUNS:
            pass

    async def _some(self) -> int:
        async with self._owner.transaction(None) as connection:
            limits = [LATE_AFTER_CRASH_SECONDS, LATE_SECONDS, RUNS]
            due = await (await connection.execute(DUE, limits)).fetchall()
            spans = [span for run in due for span in spans_to_send(run, await self._parts(run))]
            if spans and not await asyncio.to_thread(self._taken, spans):
                raise Unavailable(
                    "VIEWER_UNAVAILABLE", "The viewer of traces did not take the spans of runs."
                )
            await connection.execute(SENT, [[run["run_id"] for run in due]])
        return len(due)

    async def _parts(self, run: Row) -> Parts:
        # Nobody wants to see in a viewer how the viewer is fed.
        token = otel_context.attach(unrecorded())
        try:
            with identity.acting_as(identity.Caller(run["tenant"], run["correlation_id"])):
                return await self._traces.parts(run)
        finally:
            otel_context.detach(token)

    def _taken(self, spans: Sequence[ReadableSpan]) -> bool:
        return self._exporter.export(spans) is SpanExportResult.SUCCESS


def spans_to_send(run: Row, parts: Parts) -> Iterator[ReadableSpan]:
    """What a viewer lacks of the run's tries that were not sent yet, as OpenTelemetry has it."""
    whole = assemble(run, parts, now_unix_nano=nanos(run["ended_at"]))
    known, live = {span.span_id for span in whole}, {row["span_id"] for row in parts.live}
    lacking = [span for span in whole if span.span_id not in live]
    lacking += _stand_ins(parts.live, known, root_span_id=whole[0].span_id)
    begun = [nanos(row["started_at"]) for row in parts.steps if row["try"] > run["exported_tries"]]
    since = min(begun, default=nanos(run["ended_at"])) if run["exported_tries"] else 0
    costs = _costs(run, parts)
    for span in lacking:
        if span.start_unix_nano >= since:
            yield _readable(
                run, span, costs.get(span.span_id) or (span.cost_nano_usd, span.simulated_nano_usd)
            )


def _stand_ins(live: Sequence[Row], known: set[str], root_span_id: str) -> Iterator[Span]:
    """A span for each that is a parent, and was lost with its process: it covers what is below it."""
    below: defaultdict[str, list[Row]] = defaultdict(list)
    for row in live:
        if row["parent_span_id"] not in known:
            below[row["parent_span_id"]].append(row)
    for lost, rows in below.items():
        step = rows[0]["step_span_id"]
        start = min(row["start_unix_nano"] for row in rows)
        end = max(row["start_unix_nano"] + row["duration_nano"] for row in rows)
        yield Span(
            span_id=lost,
            parent_span_id=step if step in known else root_span_id,
            name="interrupted",
            kind="INTERNAL",
            start_unix_nano=start,
            duration_nano=end - start,
            status="ERROR",
            interrupted=True,
        )


def _costs(run: Row, parts: Parts) -> dict[str, tuple[int, int]]:
    """What the run and each of its steps have cost, real and simulated, by span."""
    costs: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for entry in parts.entries:
        amount = entry.adjusted_nano_usd
        if entry.state == Entry.STATE_SETTLED:
            amount += entry.reported_nano_usd
        real = entry.kind == CostKind.COST_KIND_REAL
        for span_id in (trace_ids.root_span_id(str(run["run_id"])), entry.span.step_span_id):
            cost, simulated = costs[span_id]
            costs[span_id] = (cost + amount, simulated) if real else (cost, simulated + amount)
    return costs


def _readable(run: Row, span: Span, cost: tuple[int, int]) -> ReadableSpan:
    def context(span_id: str) -> SpanContext:
        trace_id = int(trace_ids.trace_id(str(run["run_id"])), 16)
        return SpanContext(trace_id, int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))

    failed = span.status in ("ERROR", "CANCELLED")
    return ReadableSpan(
        name=span.name,
        context=context(span.span_id),
        parent=context(span.parent_span_id) if span.parent_span_id else None,
        resource=Resource({"service.name": span.service or SERVICE}),
        attributes={
            semconv.TENANT: run["tenant"],
            semconv.RUN_ID: str(run["run_id"]),
            semconv.CORRELATION_ID: run["correlation_id"],
            semconv.DOCUMENT_KEY: run["document_key"],
            semconv.RUN_STATE: run["state"],
            semconv.COST_NANO_USD: cost[0],
            semconv.COST_SIMULATED_NANO_USD: cost[1],
            semconv.INTERRUPTED: span.interrupted,
        },
        links=() if span.parent_span_id else _links(run["caller_traceparent"]),
        kind=SpanKind[span.kind],
        status=Status(StatusCode.ERROR, run["reason"] or None) if failed else Status(StatusCode.OK),
        start_time=span.start_unix_nano,
        end_time=span.start_unix_nano + span.duration_nano,
    )


def _links(traceparent: str) -> Sequence[Link]:
    """From a run to the call that asked for it, which is in its caller's trace."""
    context = get_current_span(_propagator.extract({"traceparent": traceparent})).get_span_context()
    return [Link(context)] if context.is_valid else []
