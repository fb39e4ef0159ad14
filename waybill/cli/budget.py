"""`waybill budget`: what may be spent; set, listed, shown and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.limits import Limit, amount, brief, each, limit
from waybill.cli.objects import told
from waybill.cli.paging import SHORT, first, whole_id
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget, BudgetAlert, BudgetChange
from waybill.ledger.v1.ledger_service_pb2 import (
    DeleteBudgetRequest,
    GetBudgetRequest,
    ListBudgetAlertsRequest,
    ListBudgetChangesRequest,
    ListBudgetsRequest,
    ListEntriesRequest,
    SetBudgetRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest
from waybill.runtime.errors import NotFound
from waybill.runtime.identity import DEFAULT_TENANT

_MOST, _SHOWN = 10_000, 10

app = typer.Typer(name="budget", no_args_is_help=True, help="Limit what may be spent: set, list, show, rm.")

Id = Annotated[
    str, typer.Argument(metavar="ID", help="As `waybill budget list` shows it; its beginning is enough.")
]
Run = Annotated[str, typer.Option("--run", metavar="ID", help="Of this run alone.")]


@app.command("set")
def set_budget(
    allowed: Annotated[
        Limit,
        typer.Argument(
            parser=limit, metavar="LIMIT", help="5usd/day, 100requests/hour, 2gb/month, 0.50usd/run."
        ),
    ],
    service: Annotated[str, typer.Option("--service", help="Only what this one spends.")] = "",
    collection: Annotated[str, typer.Option("--collection", help="Only for documents of this one.")] = "",
    run: Run = "",
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="All tenants share it; the operator's.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Count simulated spending instead of real.")
    ] = False,
    alert_at: Annotated[
        list[int] | None,
        typer.Option(
            "--alert-at",
            metavar="PERCENT",
            min=1,
            max=100,
            help="80 at first, and what it was after; may be repeated.",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Set a budget, or change its limit; what was bought before it was first set does not count."""
    if run and allowed.period != Budget.PERIOD_RUN:
        raise typer.BadParameter("--run goes with a limit for a run, such as 0.50usd/run")
    wanted = Budget(
        all_tenants=all_tenants,
        collection=collection,
        service=service,
        run_id=run,
        kind=CostKind.COST_KIND_SIMULATED if simulated else CostKind.COST_KIND_REAL,
        unit=allowed.unit,
        period=allowed.period,
        limit=allowed.amount,
        thresholds=alert_at or [],
    )
    with session(tenant, as_json) as here:
        client = reachable(here.client, "ledger")
        if run and not all_tenants:
            _check_run(reachable(client), run)
        _show(here.screen, client.ledger.SetBudget(SetBudgetRequest(budget=wanted)).budget)


