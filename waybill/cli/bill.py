"""`waybill bill ID`: what a run, or all runs with a correlation id, have cost."""

from __future__ import annotations

from typing import Annotated

import typer

from waybill.cli.bills import bill_object, bills_of
from waybill.cli.receipt import receipt
from waybill.cli.screen import Screen
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.runtime.identity import DEFAULT_TENANT


def bill(
    run_or_correlation_id: Annotated[str, typer.Argument(metavar="ID", help="A run id or a correlation id.")],
    tenant: Tenant = DEFAULT_TENANT,
    would_cost: Annotated[
        bool,
        typer.Option(
            "--would-cost", help="Also say what a vendor would charge for the work of local engines."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what was bought, quantity × price a line."""
    with session(tenant, as_json) as here:
        show_bills(
            reachable(here.client, "orchestrator", "ledger"),
            here.screen,
            run_or_correlation_id,
            would_cost=would_cost,
        )


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
