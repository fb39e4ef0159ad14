"""`waybill trace ID`: where the time and the money of a run went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from waybill.cli.bills import run_or_none
from waybill.cli.objects import told
from waybill.cli.paging import pages
from waybill.cli.screen import Screen
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.waterfall import waterfall
from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, GetTraceResponse
from waybill.runtime.identity import DEFAULT_TENANT


def trace(
    run_or_correlation_id: Annotated[str, typer.Argument(metavar="ID", help="A run id or a correlation id.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Draw a run's trace as a waterfall."""
    with session(tenant, as_json) as here:
        show_traces(reachable(here.client), here.screen, run_or_correlation_id)


def show_traces(client: Client, screen: Screen, run_or_correlation_id: str) -> None:
    """Prints the trace of one run, or of each run with a correlation id."""
    for found in traces(client, run_or_correlation_id):
        if screen.as_json:
            screen.emit(told(found))
        else:
            screen.show(*waterfall(found, screen.out.width))


def traces(client: Client, run_or_correlation_id: str) -> Iterator[GetTraceResponse.Trace]:
    """The traces of a run or of a correlation id, each whole, however many pages that takes."""
    if run_or_none(client, run_or_correlation_id) is None:
        request = GetTraceRequest(correlation_id=run_or_correlation_id)
    else:
        request = GetTraceRequest(run_id=run_or_correlation_id)
    last = GetTraceResponse.Trace()
    for trace in (trace for page in pages(client.orchestrator.GetTrace, request) for trace in page.traces):
        if trace.run_id == last.run_id:
            last.spans.extend(trace.spans)
            continue
        if last.run_id:
            yield last
        last = trace
    yield last