@app.command("list")
def list_budgets(run: Run = "", tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """List budgets, with what counts against each now."""
    with session(tenant, as_json) as here:
        found = _all(reachable(here.client, "ledger"), run)
        if as_json:
            here.screen.emit({"budgets": [told(one) for one in found]})
        elif found:
            rows = [(title(one), *_figures(one, brief), _id(one)) for one in found]
            header = ("budget", "used", "held", "in doubt", "limit", "id")
            here.screen.show(*table(header, rows, here.screen.page_width))
        else:
            here.screen.note(
                f"No budget is set: nothing limits what is spent. Set one: {_example(here.screen)}"
            )


@app.command("show")
def show_budget(budget_id: Id, tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """Show a budget, who changed it, and its alerts."""
    with session(tenant, as_json) as here:
        client = reachable(here.client, "ledger")
        whole = _whole_id(client, budget_id)
        found = client.ledger.GetBudget(GetBudgetRequest(budget_id=whole)).budget
        asked = ListBudgetChangesRequest(budget_id=whole)
        changes = first(client.ledger.ListBudgetChanges, asked, "changes", _SHOWN)
        alerts = first(
            client.ledger.ListBudgetAlerts, ListBudgetAlertsRequest(budget_id=whole), "alerts", _SHOWN
        )
        if as_json:
            here.screen.emit(
                {
                    **told(found),
                    "changes": [told(one) for one in changes],
                    "alerts": [told(one) for one in alerts],
                }
            )
            return
        _show(here.screen, found)
        for line in (*_changes(found, changes), *_alerts(found, alerts)):
            here.screen.tell(line)


@app.command("rm")
def remove_budget(budget_id: Id, tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """Remove a budget; `set` with the same scope brings it back."""
    with session(tenant, as_json) as here:
        client = reachable(here.client, "ledger")
        whole = _whole_id(client, budget_id)
        found = client.ledger.GetBudget(GetBudgetRequest(budget_id=whole)).budget
        client.ledger.DeleteBudget(DeleteBudgetRequest(budget_id=whole))
        if as_json:
            here.screen.emit({"removed": told(found)})
        else:
            here.screen.note(f"removed: {title(found)}")


def title(budget: Budget) -> str:
    """For instance `a day, service embedder`, `an hour, all tenants`."""
    parts = [each(budget)]
    if budget.all_tenants:
        parts.append("all tenants")
    for name in ("service", "collection"):
        if value := getattr(budget, name):
            parts.append(f"{name} {plain(value)}")
    if budget.run_id:
        parts.append(f"run {plain(budget.run_id)}")
    if budget.kind == CostKind.COST_KIND_SIMULATED:
        parts.append("simulated")
    return ", ".join(parts)


def _show(screen: Screen, budget: Budget) -> None:
    if screen.as_json:
        screen.emit(told(budget))
        return
    used, held, in_doubt, allowed = _figures(budget)
    screen.tell(Text(f"{_id(budget)}  {allowed} {title(budget)}", "bold"))
    if not budget.HasField("window"):
        screen.tell(Text("each run counts by itself"))
        return
    window = budget.window
    screen.tell(Text(f"used {used}, held {held}, in doubt {in_doubt}", "red" if window.over_limit else ""))
    if window.over_limit:
        screen.tell(Text("over its limit: nothing more is bought until there is room", "red"))
    if window.HasField("reset_time"):
        screen.tell(Text(f"resets at {_time(window.reset_time.ToDatetime(UTC))}"))
    screen.tell(Text(f"alert at {', '.join(f'{one} %' for one in budget.thresholds)}"))


def _figures(
    budget: Budget, written: Callable[[Budget.Unit, int], str] = amount
) -> tuple[str, str, str, str]:
    limited = written(budget.unit, budget.limit)
    if not budget.HasField("window"):
        return "", "", "", limited
    window = budget.window
    used, held, in_doubt = (written(budget.unit, one) for one in (window.used, window.held, window.in_doubt))
    return used, held, in_doubt, limited


def _changes(budget: Budget, changes: Sequence[BudgetChange]) -> Iterator[Text]:
    for one in changes:
        old, new = (
            amount(budget.unit, getattr(one, name)) if one.HasField(name) else "none"
            for name in ("old_limit", "new_limit")
        )
        by = plain(" ".join(filter(None, (one.changed_by, one.subject, one.credential_id))))
        yield Text(f"{_time(one.change_time.ToDatetime(UTC))}  {old} → {new}, by {by}")


def _alerts(budget: Budget, alerts: Sequence[BudgetAlert]) -> Iterator[Text]:
    for one in alerts:
        counted = sum((one.window.used, one.window.held, one.window.in_doubt))
        text = (
            f"{one.threshold} % reached: {amount(budget.unit, counted)} of {amount(budget.unit, one.limit)}"
        )
        yield Text(f"{_time(one.alert_time.ToDatetime(UTC))}  {text}{_delivery(one)}", "yellow")


def _delivery(alert: BudgetAlert) -> str:
    """How the alert's message to the webhook's receiver went; nothing where none was sent."""
    if alert.HasField("deliver_time"):
        return ", delivered"
    if not alert.attempts:
        return ""
    ended = "not delivered, and given up" if alert.HasField("give_up_time") else "not delivered yet"
    return f", {ended} after {counted(alert.attempts, 'attempt')}: {plain(alert.last_error)}"


def _check_run(client: Client, run_id: str) -> None:
    """Asks the orchestrator, since the ledger hears of a run only once that buys something.

    Raises:
        NotFound: RUN_NOT_FOUND: the tenant has no such run, and nothing was bought under that id.
    """
    try:
        client.orchestrator.GetRun(GetRunRequest(run_id=run_id))
    except NotFound:
        # A migration of a space buys under an id of its own.
        request = ListEntriesRequest(run_ids=[run_id], page_size=1)
        if not client.ledger.ListEntries(request).entries:
            raise


def _all(client: Client, run: str = "") -> Sequence[Budget]:
    return first(client.ledger.ListBudgets, ListBudgetsRequest(run_id=run), "budgets", _MOST)


def _whole_id(client: Client, beginning: str) -> str:
    """The id that begins so, of a budget that is no run's own. Raises as `whole_id`: BUDGET_NOT_FOUND."""
    if len(beginning) == 36:
        return beginning
    lacking = NotFound("BUDGET_NOT_FOUND", "No budget has an id that begins so.")
    return whole_id(beginning, [one.budget_id for one in _all(client)], lacking)


def _id(budget: Budget) -> str:
    return budget.budget_id if budget.run_id else budget.budget_id[:SHORT]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _example(screen: Screen) -> str:
    return screen.command("budget set 5usd/day")
