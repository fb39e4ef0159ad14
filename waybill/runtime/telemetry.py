"""Spans of one process: made here, kept until a collector has taken them.

The stock BatchSpanProcessor drops a batch when its exporter times out, so a restart of the
orchestrator (our own collector) would tear holes into traces; `SpanQueue` keeps it and tries again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

EXPORT_DELAY_SECONDS = 0.05
EXPORT_TIMEOUT_SECONDS = 1.0
RETRY_SECONDS = 0.2
CAPACITY = 20_000
BATCH = 512
log = structlog.get_logger()


class SpanQueue(SpanProcessor):
    """Exports ended spans in batches; keeps up to `capacity` of them while the collector is away.

    Delivery is at least once: collectors must take a span twice.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        delay_seconds: float = EXPORT_DELAY_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        capacity: int = CAPACITY,
    ) -> None:
        self._exporter = exporter
        self._delay = delay_seconds
        self._retry = retry_seconds
        self._queue: deque[ReadableSpan] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._exporting = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="span-queue", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do: only ended spans are exported."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queues a span; when full the oldest is dropped."""
        with self._changed:
            if len(self._queue) == self._queue.maxlen:
                log.warning("span dropped, the collector is away for too long")
            self._queue.append(span)
            self._changed.notify_all()

    def force_flush(self, timeout_millis: int = 5_000) -> bool:
        """Waits until everything queued so far was delivered; False when time ran out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._queue and not self._exporting, timeout_millis / 1000
            )

    def shutdown(self) -> None:
        """Delivers what is queued, for at most 2 s, and stops."""
        self.force_flush(2_000)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=2.0)
        self._exporter.shutdown()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                delivered = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception:
                log.exception("span export failed")
                delivered = False
            with self._changed:
                self._exporting = 0
                if not delivered:
                    self._queue.extendleft(reversed(batch))
                self._changed.notify_all()
                if not delivered and not self._stopping:
                    self._changed.wait_for(lambda: self._stopping, self._retry)

    def _next_batch(self) -> Sequence[ReadableSpan]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            if not self._stopping:
                # Let the neighbours of the first span join its batch.
                self._changed.wait_for(lambda: self._stopping or len(self._queue) >= BATCH, self._delay)
            if self._stopping:
                return []
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._exporting = len(batch)
            return batch


class Telemetry:
    """A process's tracer and its way to the collectors."""

    def __init__(self, service: str, processors: Sequence[SpanProcessor]) -> None:
        self._provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self.tracer: Tracer = self._provider.get_tracer("waybill")

    @classmethod
    def to_collectors(cls, service: str, addresses: Sequence[str]) -> Telemetry:
        """Exports by OTLP/gRPC to each of the addresses (host:port, plaintext)."""
        exporters = [
            OTLPSpanExporter(endpoint=address, insecure=True, timeout=EXPORT_TIMEOUT_SECONDS)
            for address in addresses
        ]
        return cls(service, [SpanQueue(exporter) for exporter in exporters])

    def shutdown(self) -> None:
        """Delivers what is queued and stops. Blocks up to some seconds."""
        self._provider.shutdown()


def remote_parent(trace_id: str, span_id: str) -> Context:
    """A context whose parent span is known by id only (32 and 16 hex digits)."""
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(parent))
