"""Spans are kept until a collector has taken them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig
from waybill.runtime.telemetry import SpanQueue, Telemetry

NOBODY = "http://127.0.0.1:9"


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
    eventually(lambda: len(collector.taken) == 10, "the collector has taken all")
    telemetry.shutdown()
    assert collector.taken == [str(number) for number in range(10)]


def test_what_is_queued_is_bounded() -> None:
    class Closed(Collector):
        def __init__(self) -> None:
            super().__init__(0)
            self.open = threading.Event()

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.open.wait(PATIENCE_SECONDS)
            return super().export(spans)

    collector = Closed()
    telemetry = Telemetry("test", [queue(collector, capacity=5)])
    for number in range(20):
        telemetry.tracer.start_span(str(number)).end()
    collector.open.set()
    eventually(lambda: "19" in collector.taken, "the last one is taken")
    telemetry.shutdown()
    assert collector.taken[-1] == "19"
    assert len(collector.taken) <= 10


@pytest.mark.parametrize(
    ("environ", "read"),
    [
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": NOBODY}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_METRICS_EXPORTER": "none"}, False),
        ({}, False),
    ],
)
def test_a_gauge_and_a_counter_are_read_where_the_standard_variables_want_metrics(
    environ: dict[str, str], read: bool
) -> None:
    reads: list[int] = []
    config = ServerConfig.read(Settings(environ), "test", 0)
    telemetry = Telemetry.to_collectors("test", [], config.metrics)

    def now() -> int:
        reads.append(1)
        return 1

    telemetry.gauge("waybill.test", now, {})
    telemetry.counter("waybill.test.count", now)
    telemetry.shutdown()
    assert len(reads) >= 2 if read else not reads
