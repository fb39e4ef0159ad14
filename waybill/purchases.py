"""What an attempt buys, and the span that shows it."""

from __future__ import annotations

import dataclasses

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import entry_pb2, ledger_service_pb2
from waybill.runtime import identity, semconv
from waybill.runtime.channel import caller_attributes
from waybill.runtime.telemetry import remote_parent, span_id


@dataclasses.dataclass(frozen=True)
class Purchase:
    """What an attempt buys.

    Attributes:
        spend_key: What is bought, by meaning; see the ledger's Entry.
        operation: "parse" or "embed".
        vendor: Whose price it is.
        model: Model or tier that sets the price.
        unit: "page" or "token".
        quantity: Units expected.
        kind: Whether it is owed.
        size_bytes: What is sent to the vendor; budgets of bytes count it.
        would_buy: The same work at a vendor, where a local engine does it.
    """

    spend_key: str
    operation: str
    vendor: str
    model: str
    unit: str
    quantity: int
    kind: CostKind
    size_bytes: int = 0
    would_buy: ledger_service_pb2.Offer | None = None


def started(tracer: Tracer, purchase: Purchase, entry: entry_pb2.Entry) -> trace.Span:
    """Begins the span of an attempt that this process makes, below the span that is current."""
    with span_id(_span_id(entry)):
        return tracer.start_span(
            f"{purchase.operation} {purchase.model}",
            kind=SpanKind.CLIENT,
            attributes=_attributes(entry, identity.caller()),
        )


def record(tracer: Tracer, entry: entry_pb2.Entry) -> None:
    """Makes the span of an entry that has ended; again, it is the same span."""
    spender = dataclasses.replace(
        identity.caller(),
        run_id=entry.run_id,
        correlation_id=entry.correlation_id,
        step_span_id=entry.span.step_span_id,
    )
    link = entry.span
    with span_id(_span_id(entry)):
        span = tracer.start_span(
            f"{entry.operation} {entry.model}",
            context=remote_parent(link.trace_id, link.parent_span_id) if link.trace_id else None,
            kind=SpanKind.CLIENT,
            start_time=entry.hold_time.ToNanoseconds(),
            attributes=_attributes(entry, spender),
        )
    if entry.state != entry_pb2.Entry.STATE_SETTLED:
        span.set_status(Status(StatusCode.ERROR, entry.end_reason))
    describe(span, entry)
    span.end(entry.end_time.ToNanoseconds())


def describe(span: trace.Span, entry: entry_pb2.Entry) -> None:
    """Says on an attempt's span what it cost in the end."""
    span.set_attribute(semconv.COST_NANO_USD, entry.reported_nano_usd + entry.adjusted_nano_usd)
    span.set_attribute(semconv.COST_KIND, CostKind.Name(entry.kind))
    unit = semconv.PAGES if entry.unit == "page" else semconv.GEN_AI_INPUT_TOKENS
    span.set_attribute(unit, entry.quantity)


def _span_id(entry: entry_pb2.Entry) -> str:
    """The id of an attempt's span; stable across processes."""
    return entry.entry_id.replace("-", "")[:16]


def _attributes(entry: entry_pb2.Entry, spender: identity.Caller) -> dict[str, str | int]:
    return {
        semconv.ENTRY_ID: entry.entry_id,
        semconv.SPEND_KEY: entry.spend_key,
        semconv.ATTEMPT: entry.attempt,
        semconv.GEN_AI_OPERATION: entry.operation,
        semconv.GEN_AI_PROVIDER: entry.vendor,
        semconv.GEN_AI_MODEL: entry.model,
        **caller_attributes(spender),
    }
