"""`waybill doubts`: what may have been charged, and nobody knows; listed, and written off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.durations import ago, ahead
from waybill.cli.objects import kind_name, priced_object
from waybill.cli.paging import SHORT, first, say_more, whole_id
from waybill.cli.plain import plain
from waybill.cli.screen import counted, spread
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, WriteOffRequest
from waybill.money import dollars
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import NotFound
from waybill.runtime.identity import DEFAULT_TENANT

_MOST = 10_000

app = typer.Typer(
    name="doubts",
    invoke_without_command=True,
    help="List calls of which nobody knows whether the vendor charges them; write them off.",
)


@app.callback()
def doubts(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="Most of them.")] = 100,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List calls of which nobody knows whether the vendor charges them; they count against budgets."""
    if context.invoked_subcommand is not None:
        return
    with session(tenant, as_json) as here:
        found = _listed(reachable(here.client, "ledger"), limit + 1)
        shown = found[:limit]
        if as_json:
            here.screen.emit({"entries": [priced_object(entry) for entry in shown]})
            return
        if not shown:
            here.screen.note("Nothing is in doubt.")
            return
        now = utc_now()
        for entry in shown:
            for line in _told(entry, now, here.screen.page_width):
                here.screen.tell(line)
        asked = sum(entry.asking.possible for entry in shown)
        if asked:
            here.screen.note(f"{counted(asked, 'doubt')} end as the vendor answers; there is nothing to do.")
        if asked < len(shown):
            kinds = {kind_name(entry) for entry in shown if not entry.asking.possible}
            # Of whatever tenant they are: an invoice is the operator's.
            file = f"waybill reconcile FILE{' --simulated' if kinds == {'simulated'} else ''} --adjust"
            written = here.screen.command('doubts write-off ID --reason "…"')
            here.screen.note(
                f"Where no vendor is asked, its invoice tells; the operator reads it: {file}. "
                f"Or give up: {written}"
            )
        say_more(here.screen, found, limit)


@app.command("write-off")
def write_off(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="As `waybill doubts` shows them; the beginning is enough."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads the bill later.")],
    of: Annotated[
        str, typer.Option("--of", metavar="TENANT", help="Whose doubts, by whole ids; for the operator.")
    ] = "",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Give up doubts: they count against no budget any more, and stay on the bill as written off."""
    with session(tenant, as_json) as here:
        client = reachable(here.client, "ledger")
        whole = ids if all(len(one) == 36 for one in ids) else _whole(client, ids)
        for entry_id in whole:
            request = WriteOffRequest(entry_id=entry_id, reason=reason, tenant=of)
            entry = client.ledger.WriteOff(request).entry
            if as_json:
                here.screen.emit(priced_object(entry))
            else:
                here.screen.note(f"written off: {entry.entry_id}, at most {dollars(entry.expected_nano_usd)}")


def _listed(client: Client, most: int) -> Sequence[Entry]:
    return first(client.ledger.ListEntries, ListEntriesRequest(in_doubt=True), "entries", most)


def _told(entry: Entry, now: datetime, width: int) -> Iterator[Text]:
    """For what and how much; then why, since when, and by whom; then what its vendor says."""
    name = plain(entry.document_key or entry.run_id or "a search")
    money = "" if kind_name(entry) == "real" else f" {kind_name(entry)}"
    bought = f"{plain(f'{entry.vendor} {entry.model}')}  at most {dollars(entry.expected_nano_usd)}{money}"
    yield spread(Text(name, "bold"), f"{bought}  {entry.entry_id[:SHORT]}", width)
    held = ago(now - entry.hold_time.ToDatetime(UTC))
    expires = f"{entry.expire_time.ToDatetime(UTC):%Y-%m-%d %H:%M} UTC"
    yield Text(f"  {plain(entry.end_reason)}; held {held} until {expires} by {plain(entry.owner)}")
    yield Text(f"  {_asked(entry, now)}", "dim")


def _asked(entry: Entry, now: datetime) -> str:
    asking = entry.asking
    parts = []
    if asking.times:
        last = ago(now - asking.last_time.ToDatetime(UTC))
        parts.append(f"asked {asking.times} ×, last {last}: {plain(asking.answer) or 'no answer'}")
    if not asking.possible:
        parts.append(f"{plain(entry.vendor)} cannot be asked{' any more' if parts else ''}")
    elif (wait := asking.next_time.ToDatetime(UTC) - now).total_seconds() > 0:
        parts.append(f"{plain(entry.vendor)} is asked in {ahead(wait)}")
    else:
        parts.append(f"{plain(entry.vendor)} is asked once its {plain(entry.service)} has a turn")
    return "; ".join(parts)


def _whole(client: Client, beginnings: Sequence[str]) -> Sequence[str]:
    """The ids that begin so, among the doubts. Raises as `whole_id`: ENTRY_NOT_FOUND."""
    known = [entry.entry_id for entry in _listed(client, _MOST)]
    return [
        whole_id(one, known, NotFound("ENTRY_NOT_FOUND", f"No doubt has an id that begins with {one!r}."))
        for one in beginnings
    ]
