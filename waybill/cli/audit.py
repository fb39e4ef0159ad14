"""`waybill audit`: who did what, with which credential, and how it ended."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer

from waybill.cli.objects import told
from waybill.cli.paging import first, say_more
from waybill.cli.plain import plain
from waybill.cli.screen import table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.spans import days
from waybill.ledger.v1.audit_pb2 import AuditEvent, ListAuditRequest
from waybill.runtime.clock import utc_today
from waybill.runtime.identity import DEFAULT_TENANT


def audit(
    since: Annotated[
        str,
        typer.Option("--since", metavar="DAY", help="today, yesterday, 7d with today, 2026-11-01."),
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="DAY", help="The last day, else today.")] = "",
    action: Annotated[str, typer.Option("--action", help="Only this one, such as budget.set.")] = "",
    target: Annotated[str, typer.Option("--target", help="Only what was done to this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most of them.")] = 50,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List who did what, newest first: budgets, cancels, deletions, links, keys, and calls refused."""
    request = ListAuditRequest(action=action, target=target)
    if since or until:
        asked = days(since, until, utc_today())
        request.since.FromDatetime(asked.since)
        request.until.FromDatetime(asked.until)
    with session(tenant, as_json) as here:
        ledger = reachable(here.client, "ledger").ledger
        found = first(ledger.ListAudit, request, "events", limit + 1)
        shown = found[:limit]
        if as_json:
            here.screen.emit({"events": [told(event) for event in shown]})
        elif shown:
            header = ("what", "outcome", "by", "when (UTC)")
            here.screen.show(*table(header, map(_row, shown), here.screen.page_width))
            say_more(here.screen, found, limit)
        else:
            here.screen.note("Nothing of that is in the audit.")


def _row(event: AuditEvent) -> tuple[str, str, str, str]:
    who = plain(event.subject or event.credential_id or event.caller or "-")
    when = event.event_time.ToDatetime(UTC)
    return f"{event.action} {plain(event.target)}", event.outcome, who, f"{when:%Y-%m-%d %H:%M:%S}"
