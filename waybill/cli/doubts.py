"""`waybill doubts`: what may have been charged, and nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from waybill.cli.durations import ago
from waybill.cli.objects import entry_object, kind_name
from waybill.cli.paging import first, say_more
from waybill.cli.plain import plain
from waybill.cli.screen import table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.money import dollars
from waybill.runtime.identity import DEFAULT_TENANT


def doubts(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most of them.")] = 100,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List calls of which nobody knows whether the vendor charges them; they count against budgets."""
    with session(tenant, as_json) as here:
        ledger = reachable(here.client, "ledger").ledger
        found = first(ledger.ListEntries, ListEntriesRequest(in_doubt=True), "entries", limit + 1)
        shown = found[:limit]
        if as_json:
            here.screen.emit({"entries": [entry_object(entry) for entry in shown]})
            return
        if not shown:
            here.screen.note("Nothing is in doubt.")
            return
        now = datetime.now(UTC)
        rows = [
            (
                plain(entry.document_key or entry.run_id or "a search"),
                plain(f"{entry.vendor} {entry.model}"),
                plain(entry.end_reason),
                ago(now - entry.hold_time.ToDatetime(UTC)),
                kind_name(entry),
                dollars(entry.expected_nano_usd),
            )
            for entry in shown
        ]
        header = ("for", "bought", "why", "held", "kind", "at most")
        here.screen.show(*table(header, rows, here.screen.page_width))
        say_more(here.screen, found, limit)
