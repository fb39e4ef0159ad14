"""Spans of one process: made here, kept until a collector has taken them; and its metrics.

The stock BatchSpanProcessor drops a batch when its exporter times out, so a restart of the
orchestrator (our own collector) would tear holes into traces; `SpanQueue` keeps it and tries again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

from waybill.runtime import identity
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.tls import channel_credentials, is_tls, target

EXPORT_DELAY_SECONDS = 0.2
EXPORT_TIMEOUT_SECONDS = 1.0
RETRY_SECONDS = 0.2
SHUTDOWN_MILLISECONDS = 2_000
CAPACITY = 20_000
BATCH = 512
log = structlog.get_logger()
_given_span_id: ContextVar[int | None] = ContextVar("waybill_span_id", default=None)


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
            # Those between are joined to a batch without waking anybody.
            if len(self._queue) in (1, BATCH):
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
    """A process's tracer, its metrics, and its way to the collectors."""

    def __init__(
        self, service: str, processors: Sequence[SpanProcessor], readers: Sequence[MetricReader] = ()
    ) -> None:
        resource = Resource({"service.name": service})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=_SpanIds())
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._metrics = MeterProvider(readers, resource, shutdown_on_exit=False) if readers else None
        self.tracer: Tracer = self._provider.get_tracer("waybill")

    @classmethod
    def to_collectors(
        cls,
        service: str,
        addresses: Sequence[str],
        metrics: str = "",
        ours: str = "",
        auth: AuthConfig | None = None,
    ) -> Telemetry:
        """Exports spans by OTLP/gRPC to each of the addresses (host:port, or https://host:port).

        Args:
            service: The process's name.
            addresses: For spans.
            metrics: URL for metrics, which go nowhere where it is empty; how often, the standard variable
                OTEL_METRIC_EXPORT_INTERVAL says.
            ours: Which of the addresses is ours.
            auth: What is shown there, and there alone; whom TLS trusts.

        Raises:
            ConfigError: The service's secret would go to another machine in clear.
        """
        auth = auth or AuthConfig()
        exporters = [
            OTLPSpanExporter(
                endpoint=target(address),
                insecure=not is_tls(address),
                credentials=channel_credentials(auth.ca_file) if is_tls(address) else None,
                headers=tuple(identity.shown(auth.secret_for(address))) if address == ours else None,
                timeout=EXPORT_TIMEOUT_SECONDS,
            )
            for address in addresses
        ]
        queues = [SpanQueue(exporter) for exporter in exporters]
        return cls(service, queues, [_metrics_to(metrics)] if metrics else [])

    def gauge(self, name: str, read: Callable[[], int], attributes: Mapping[str, str]) -> None:
        """Publishes a number that is read whenever metrics are exported, in a thread of their own."""
        if self._metrics is not None:
            meter = self._metrics.get_meter("waybill")
            meter.create_observable_gauge(name, [_observing(read, attributes)])

    def counter(self, name: str, read: Callable[[], int]) -> None:
        """Publishes a number that only grows, as `gauge` does."""
        if self._metrics is not None:
            self._metrics.get_meter("waybill").create_observable_counter(name, [_observing(read, {})])

    def shutdown(self) -> None:
        """Delivers what is queued and stops. Blocks up to some seconds."""
        self._provider.shutdown()
        if self._metrics is not None:
            self._metrics.shutdown(SHUTDOWN_MILLISECONDS)


def _observing(
    read: Callable[[], int], attributes: Mapping[str, str]
) -> Callable[[CallbackOptions], list[Observation]]:
    return lambda _: [Observation(read(), attributes)]


def _metrics_to(endpoint: str) -> MetricReader:
    exporter = OTLPMetricExporter(endpoint=endpoint, insecure=True, timeout=EXPORT_TIMEOUT_SECONDS)
    return PeriodicExportingMetricReader(exporter)


class _SpanIds(RandomIdGenerator):
    def generate_span_id(self) -> int:
        return _given_span_id.get() or super().generate_span_id()


@contextmanager
def span_id(hex_digits: str) -> Iterator[None]:
    """Gives the spans begun in the block this id: told twice, such a span is still one to a collector."""
    token = _given_span_id.set(int(hex_digits, 16))
    try:
        yield
    finally:
        _given_span_id.reset(token)


def unrecorded() -> Context:
    """A context in which no span is recorded, here or in a service that is called."""
    ids = RandomIdGenerator()
    parent = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False)
    return set_span_in_context(NonRecordingSpan(parent))


def remote_parent(trace_id: str, span_id: str) -> Context:
    """A context whose parent span is known by id only (32 and 16 hex digits)."""
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(parent))
