"""`waybill runs`, `run`, `cancel` and `retry`: what was ingested, how far it is, and to change that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.durations import Within, from_now
from waybill.cli.money import Figures, dollars
from waybill.cli.objects import Shape, cancelled_object, run_object, state_name
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, spread
from waybill.cli.session import DEFAULT_TENANT, Json, Tenant, reachable, session
from waybill.client import Client, timestamp
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    ListRunsRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run

_PAGE = 200


def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most runs.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    with session(tenant, as_json) as here:
        show_runs(reachable(here.client), here.screen, limit)


def run(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run id.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Show one run."""
    with session(tenant, as_json) as here:
        show_run(reachable(here.client), here.screen, run_id)


def cancel(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run id.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Stop a run; a final one stays as it is."""
    with session(tenant, as_json) as here:
        request = CancelRunRequest(run_id=run_id)
        answer = reachable(here.client).orchestrator.CancelRun(request)
        _show(here.screen, cancelled_object(answer))


def retry(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run id.")],
    within: Within = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Take a failed, expired or cancelled run up again, after its last finished step."""
    with session(tenant, as_json) as here:
        request = RetryRunRequest(run_id=run_id, complete_by=timestamp(from_now(within)))
        answer = reachable(here.client).orchestrator.RetryRun(request)
        _show(here.screen, run_object(answer.run))


def show_runs(client: Client, screen: Screen, limit: int) -> None:
    """Prints the newest runs."""
    newest = list(_newest(client, limit))
    if screen.as_json:
        screen.emit({"runs": [run_object(run) for run in newest]})
    elif not newest:
        screen.note(f"No runs yet. Begin with: {screen.command('ingest PATH')}")
    for run in () if screen.as_json else newest:
        screen.show(*_two_lines(run, min(screen.out.width, 100)))


def show_run(client: Client, screen: Screen, run_id: str) -> None:
    """Prints one run, a line for each thing known of it."""
    _show(screen, run_object(client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run))


def _show(screen: Screen, shape: Shape) -> None:
    """A line for each thing known."""
    if screen.as_json:
        screen.emit(shape)
        return
    reading = shape.get("reading") or {}
    for key, value in {**shape, **reading, "reading": None}.items():
        if value in (None, ""):
            continue
        label, money, _ = key.partition("_nano_usd")
        shown = Text(f"{label:<24}", "dim") + Text(dollars(value) if money else plain(str(value)))
        screen.out.print(shown, soft_wrap=not screen.out.is_terminal)


def _newest(client: Client, limit: int) -> Iterator[Run]:
    request = ListRunsRequest(page_size=min(limit, _PAGE))
    while limit > 0:
        answer = client.orchestrator.ListRuns(request)
        yield from answer.runs[:limit]
        limit -= len(answer.runs)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def _two_lines(run: Run, width: int) -> Iterator[Text]:
    state = Text(state_name(run), "green" if run.state in (Run.STATE_READY, Run.STATE_UNCHANGED) else "bold")
    yield spread(Text(plain(run.run_id), "dim"), state, width)
    cost = Figures(run.cost_nano_usd, run.simulated_nano_usd).short()
    chunks = counted(run.chunks, "chunk") if run.chunks else ""
    about = "  ".join(filter(None, (plain(run.reason or run.step), chunks, cost)))
    yield spread(f"  {plain(run.document_key)}", about, width)
