"""Work for a run, outside the call that asked for it: on its tenant's behalf, and in its trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context as otel_context

from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.traces import ids as trace_ids
from waybill.runtime import identity
from waybill.runtime.telemetry import remote_parent


@contextmanager
def in_trace(run: RunRef, row: Row, name: str) -> Iterator[None]:
    """Calls made inside belong to the run, and stand under the step in its trace."""
    span_id = trace_ids.step_span_id(run.run_id, name, row["tries"])
    token = otel_context.attach(remote_parent(trace_ids.trace_id(run.run_id), span_id))
    try:
        with acting_for(run, row, span_id):
            yield
    finally:
        otel_context.detach(token)


def acting_for(run: RunRef, row: Row, step_span_id: str = "") -> AbstractContextManager[None]:
    """Calls made inside are the run's tenant's."""
    return identity.acting_as(
        identity.Caller(
            run.tenant,
            row["correlation_id"],
            run.run_id,
            step_span_id,
            row["collection"],
            row["document_key"],
            row["subject"],
            row["credential_id"],
        )
    )
