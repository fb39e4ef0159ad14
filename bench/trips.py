"""What one small document costs in calls and transactions, counted: by service and method, and by role.

Calls are counted by a collector of spans of our own, transactions in the log of the stack's Postgres; what
the stack does while it has nothing to do is counted first, and taken off.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.corpora import Corpus
from bench.stack import Stack
from waybill.stack.process import wait_until

IDLE_SECONDS = 10.0
# Spans are exported a moment after their ends.
ARRIVAL_SECONDS = 2.0
EXPORT = "Export (spans)"
# A transaction's first statement, as the log has it: role, then program.
_LINE = re.compile(r"^trips (\w+) (\S*) LOG:  (?:statement|execute [^:]*):\s+(\w+)", re.MULTILINE)
_SETTINGS = {"log_statement": "all", "log_line_prefix": "trips %u %a "}


@dataclass(frozen=True)
class Trips:
    """Of one document, the mean of several.

    Attributes:
        calls: By service and method, as the callee counts them.
        transactions: By role.
        statements: The same, with those that begin and end a transaction.
        idle: Transactions a second while there is nothing to do, by role.
    """

    calls: Mapping[tuple[str, str], float]
    transactions: Mapping[str, float]
    statements: Mapping[str, float]
    idle: Mapping[str, float]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Counts the calls that servers tell of."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator[tuple[Collector, str]]:
        """On a free port of this machine; yields its address, too."""
        collector, server = cls(), grpc.server(ThreadPoolExecutor(1))
        add = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(collector, server)  # type: ignore[no-untyped-call]  # OpenTelemetry's has none
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield collector, f"127.0.0.1:{port}"
        finally:
            server.stop(None)

    def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any) -> Any:  # noqa: N802
        """Takes a batch of one process."""
        for group in request.resource_spans:
            named = {one.key: one.value.string_value for one in group.resource.attributes}
            service = named["service.name"]
            self.calls[service, EXPORT] += 1
            for span in (span for scope in group.scope_spans for span in scope.spans):
                if span.kind == Span.SPAN_KIND_SERVER:
                    self.calls[service, span.name.rpartition("/")[2]] += 1
        return trace_service_pb2.ExportTraceServiceResponse()


def counted(folder: Path, settings: Mapping[str, str], warm: Corpus, corpus: Corpus) -> Trips:
    """Sends a corpus one by one to stacks of its own."""
    folder.mkdir(mode=0o711)
    calls, documents = _calls(folder / "calls", settings, warm, corpus), len(corpus.files)
    with Stack.started(folder / "transactions", settings) as stack:
        stack.one_by_one(warm)
        stack.set_database(_SETTINGS)
        log = _Log(stack.database_log)
        began = log.read()
        wait_until(lambda: False, IDLE_SECONDS)
        idle = log.read() - began
        before, since = log.read(), time.monotonic()
        stack.one_by_one(corpus)
        used, seconds = log.read() - before, time.monotonic() - since
    return _trips(calls, used, idle, seconds, documents)


def _calls(
    folder: Path, settings: Mapping[str, str], warm: Corpus, corpus: Corpus
) -> Counter[tuple[str, str]]:
    """By a stack that tells a second collector, too, of all that it does: it reads more of its tables."""
    with Collector.serving() as (collector, address):
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_METRICS_EXPORTER": "none"}
        with Stack.started(folder, {**settings, **told}) as stack:
            stack.one_by_one(warm)
            wait_until(lambda: False, ARRIVAL_SECONDS)
            before = Counter(collector.calls)
            stack.one_by_one(corpus)
            wait_until(lambda: False, ARRIVAL_SECONDS)
            return collector.calls - before


class _Log:
    """Statements of Postgres' log, by role and by whether they begin a transaction."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Counter[tuple[str, bool]]:
        found: Counter[tuple[str, bool]] = Counter()
        for role, program, word in _LINE.findall(self._file.read_text(errors="replace")):
            found["the engine" if program.startswith("dbos") else role, word.lower() == "begin"] += 1
        return found


def _trips(
    calls: Counter[tuple[str, str]],
    used: Counter[tuple[str, bool]],
    idle: Counter[tuple[str, bool]],
    seconds: float,
    documents: int,
) -> Trips:
    roles = sorted({role for role, _ in used})

    def each(role: str, *kinds: bool) -> float:
        return sum(used[role, kind] - idle[role, kind] * seconds / IDLE_SECONDS for kind in kinds) / documents

    return Trips(
        {name: count / documents for name, count in sorted(calls.items())},
        {role: each(role, True) for role in roles},
        {role: each(role, True, False) for role in roles},
        {role: idle[role, True] / IDLE_SECONDS for role in roles},
    )
