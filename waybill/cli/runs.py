"""`waybill runs`, `run`, `cancel` and `retry`: what was ingested, how far it is, and to change that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from waybill.cli.durations import Since, Within, ago, from_now, spent
from waybill.cli.money import Figures
from waybill.cli.objects import Shape, cancelled_object, run_object, state_name
from waybill.cli.paging import first
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, spread
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client, timestamp
from waybill.limits import DEFAULT_COLLECTION
from waybill.money import dollars
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    ListRunsRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.clock import utc_now
from waybill.runtime.identity import DEFAULT_TENANT


def runs(
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only in this one, such as FAILED; may be repeated.")
    ] = None,
    document: Annotated[str, typer.Option("--document", metavar="KEY", help="Only of this one.")] = "",
    collection: Annotated[
        str, typer.Option("--collection", help="Where --document is.")
    ] = DEFAULT_COLLECTION,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were UNCHANGED, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most runs.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    request = ListRunsRequest(
        states=_states(state or [], everything),
        document_key=document,
        collection=collection,
        accepted_from=timestamp(utc_now() - since) if since else None,
    )
    with session(tenant, as_json) as here:
        show_runs(reachable(here.client), here.screen, request, limit)


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
        show_shape(here.screen, cancelled_object(answer))


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
        show_shape(here.screen, run_object(answer.run))


def show_runs(client: Client, screen: Screen, request: ListRunsRequest, limit: int) -> None:
    """Prints the newest runs that match."""
    newest: list[Run] = first(client.orchestrator.ListRuns, request, "runs", limit)
    if screen.as_json:
        screen.emit({"runs": [run_object(run) for run in newest]})
        return
    if not newest:
        hint = f"begin with {screen.command('ingest PATH')}; UNCHANGED ones: {screen.command('runs --all')}"
        screen.note(f"No such runs; {hint}")
    now = utc_now()
    for run in newest:
        screen.show(*run_lines(run, now, min(screen.out.width, 100)))


def show_run(client: Client, screen: Screen, run_id: str) -> None:
    """Prints one run, a line for each thing known of it."""
    show_shape(screen, run_object(client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run))


def show_shape(screen: Screen, shape: Shape) -> None:
    """Prints an object, a line for each thing known."""
    if screen.as_json:
        screen.emit(shape)
        return
    reading = shape.get("reading") or {}
    for key, value in {**shape, **reading, "reading": None}.items():
        if value in (None, "", []):
            continue
        if key == "backends":
            value = ", ".join(
                f"{one['service']}: {one['backend'] or 'none'} ({one['reason']})" for one in value
            )
        label, money, _ = key.partition("_nano_usd")
        if money and not value:
            continue  # beside a price, $0.00 reads as one
        shown = Text(f"{label:<24}", "dim") + Text(dollars(value) if money else plain(str(value)))
        screen.out.print(shown, soft_wrap=not screen.out.is_terminal)


def _states(named: Sequence[str], everything: bool) -> list[Any]:
    """Those that are named; else all, but what changed nothing only where everything is asked for."""
    known = {name: state for name, state in Run.State.items() if state != Run.STATE_UNSPECIFIED}
    try:
        asked = [known[f"STATE_{name.upper()}"] for name in named]
    except KeyError:
        names = ", ".join(name.removeprefix("STATE_") for name in known)
        raise typer.BadParameter(f"--state takes one of {names}") from None
    if asked or everything:
        return asked
    return [state for state in known.values() if state != Run.STATE_UNCHANGED]


def run_lines(run: Run, now: datetime, width: int) -> Iterator[Text]:
    """A run in a list: two lines, or three where the width is too small for them."""
    state = Text(state_name(run), "green" if run.state in (Run.STATE_READY, Run.STATE_UNCHANGED) else "bold")
    accepted = run.create_time.ToDatetime(UTC)
    when = ago(now - accepted)
    if run.HasField("end_time"):
        when += f", took {spent(run.end_time.ToNanoseconds() - run.create_time.ToNanoseconds())}"
    head = Text(f"{plain(run.run_id)}  {when}", "dim")
    # An id that is cut can be given to no command.
    is_narrow = head.cell_len + 2 + state.cell_len > width
    yield spread(Text(plain(run.run_id), "dim") if is_narrow else head, state, width)
    figures = Figures(run.cost_nano_usd, run.simulated_nano_usd)
    cost = figures.short() if figures != Figures() else ""
    chunks = counted(run.chunks, "chunk") if run.chunks else ""
    about = "  ".join(filter(None, (plain(run.reason or run.step), chunks, cost)))
    elsewhere = f"{run.collection}: " if run.collection not in ("", "default") else ""
    yield spread(f"  {plain(elsewhere + run.document_key)}", about, width)
    if is_narrow:
        yield Text(f"  {when}", "dim")
