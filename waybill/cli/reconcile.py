"""`waybill reconcile FILE`: what a vendor says it charged, held against the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from waybill.cli.exits import Exit
from waybill.cli.invoices.lines import Lines
from waybill.cli.invoices.reading import read
from waybill.cli.objects import priced_object, told
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.invoice_pb2 import (
    ApplyInvoiceRequest,
    ApplyInvoiceResponse,
    Drift,
    ImportInvoiceRequest,
    Invoice,
    InvoiceLine,
    ListDriftRequest,
)
from waybill.money import dollars
from waybill.runtime.identity import DEFAULT_TENANT

AT_ONCE = 1_000
MOST_SHOWN = 200
# A hundred thousand lines, or some thousand corrections, on a busy machine.
SECONDS = 300.0

WHY = {
    Drift.REASON_IN_DOUBT: "in doubt here",
    Drift.REASON_WRITTEN_OFF: "written off here",
    Drift.REASON_RELEASED: "released here",
    Drift.REASON_NOT_IN_LEDGER: "not in the ledger",
    Drift.REASON_NOT_INVOICED: "not on the invoice",
    Drift.REASON_CHARGED_TWICE: "charged twice",
    Drift.REASON_PRICE_DIFFERS: "other price",
    Drift.REASON_QUANTITY_DIFFERS: "other quantity",
    Drift.REASON_AMOUNT_DIFFERS: "other amount",
    Drift.REASON_DAY_DIFFERS: "on another day",
}


def reconcile(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="OpenAI's usage or costs, LlamaCloud's usage, or a CSV."),
    ],
    vendor: Annotated[str, typer.Option("--vendor", help="Who charges, where the file does not say.")] = "",
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Hold it against what simulators invoice.")
    ] = False,
    adjust: Annotated[
        bool,
        typer.Option("--adjust", help="Follow it: append what is missing on entries, and end doubts."),
    ] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Hold a vendor's invoice or usage export against the ledger; the operator's. Ends with 10 on drift."""
    with session(tenant, as_json) as here:
        sha256, lines = read(file, vendor)
        client = reachable(here.client, "ledger")
        kind = CostKind.COST_KIND_SIMULATED if simulated else CostKind.COST_KIND_REAL
        header = ImportInvoiceRequest.Header(
            sha256=sha256, name=file.name[:200], vendor=lines.vendor, kind=kind
        )
        # Our stubs take what can be iterated again; see `waybill.calling`.
        sent: Any = _Parts(header, lines.completed())
        answer = client.ledger.ImportInvoice(sent, timeout=SECONDS)
        applied = _apply(client, answer.invoice) if adjust else None
        drifts = list(_drifts(client, answer.invoice))
        _show(here.screen, answer.invoice, drifts, applied, lines, known=answer.known)
        if any(map(drifted, drifts)):
            raise typer.Exit(Exit.DRIFT)


def drifted(one: Drift) -> bool:
    """Whether something is owed that was not settled, or the other way round."""
    same = one.invoiced_nano_usd == one.ledger_nano_usd and one.invoiced_quantity == one.ledger_quantity
    return one.reason != Drift.REASON_DAY_DIFFERS and not same


@dataclass(frozen=True)
class _Parts:
    """The messages of an import; a repeat sends them again."""

    header: ImportInvoiceRequest.Header
    lines: Sequence[InvoiceLine]

    def __iter__(self) -> Iterator[ImportInvoiceRequest]:
        yield ImportInvoiceRequest(header=self.header)
        for start in range(0, len(self.lines), AT_ONCE):
            lines = self.lines[start : start + AT_ONCE]
            yield ImportInvoiceRequest(lines=ImportInvoiceRequest.Lines(lines=lines))


def _apply(client: Client, invoice: Invoice) -> ApplyInvoiceResponse:
    """Follows an invoice to its end."""
    done = ApplyInvoiceResponse(more=True)
    while done.more:
        step = client.ledger.ApplyInvoice(ApplyInvoiceRequest(invoice_id=invoice.invoice_id), timeout=SECONDS)
        done.adjusted += step.adjusted
        done.settled += step.settled
        done.released += step.released
        done.more = step.more
    return done


def _drifts(client: Client, invoice: Invoice) -> Iterable[Drift]:
    request = ListDriftRequest(invoice_id=invoice.invoice_id)
    for answer in client.ledger.ListDrift(request, timeout=SECONDS):
        yield from answer.drifts


