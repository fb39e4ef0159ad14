"""`waybill trace ID`: where the time and the money of a run went."""

from __future__ import annotations

from typing import Annotated

import typer

from waybill.cli.objects import trace_object
from waybill.cli.screen import Screen
from waybill.cli.session import DEFAULT_TENANT, Json, Tenant, reachable, session
from waybill.cli.waterfall import waterfall
from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest


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
    for found in client.orchestrator.GetTrace(GetTraceRequest(id=run_or_correlation_id)).traces:
        if screen.as_json:
            screen.emit(trace_object(found))
        else:
            screen.show(*waterfall(found, screen.out.width))
