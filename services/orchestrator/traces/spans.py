"""Spans that the services export (OTLP), kept for the traces of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from waybill.runtime import semconv
from waybill.runtime.postgres import Database

Row = dict[str, Any]

# Delivered at least once: the same span again changes nothing.
INSERT = """
insert into waybill_runs.spans
select trace_id, span_id, tenant, parent_span_id, step_span_id, service, name, kind, start_unix_nano,
    duration_nano, status, entry_id
from jsonb_populate_recordset(null::waybill_runs.spans, %s::jsonb)
on conflict (trace_id, span_id) do nothing
"""


class TraceServicer(trace_service_pb2_grpc.TraceServiceServicer):
    """OTLP's TraceService: keeps spans that belong to a run, and takes no notice of others."""

    def __init__(self, owner_database: Database) -> None:
        self._database = owner_database

    async def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any) -> Any:  # noqa: N802
        """Stores a batch of spans, of any tenants."""
        rows = [row for group in request.resource_spans for row in _rows(group)]
        if rows:
            await self._database.execute(None, INSERT, [json.dumps(rows)])
        return trace_service_pb2.ExportTraceServiceResponse()


async def of_trace(database: Database, tenant: str, trace_id: str) -> list[Row]:
    """The stored spans of a trace, by start."""
    query = "select * from waybill_runs.spans where trace_id = %s order by start_unix_nano"
    return await database.rows(tenant, query, [trace_id])


def _rows(group: ResourceSpans) -> Iterator[Row]:
    service = _attributes(group.resource.attributes).get("service.name", "unknown")
    for scope in group.scope_spans:
        for span in scope.spans:
            attributes = _attributes(span.attributes)
            if semconv.RUN_ID not in attributes or semconv.TENANT not in attributes:
                continue
            yield {
                "trace_id": span.trace_id.hex(),
                "span_id": span.span_id.hex(),
                "tenant": attributes[semconv.TENANT],
                "parent_span_id": span.parent_span_id.hex(),
                "step_span_id": attributes.get(semconv.STEP_SPAN_ID, ""),
                "service": service,
                "name": span.name,
                "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                "start_unix_nano": span.start_time_unix_nano,
                "duration_nano": span.end_time_unix_nano - span.start_time_unix_nano,
                "status": _status(span, attributes),
                "entry_id": attributes.get(semconv.ENTRY_ID, ""),
            }


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs if pair.value.HasField("string_value")}


def _status(span: Span, attributes: dict[str, str]) -> str:
    if attributes.get(semconv.RPC_STATUS_CODE) == "CANCELLED":
        return "CANCELLED"
    return "ERROR" if span.status.code == Status.STATUS_CODE_ERROR else "OK"
