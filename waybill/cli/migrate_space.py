"""`waybill migrate-space`: another embedding model, tried before it is searched, and with a way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from waybill.cli.asking import Yes, agree
from waybill.cli.exits import Exit
from waybill.cli.money import unit_price
from waybill.cli.objects import Shape, told
from waybill.cli.paging import pages
from waybill.cli.plain import plain
from waybill.cli.questions import Comparison, read, rows
from waybill.cli.screen import Screen, counted, table
from waybill.cli.session import Json, Session, Tenant, reachable, session
from waybill.client import Client
from waybill.common.v1.cost_pb2 import CostKind
from waybill.money import dollars
from waybill.orchestrator.v1 import space_migration_service_pb2 as pb
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListCollectionsRequest
from waybill.orchestrator.v1.space_migration_pb2 import FillPlan
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.storage.v1.collection_space_pb2 import CollectionSpace

PAUSE_SECONDS = 1.0
app = typer.Typer(
    name="migrate-space",
    invoke_without_command=True,
    help="Go to another embedding model: --to fills a second space; evaluate, switch, rollback, finish.",
)
Collection = Annotated[str, typer.Option("--collection", help="Of this one alone; else of all.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is done; it goes on by itself.")]


@app.callback()
def migrate_space(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="MODEL", help="Such as text-embedding-3-large.")] = "",
    dimension: Annotated[
        int, typer.Option("--dimension", min=0, max=4000, help="Numbers in a vector; 0: the model's own.")
    ] = 0,
    collection: Collection = "",
    yes: Yes = False,
    wait: Wait = True,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Show what a second space costs, ask, and fill it beside the first."""
    if context.invoked_subcommand:
        if to:
            raise typer.BadParameter("--to stands alone: it plans and fills")
        return
    if not to:
        raise typer.BadParameter(
            "name a model with --to, or a command: status, evaluate, switch, rollback, finish"
        )
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        plans = list(_plans(client, collection, to, dimension))
        _show_plans(here.screen, plans)
        agree(
            here.screen,
            f"Fill {plain(plans[0][1].space.model)} for {_sum(plans)}?",
            yes,
            "Nothing was bought.",
        )
        for name, plan in plans:
            client.spaces.StartMigration(pb.StartMigrationRequest(collection=name, space=plan.space))
        _follow(
            here, [name for name, _ in plans], wait, lambda one: one.state != CollectionSpace.STATE_FILLING
        )