def _show(
    screen: Screen,
    invoice: Invoice,
    drifts: Sequence[Drift],
    applied: ApplyInvoiceResponse | None,
    lines: Lines,
    *,
    known: bool,
) -> None:
    if screen.as_json:
        for one in drifts:
            screen.emit(told(one))
        screen.emit(
            {
                **priced_object(invoice),
                "known": known,
                "left_out": lines.left_out,
                "drift_nano_usd": sum(map(_more, drifts)),
                "drifts": sum(map(drifted, drifts)),
                "applied": told(applied) if applied else None,
            }
        )
        return
    if drifts:
        header = ("for", "why", "day", "invoiced", "settled", "drift")
        screen.show(*table(header, map(_row, drifts[:MOST_SHOWN]), screen.page_width))
    if (more := len(drifts) - MOST_SHOWN) > 0:
        screen.note(f"and {counted(more, 'difference')} more; --json has all of them")
    for note in _notes(invoice, drifts, applied, lines, known=known):
        screen.note(note)
    total = f"drift {_signed(sum(map(_more, drifts)))}"
    there_is = any(map(drifted, drifts))
    screen.tell(Text(total if there_is else "no drift", "red" if there_is else "green"))


def _notes(
    invoice: Invoice,
    drifts: Sequence[Drift],
    applied: ApplyInvoiceResponse | None,
    lines: Lines,
    *,
    known: bool,
) -> Iterator[str]:
    days = f", {invoice.first_day} to {invoice.last_day}" if invoice.first_day else ""
    again = "; read before" if known else ""
    yield (
        f"{plain(invoice.vendor)}: {counted(invoice.lines, 'line')}{days}, "
        f"{invoice.matched_lines:,} naming an entry{again}"
    )
    if lines.left_out:
        yield f"{counted(lines.left_out, 'line')} left out: about nothing that Waybill buys"
    if applied:
        yield (
            f"followed: {applied.adjusted:,} corrected, "
            f"{counted(applied.settled, 'doubt')} settled, {counted(applied.released, 'doubt')} released"
        )
    elif any(one.reason == Drift.REASON_IN_DOUBT or _names_an_entry(one) for one in drifts):
        yield "--adjust follows the invoice: it ends doubts and appends corrections."
    yield from _not_followed(invoice, [one for one in drifts if drifted(one)], lines.projects)


def _not_followed(invoice: Invoice, drifts: Sequence[Drift], projects: Set[str]) -> Iterator[str]:
    """What to do about sums of which no entry is named, so that nothing can be corrected by them."""
    sums = [one for one in drifts if one.reason != Drift.REASON_IN_DOUBT and not _names_an_entry(one)]
    if not sums:
        return
    days = sorted(one.day for one in sums if one.day)
    bill = f"waybill bill --since {days[0]} --until {days[-1]}" if days else "waybill bill"
    yield (
        f"{counted(len(sums), 'difference')} without an entry on both sides: --adjust changes nothing there,"
        f" since the file does not say which request it was. Hold it against `{bill} --by model`."
    )
    if any(_more(one) > 0 for one in sums):
        simulated = invoice.kind == CostKind.COST_KIND_SIMULATED
        turned = "leave --simulated out" if simulated else "add --simulated"
        yield (
            "What the ledger lacks was charged for something else than this Waybill: another program with the"
            f" same account, or another database. Where the file is of the other kind of money, {turned}."
        )
        if len(projects) > 1:
            yield (
                f"The file has {len(projects)} projects: {plain(', '.join(sorted(projects)))}. Where one is"
                " another program's, export it without that."
            )


def _names_an_entry(one: Drift) -> bool:
    """Whether the invoice says which entry it is about, and the ledger has that."""
    return bool(one.entry_id) and one.reason not in (Drift.REASON_NOT_IN_LEDGER, Drift.REASON_NOT_INVOICED)


def _row(one: Drift) -> Sequence[str]:
    what = one.document_key or one.run_id or one.entry_id or one.vendor_reference
    run = f" ({one.run_id[:8]})" if one.run_id and one.document_key else ""
    whose = f" of {one.tenant}" if one.tenant not in ("", DEFAULT_TENANT) else ""
    named = f"{what}{run}{whose}" if what else one.model or f"line {one.line}"
    units = one.unit and one.invoiced_quantity != one.ledger_quantity
    figures = (
        (f"{one.invoiced_quantity:,} {one.unit}s", f"{one.ledger_quantity:,}")
        if units
        else (dollars(one.invoiced_nano_usd), dollars(one.ledger_nano_usd))
    )
    return plain(named), _why(one), one.day, *figures, _signed(_more(one))


def _why(one: Drift) -> str:
    """The reason in words; a sum of which one side has a part is more than it has, and not absent there."""
    if one.reason == Drift.REASON_NOT_IN_LEDGER and (one.ledger_nano_usd or one.ledger_quantity):
        return "more than here"
    if one.reason == Drift.REASON_NOT_INVOICED and (one.invoiced_nano_usd or one.invoiced_quantity):
        return "less than here"
    return WHY.get(one.reason, "unknown")


def _more(one: Drift) -> int:
    return one.invoiced_nano_usd - one.ledger_nano_usd


def _signed(nano_usd: int) -> str:
    return f"{'' if nano_usd < 0 else '+'}{dollars(nano_usd)}"
