"""Spans are kept until a collector has taken them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from waybill.runtime.telemetry import SpanQueue, Telemetry


class Collector(SpanExporter):
    """Refuses the first batches, then takes all."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.taken: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.refusals:
            self.refusals -= 1
            return SpanExportResult.FAILURE
        self.taken += [span.name for span in spans]
        return SpanExportResult.SUCCESS


def queue(collector: SpanExporter, capacity: int = 100) -> SpanQueue:
    return SpanQueue(collector, delay_seconds=0.001, retry_seconds=0.001, capacity=capacity)


def test_spans_outlive_a_collector_that_is_away_and_keep_their_order() -> None:
    collector = Collector(refusals=5)
    telemetry = Telemetry("test", [queue(collector)])
    for number in range(10):
        telemetry.tracer.start_span(str(number)).end()
    telemetry.shutdown()
    assert collector.taken == [str(number) for number in range(10)]


def test_what_is_queued_is_bounded() -> None:
    class Closed(Collector):
        def __init__(self) -> None:
            super().__init__(0)
            self.open = threading.Event()

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.open.wait(10)
            return super().export(spans)

    collector = Closed()
    telemetry = Telemetry("test", [queue(collector, capacity=5)])
    for number in range(20):
        telemetry.tracer.start_span(str(number)).end()
    collector.open.set()
    telemetry.shutdown()
    assert collector.taken[-1] == "19"
    assert len(collector.taken) <= 10