@app.command()
def status(collection: Collection = "", tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """Show where migrations stand, and what a space lacks."""
    with session(tenant, as_json) as here:
        found = list(_migrations(reachable(here.client), collection))
        _show_migrations(here.screen, found)


@app.command()
def evaluate(
    questions: Annotated[
        Path,
        typer.Option("--questions", metavar="FILE", help="A line each: text, or JSON with what is expected."),
    ],
    collection: Collection = "",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Ask your own questions in both spaces. Each is embedded twice, and paid."""
    asked = read(questions)
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        for one in _open(client, collection):
            report = Comparison()
            for question in asked:
                request = pb.TrySpacesRequest(collection=one.migration.collection, query=question.text)
                answer = client.spaces.TrySpaces(request)
                report.add(question, answer.searched, answer.beside)
            _show_report(here.screen, one.migration.collection, report)


@app.command()
def switch(
    collection: Collection = "", wait: Wait = True, tenant: Tenant = DEFAULT_TENANT, as_json: Json = False
) -> None:
    """Let searches use the new space, all at once; what came since is embedded first."""
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        names = [one.migration.collection for one in _open(client, collection)]
        for name in names:
            client.spaces.SwitchSearches(pb.SwitchSearchesRequest(collection=name))
        _follow(here, names, wait, lambda one: not one.moving)


@app.command()
def rollback(
    collection: Collection = "",
    yes: Yes = False,
    wait: Wait = True,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Let searches use the old space again; what came since the switch is embedded there first."""
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        found = list(_open(client, collection))
        plans = [
            (one.migration.collection, one.missing)
            for one in found
            if one.migration.state == CollectionSpace.STATE_SWITCHED and one.missing.measure.missing_chunks
        ]
        if plans:
            _show_plans(here.screen, plans)
            agree(
                here.screen,
                f"Embed what came since for {_sum(plans)}, and go back?",
                yes,
                "Nothing was changed.",
            )
        names = [one.migration.collection for one in found]
        for name in names:
            client.spaces.RollBackSearches(pb.RollBackSearchesRequest(collection=name))
        _follow(here, names, wait, lambda one: not one.moving)


@app.command()
def finish(
    collection: Collection = "", yes: Yes = False, tenant: Tenant = DEFAULT_TENANT, as_json: Json = False
) -> None:
    """End it: the vectors of the space that is not searched are deleted, and there is no way back."""
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        found = [one.migration for one in _open(client, collection)]
        gone = ", ".join(f"{plain(one.other.model)} of {plain(one.collection)}" for one in found)
        agree(here.screen, f"Delete the vectors of {gone}?", yes)
        for one in found:
            client.spaces.FinishMigration(pb.FinishMigrationRequest(collection=one.collection))
        _show_migrations(here.screen, [_migration(client, one.collection) for one in found])


def _collections(client: Client, named: str) -> list[str]:
    if named:
        return [named]
    answers = pages(client.orchestrator.ListCollections, ListCollectionsRequest())
    return [one.collection for answer in answers for one in answer.collections]


def _plans(client: Client, collection: str, model: str, dimension: int) -> Iterator[tuple[str, FillPlan]]:
    """A plan for each collection that is not in the space yet; raises SPACE_SEARCHED where all are."""
    searched: Precondition | None = None
    planned = 0
    for name in _collections(client, collection):
        request = pb.PlanMigrationRequest(collection=name, model=model, dimension=dimension)
        try:
            yield name, client.spaces.PlanMigration(request).plan
            planned += 1
        except Precondition as error:
            if error.reason != "SPACE_SEARCHED":
                raise
            searched = error
    if not planned:
        raise searched or NotFound("DOCUMENT_NOT_FOUND", "Nothing is published: there is nothing to migrate.")


def _migration(client: Client, collection: str) -> pb.GetMigrationResponse:
    return client.spaces.GetMigration(pb.GetMigrationRequest(collection=collection))


def _migrations(client: Client, collection: str) -> Iterator[pb.GetMigrationResponse]:
    for name in _collections(client, collection):
        try:
            yield _migration(client, name)
        except NotFound:
            if collection:
                raise


def _open(client: Client, collection: str) -> list[pb.GetMigrationResponse]:
    """Those with a second space."""
    found = [one for one in _migrations(client, collection) if one.migration.HasField("other")]
    if not found:
        raise NotFound("MIGRATION_NOT_FOUND", "No collection has a second space.")
    return found


def _follow(here: Session, names: Sequence[str], wait: bool, done: Callable[[CollectionSpace], bool]) -> None:
    """Says how it goes until all are done; ends the command where one rests for a reason."""
    try:
        _await(here, names if wait else [], done)
    except KeyboardInterrupt:
        here.screen.note(f"It goes on in the stack: {here.screen.command('migrate-space status')}")
        raise
    _show_migrations(here.screen, [_migration(here.client, name) for name in names])


def _await(here: Session, names: Sequence[str], done: Callable[[CollectionSpace], bool]) -> None:
    told: dict[str, str] = {}
    pause = threading.Event()
    left = list(names)
    while left:
        began = time.monotonic()
        for name in list(left):
            found = _migration(here.client, name)
            line, row = _progress(found), found.migration
            if told.get(name) != line and not here.screen.as_json:
                here.screen.note(line, "dim")
            told[name] = line
            if done(row):
                left.remove(name)
            elif row.reason:
                _show_migrations(here.screen, [found])
                raise typer.Exit(Exit.QUOTA if row.reason == "BUDGET_EXCEEDED" else Exit.REFUSED)
        if left:
            # Each look reads every published chunk.
            pause.wait(max(PAUSE_SECONDS, 5 * (time.monotonic() - began)))


def _progress(found: pb.GetMigrationResponse) -> str:
    measure, row = found.missing.measure, found.migration
    there = measure.chunks - measure.missing_chunks
    chunks = counted(measure.chunks, "chunk")
    return f"{plain(row.collection)}: {plain(row.other.model)} has {there:,} of {chunks}"


def _show_plans(screen: Screen, plans: Sequence[tuple[str, FillPlan]]) -> None:
    if screen.as_json:
        for name, plan in plans:
            screen.emit(plan_object(name, plan))
        return
    header = ("collection", "documents", "chunks", "without", "tokens", "cost")
    lines = [
        (
            plain(name),
            *(f"{number:,}" for number in _figures(plan)),
            _money(plan.nano_usd, simulated=plan.kind == CostKind.COST_KIND_SIMULATED),
        )
        for name, plan in plans
    ]
    screen.show(*table(header, lines, screen.page_width))
    plan = plans[0][1]
    price = f"{unit_price(plan.nano_usd_per_million)} tokens on {plan.price_day}, embedded at once"
    screen.tell(
        Text(f"{plan.vendor} {plain(plan.model)}, {plan.space.dimension:,} numbers a vector: {price}", "dim")
    )


def _figures(plan: FillPlan) -> tuple[int, int, int, int]:
    measure = plan.measure
    return measure.documents, measure.chunks, measure.missing_chunks, measure.tokens_to_embed


def _sum(plans: Sequence[tuple[str, FillPlan]]) -> str:
    simulated = any(plan.kind == CostKind.COST_KIND_SIMULATED for _, plan in plans)
    return _money(sum(plan.nano_usd for _, plan in plans), simulated=simulated)


def _money(nano_usd: int, *, simulated: bool) -> str:
    return f"{'~' if simulated else ''}{dollars(nano_usd)}"


def _show_migrations(screen: Screen, found: Sequence[pb.GetMigrationResponse]) -> None:
    if screen.as_json:
        for one in found:
            screen.emit(migration_object(one))
        return
    if not found:
        screen.note(f"No migration was begun. One begins with: {screen.command('migrate-space --to MODEL')}")
        return
    header = ("collection", "state", "searched", "beside", "without")
    lines = [
        (
            plain(one.migration.collection),
            _state(one.migration),
            plain(one.migration.space.model),
            plain(one.migration.other.model) or "-",
            f"{one.missing.measure.missing_chunks:,}" if one.HasField("missing") else "-",
        )
        for one in found
    ]
    screen.show(*table(header, lines, screen.page_width))
    for one in found:
        row = one.migration
        if row.reason:
            goes_on = row.moving or row.state == CollectionSpace.STATE_FILLING
            after = " It goes on by itself." if goes_on else ""
            screen.note(f"{plain(row.collection)} rests: {row.reason}: {plain(row.message)}{after}")
        screen.note(f"Its bill: {screen.command(f'bill {row.run_id}')}", "dim")


def _state(row: CollectionSpace) -> str:
    name = CollectionSpace.State.Name(row.state).removeprefix("STATE_")
    return f"{name}, moving" if row.moving else name


def _show_report(screen: Screen, collection: str, report: Comparison) -> None:
    shape = {"collection": collection, **report.shape()}
    if screen.as_json:
        screen.emit(shape)
        return
    header = (plain(collection), f"now: {plain(report.searched.model)}", f"new: {plain(report.beside.model)}")
    screen.show(*table(header, rows(report), screen.page_width))
    asked = counted(shape["questions"], "question")
    screen.note(f"{asked} embedded in both spaces, and paid: {screen.command('bill')}")
    if not report.expecting:
        screen.note("With documents or phrases that are expected, recall and MRR are counted, too.")


def plan_object(collection: str, plan: FillPlan) -> Shape:
    """A plan, as --json prints it."""
    documents, chunks, missing, tokens = _figures(plan)
    return {
        "collection": collection,
        "space": told(plan.space),
        "documents": documents,
        "chunks": chunks,
        "missing_chunks": missing,
        "texts_to_embed": plan.measure.texts_to_embed,
        "tokens_to_embed": tokens,
        "vendor": plan.vendor,
        "model": plan.model,
        "kind": CostKind.Name(plan.kind).removeprefix("COST_KIND_").lower(),
        "nano_usd_per_million": plan.nano_usd_per_million,
        "nano_usd": plan.nano_usd,
        "price_day": plan.price_day,
    }


def migration_object(found: pb.GetMigrationResponse) -> dict[str, Any]:
    """A migration, as --json prints it."""
    row = found.migration
    return {
        "collection": row.collection,
        "state": CollectionSpace.State.Name(row.state).removeprefix("STATE_"),
        "moving": row.moving,
        "searched": told(row.space),
        "beside": told(row.other) if row.HasField("other") else None,
        "missing": plan_object(row.collection, found.missing) if found.HasField("missing") else None,
        "reason": row.reason,
        "message": row.message,
        "run_id": row.run_id,
        "correlation_id": row.correlation_id,
    }
