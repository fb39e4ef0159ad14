"""A stock viewer of traces gets each run whole: one root, and every parent there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import open_folder
from tests.pipeline.workbench import Workbench, started
from tests.waiting import eventually
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack.home import Home

pytestmark = pytest.mark.slow

HANDBOOK = next((Path(__file__).parents[2] / "examples" / "documents").glob("*.pdf"))

SETTINGS = {"OTEL_METRICS_EXPORTER": "none", "PARSER_BACKEND": "local", "STORAGE_BACKEND": "local"}


class Viewer(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent, by trace."""

    def __init__(self) -> None:
        self._spans: dict[str, list[Span]] = {}

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 gRPC names the method
        for group in request.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    self._spans.setdefault(span.trace_id.hex(), []).append(span)
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Span]:
        """A trace's spans so far."""
        return list(self._spans.get(trace_id, []))

    def linked(self, span: Span) -> Sequence[str]:
        """Names of the spans that one links to, in whichever trace."""
        sought = [(link.trace_id.hex(), link.span_id) for link in span.links]
        return [
            one.name for trace_id, span_id in sought for one in self.trace(trace_id) if one.span_id == span_id
        ]

    def whole(self, trace_id: str) -> bool:
        """Whether it has a root and every parent."""
        spans = self.trace(trace_id)
        known = {span.span_id for span in spans}
        return [s.name for s in spans if s.parent_span_id not in known] == ["ingest"]


@contextmanager
def viewing() -> Iterator[tuple[Viewer, str]]:
    viewer, server = Viewer(), grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(viewer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield viewer, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Viewer]]:
    """A stack that sends its traces to a viewer too. A simulator sells vectors, so there is money to show."""
    home = Home(open_folder(tmp_path_factory) / "viewed")
    with (
        viewing() as (viewer, endpoint),
        started(home, "simulator", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **SETTINGS),
    ):
        yield home, viewer


@pytest.fixture(scope="module")
def home(viewed: tuple[Home, Viewer]) -> Home:
    return viewed[0]


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def test_a_viewer_sees_run_steps_and_calls_with_document_cost_and_label(
    bench: Workbench, viewed: tuple[Home, Viewer]
) -> None:
    viewer = viewed[1]
    run = bench.ingest(HANDBOOK)
    eventually(lambda: viewer.whole(run.trace_id), "the trace is whole")
    spans = viewer.trace(run.trace_id)
    assert len({span.span_id for span in spans}) == len(spans)
    (root,) = [span for span in spans if not span.parent_span_id]
    steps = sorted(
        (s for s in spans if s.parent_span_id == root.span_id), key=lambda s: s.start_time_unix_nano
    )
    assert [span.name for span in steps] == ["receive", "store", "parse", "chunk", "embed 1", "publish"]
    for span in (root, *steps):
        told = attributes(span)
        assert told["waybill.document.key"] == HANDBOOK.name
        assert told["waybill.correlation.id"] == run.correlation_id
    eventually(
        lambda: viewer.linked(root) == ["waybill.orchestrator.v1.OrchestratorService/Ingest"], "a link"
    )
    assert not any(span.links for span in steps)
    costs = [attributes(span)["waybill.cost.simulated_nano_usd"] for span in (root, *steps)]
    assert costs[0] == sum(costs[1:]) == run.simulated_nano_usd > 0
    below = [span for span in spans if span.parent_span_id in {step.span_id for step in steps}]
    assert below
    assert all(attributes(span)["waybill.correlation.id"] == run.correlation_id for span in below)


def test_a_run_whose_orchestrator_was_killed_is_whole_for_a_viewer(
    bench: Workbench, viewed: tuple[Home, Viewer]
) -> None:
    viewer = viewed[1]
    run = bench.client.ingest(bench.file("long.md", b"# Part\n\n" + os.urandom(200_000).hex(" ", 4).encode()))
    bench.reach(run.run_id, "embed")
    bench.kill("orchestrator")
    assert bench.finish(run.run_id).state == Run.STATE_READY
    eventually(lambda: viewer.whole(run.trace_id), "the trace is whole")
