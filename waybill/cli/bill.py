"""`waybill bill`: what a run has cost, or all with a correlation id; without an id, what some days have."""

from __future__ import annotations

from typing import Annotated

import typer

from waybill.cli.bills import bill_object, bills_of
from waybill.cli.focus import as_focus, without_rows
from waybill.cli.receipt import receipt
from waybill.cli.report import By, as_csv, report_object, report_of, show_report
from waybill.cli.screen import Screen
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.spans import days
from waybill.client import Client
from waybill.runtime.clock import utc_today
from waybill.runtime.identity import DEFAULT_TENANT


def bill(
    run_or_correlation_id: Annotated[
        str, typer.Argument(metavar="ID", help="A run id or a correlation id; none: what days have cost.")
    ] = "",
    since: Annotated[
        str,
        typer.Option("--since", metavar="DAY", help="today, yesterday, 7d with today, 2026-11-01."),
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="DAY", help="The last day, else today.")] = "",
    by: Annotated[
        By | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help=f"What to sum over: {', '.join(By)}. Else model.",
        ),
    ] = None,
    as_table: Annotated[bool, typer.Option("--csv", help="CSV on stdout, money in nano-USD.")] = False,
    focus: Annotated[
        bool, typer.Option("--focus", help="FOCUS 1.2 CSV on stdout, a row a day and thing bought.")
    ] = False,
    would_cost: Annotated[
        bool,
        typer.Option(
            "--would-cost", help="Also say what a vendor would charge for the work of local engines."
        ),
    ] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Show what was bought, quantity × price a line: of a run, of a correlation id, or of some days."""
    if run_or_correlation_id:
        if since or until or by or as_table or focus:
            raise typer.BadParameter(
                "--since, --until, --by, --csv and --focus are for days: leave the id out."
            )
        with session(tenant, as_json) as here:
            client = reachable(here.client, "orchestrator", "ledger")
            show_bills(client, here.screen, run_or_correlation_id, would_cost=would_cost)
        return
    if as_table + as_json + focus > 1:
        raise typer.BadParameter("--csv, --focus and --json are forms of the same: name one.")
    if focus and by not in (None, By.DAY):
        raise typer.BadParameter("--focus has a row for each day: leave --by out.")
    asked = days(since, until, utc_today())
    with session(tenant, as_json) as here:
        report = report_of(reachable(here.client, "ledger"), asked, By.DAY if focus else by or By.MODEL)
        if focus:
            here.screen.out.file.write(as_focus(report, tenant))
            if why := without_rows(report):
                when = f"--since {asked.first} --until {asked.last}"
                all_work = here.screen.command(f"bill {when} --would-cost")
                here.screen.note(f"{why} All work: {all_work}")
        elif as_json:
            here.screen.emit(report_object(report))
        elif as_table:
            here.screen.out.file.write(as_csv(report))
        else:
            show_report(here.screen, report, would_cost=would_cost)


def show_bills(
    client: Client, screen: Screen, run_or_correlation_id: str, *, would_cost: bool = False
) -> None:
    """Prints the bill of one run, or one a run with a correlation id."""
    bills = bills_of(client, run_or_correlation_id)
    if not screen.as_json:
        screen.show(*receipt(bills, screen.out.width, would_cost=would_cost))
        return
    for found in bills:
        screen.emit(bill_object(found))
