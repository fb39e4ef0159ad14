"""`waybill plan`: what an ingest of files and folders would do and cost, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.asking import agree, somebody
from waybill.cli.durations import Within, from_now
from waybill.cli.exits import Exit
from waybill.cli.plain import plain
from waybill.cli.planning import (
    Planned,
    Total,
    embeddings_elsewhere,
    figures_of,
    parses_elsewhere,
    plan_object,
    planned,
    total,
    total_object,
)
from waybill.cli.screen import Screen, counted, spread, table
from waybill.cli.session import Json, Tenant, session
from waybill.cli.sources import Source, alike, gather
from waybill.cli.taking import to_send
from waybill.client import Client
from waybill.money import dollars
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.identity import DEFAULT_TENANT


def plan(
    paths: Annotated[list[str], typer.Argument(help="Files and folders.", metavar="PATH")],
    collection: Annotated[
        str, typer.Option("--collection", help="Where they would go; `default` unless named.")
    ] = "",
    within: Within = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Say what an ingest would do and cost; nothing is stored or bought, and no key is needed."""
    if "" in paths:
        raise typer.BadParameter("a path is empty; write . for the folder that you are in")
    complete_by = from_now(within)
    with session(tenant, as_json) as here:
        found = gather(map(Path, paths))
        if fault := alike(found.sources):
            raise fault
        sources = to_send(here.client, here.screen, found)
        if not sources:
            raise InvalidRequest("NOTHING_TO_INGEST", "There is no document of a type that is read here.")
        plans: list[Planned] = []
        for one in planned(here.client, sources, collection, complete_by):
            plans.append(one)
            if as_json:
                here.screen.emit(plan_object(one))
        if as_json:
            here.screen.emit(total_object(plans))
        else:
            show_plans(here.screen, plans)
    raise typer.Exit(Exit.DOCUMENT_FAILED if any(one.plan is None for one in plans) else Exit.OK)


def show_plans(screen: Screen, plans: Sequence[Planned]) -> None:
    """Prints plans for people: a line a document, their sum, and what the like would cost elsewhere."""
    width = screen.page_width
    header = ("document", "pages", "new", "kept", "gone", "tokens", "cost")
    good = [one for one in plans if one.plan is not None]
    screen.show(*table(header, map(_row, good), width))
    for one in good:
        if same := _same_as(one):
            screen.show(Text(f"{plain(one.source.document_key)}: {same}", "yellow"))
    for one in plans:
        if one.error is not None:
            name = plain(one.source.document_key)
            screen.tell(Text(f"{name}: {one.error.reason}: {plain(one.error.message)}", "red"))
    screen.show(Text("─" * width, "dim"), *_sums(good, width), *_elsewhere(good, width))


def agreed_plans(
    client: Client,
    screen: Screen,
    sources: Sequence[Source],
    collection: str,
    complete_by: datetime | None,
    yes: bool,
) -> Mapping[Source, Planned]:
    """Plans files, shows it, and asks whether they shall be ingested so; ends the command where not.

    Raises:
        Precondition: PLAN_NOT_APPROVED, nobody can be asked.
    """
    plans = []
    for one in planned(client, sources, collection, complete_by):
        plans.append(one)
        if screen.as_json:
            screen.emit(plan_object(one))
    if not screen.as_json:
        show_plans(screen, plans)
    if not (yes or somebody()):
        raise Precondition("PLAN_NOT_APPROVED", "Nobody can be asked here whether the plan is good.")
    agree(screen, question(plans), yes, "Nothing was ingested.")
    return {one.source: one for one in plans}


def question(plans: Sequence[Planned]) -> str:
    """What somebody agrees to: a file that is refused is none of it."""
    good = [one for one in plans if one.plan is not None]
    refused = len(plans) - len(good)
    beside = f"{counted(refused, 'other')} cannot be ingested. " if refused else ""
    return f"{beside}Ingest {counted(len(good), 'document')} for {money(total(plans))}?"


def money(total: Total) -> str:
    """A sum, marked where it is an estimate: "$0.0225", "about $0.0225, at most $0.0450"."""
    if total.exact and total.expected == total.most:
        return total.expected.short()
    about = "" if total.exact else "about "
    return f"{about}{total.expected.short()}, at most {total.most.short()}"


def _row(one: Planned) -> Sequence[str]:
    document, line = one.plan, one.line
    assert document is not None
    about = "" if line.exact else "about "
    if document.unchanged:
        return (plain(one.source.document_key), "", "", "", "", "", "unchanged")
    chunks = (document.chunks_new, document.chunks_kept, document.chunks_removed)
    return (
        plain(one.source.document_key),
        f"{document.pages:,}",
        *(f"{number:,}" for number in chunks),
        f"{line.tokens:,}",
        f"{about}{figures_of(line).short()}",
    )


def _same_as(one: Planned) -> str:
    if one.pays_for_it is not None:
        return f"same content as {plain(one.pays_for_it.document_key)}, which pays for both"
    if one.plan is not None and one.plan.same_content_as and not one.plan.unchanged:
        return f"same content as {plain(one.plan.same_content_as)}"
    return ""


def _sums(plans: Sequence[Planned], width: int) -> Iterator[Text]:
    whole = total(plans)
    lines = [one.line for one in plans if one.plan and one.plan.lines]
    ways = {f"{line.parse_vendor} {line.parse_model}" for line in lines}
    models = {f"{line.embed_vendor} {line.embed_model}{' by batch' if line.batch else ''}" for line in lines}
    if lines:
        yield Text(f"as configured: {', '.join(sorted(ways))}; {', '.join(sorted(models))}", "dim")
    days = sorted({one.plan.price_day for one in plans if one.plan})
    prices = f", prices of {days[-1]}" if days else ""
    label = f"total of {counted(len(plans), 'document')}{prices}"
    about = "" if whole.exact else "about "
    yield spread(Text(label, "bold"), f"{about}{whole.expected.short()}", width)
    if not (whole.exact and whole.expected == whole.most):
        yield spread("", f"at most {whole.most.short()}", width)
    if whole.most.simulated_nano_usd and not whole.most.cost_nano_usd:
        yield Text("~ is simulated money, owed to nobody", "dim")


def _elsewhere(plans: Sequence[Planned], width: int) -> Iterator[Text]:
    """What the parts of the work cost at vendors; their sum is what a pair of them costs."""
    parses, embeddings = parses_elsewhere(plans), embeddings_elsewhere(plans)
    if not parses and not embeddings:
        return
    yield Text("at vendors' list prices", "bold")
    for (vendor, tier), cost in sorted(parses.items(), key=lambda item: item[1]):
        yield spread(f"  parse  {plain(vendor)} {plain(tier)}", dollars(cost), width)
    for (vendor, model, batch), cost in sorted(embeddings.items(), key=lambda item: item[1]):
        by = ", by batch" if batch else ""
        yield spread(f"  embed  {plain(vendor)} {plain(model)}{by}", dollars(cost), width)
