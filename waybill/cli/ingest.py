"""`waybill ingest`: files and folders in, several at a time, each watched to its end; then the receipt."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from waybill.cli.asking import PlanFirst, Yes
from waybill.cli.bills import bills_of_runs
from waybill.cli.durations import Within, from_now
from waybill.cli.exits import Exit
from waybill.cli.limits import usd
from waybill.cli.outcome import GOOD_STATES, Outcome, document_object, error_object, exit_of
from waybill.cli.pairs import pairs
from waybill.cli.plain import plain
from waybill.cli.plan import agreed_plans
from waybill.cli.planning import Planned
from waybill.cli.progress import Watcher, watcher
from waybill.cli.receipt import receipt
from waybill.cli.screen import Screen
from waybill.cli.session import Json, Tenant, session
from waybill.cli.sources import Gathering, Source, alike, copies, gather, unreadable
from waybill.cli.summary import summary
from waybill.cli.sync import remove_what_left, with_twin
from waybill.cli.taking import to_send
from waybill.client import FINAL_STATES, Client
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest, Precondition, Quota, ServiceError
from waybill.runtime.identity import DEFAULT_TENANT

IN_FLIGHT = 8
QUEUE_FULL = "QUEUE_FULL"
_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Board:
    """The last known run of each document that was sent."""

    runs: dict[Source, Run] = field(default_factory=dict)

    def going_on(self) -> list[Run]:
        """Runs that the stack has not ended yet."""
        return [run for run in self.runs.values() if run.state not in FINAL_STATES]


@dataclass(frozen=True, slots=True)
class Order:
    """What holds for all documents of a command.

    Attributes:
        collection: "default" when empty.
        metadata: To filter searches by.
        complete_by: When all must be done; None: never late.
        max_nano_usd: Most that each document's run may spend; None: no limit of its own.
    """

    collection: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    complete_by: datetime | None = None
    max_nano_usd: int | None = None


DEFAULT_ORDER = Order()


def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files and folders.", metavar="PATH")],
    collection: Annotated[
        str, typer.Option("--collection", help="Where they go; `default` unless named.")
    ] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="KEY=VALUE", help="Said of each document; may be repeated."),
    ] = None,
    within: Within = None,
    max_usd: Annotated[
        int | None,
        typer.Option("--max-usd", parser=usd, metavar="USD", help="Most that each document may cost: 0.50."),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Then delete what came from these folders and left them.")
    ] = False,
    plan: PlanFirst = False,
    yes: Yes = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Put documents into the index; ends in a receipt."""
    if "" in paths:
        raise typer.BadParameter("a path is empty; write . for the folder that you are in")
    if sync and (other := next((path for path in paths if not Path(path).is_dir()), None)):
        raise typer.BadParameter(f"--sync takes folders that are there; {plain(other)!r} is none")
    complete_by = from_now(within)
    correlation_id = str(uuid.uuid4())
    with session(tenant, as_json, correlation_id) as here:
        found = gather(map(Path, paths))
        order = Order(collection, pairs(metadata or [], "--metadata"), complete_by, max_usd)
        agree_on = (
            partial(
                agreed_plans,
                here.client,
                here.screen,
                collection=collection,
                complete_by=complete_by,
                yes=yes,
            )
            if plan
            else None
        )
        outcomes = ingest_sources(here.client, here.screen, found, correlation_id, order, agree_on=agree_on)
        show_receipt(here.client, here.screen, outcomes, correlation_id)
        whole = not sync or remove_what_left(here.client, here.screen, found, outcomes, collection, yes)
    raise typer.Exit(exit_of(outcomes) or (Exit.OK if whole else Exit.REFUSED))


def ingest_sources(
    client: Client,
    screen: Screen,
    found: Gathering,
    correlation_id: str,
    order: Order = DEFAULT_ORDER,
    watching_on: Callable[[Screen, int], Watcher] = watcher,
    agree_on: Callable[[Sequence[Source]], Mapping[Source, Planned]] | None = None,
) -> list[Outcome]:
    """Ingests files and reports each as it ends; answers in their order, without those that are not read.

    Args:
        client: Where they go.
        screen: Where it is told.
        found: What to send, and what was passed over on the way to it.
        correlation_id: The client's label, for what gets no run.
        order: What holds for all of them.
        watching_on: Makes what is told of each change, of so many documents.
        agree_on: Plans them, and has somebody agree to that before any is sent.

    Raises:
        ServiceError: Nothing was sent: two keys are alike, the stack is not there, or there is no document.
    """
    if fault := alike(found.sources):
        _refuse_all(screen, found.sources, fault, correlation_id)
    try:
        taken = to_send(client, screen, found)
    except ServiceError as error:
        _refuse_all(screen, found.sources, error, correlation_id)
    plans = agree_on(taken) if agree_on and taken else {}
    outcomes: list[Outcome] = []
    board = Board()
    try:
        with (
            watching_on(screen, len(taken)) as watching,
            closing(_Sending(client, watching, board, order, plans).outcomes(taken)) as ending,
        ):
            for ended in ending:
                outcome = with_twin(client, screen, ended)
                outcomes.append(outcome)
                _report(screen, outcome, correlation_id, f"{len(outcomes)}/{len(taken)}")
    except (KeyboardInterrupt, OSError):  # Ctrl-C, or nobody reads any more
        _say_what_goes_on(screen, board, unsent=len(taken) - len(board.runs))
        raise
    if not outcomes:
        raise InvalidRequest("NOTHING_TO_INGEST", "There is no document of a type that is read here.")
    place = {source: number for number, source in enumerate(taken)}
    return sorted(outcomes, key=lambda outcome: place[outcome.source])


class _Sending:
    """Documents on their way, a bounded number at a time."""

    def __init__(
        self,
        client: Client,
        watching: Watcher,
        board: Board,
        order: Order,
        plans: Mapping[Source, Planned],
    ) -> None:
        self._client = client
        self._watching = watching
        self._board = board
        self._order = order
        self._plans = plans
        self._jobs: dict[Source, Future[Outcome]] = {}
        self._copies: Mapping[Source, Source] = {}
        self._given_up = threading.Event()

    def outcomes(self, sources: Sequence[Source]) -> Generator[Outcome]:
        """Outcomes as they come."""
        self._copies = copies(sources)
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="ingest")
        try:
            for source in sources:
                self._jobs[source] = pool.submit(self._one, source)
            for job in as_completed(self._jobs.values()):
                outcome = job.result()
                self._watching.ended(outcome.source)
                yield outcome
        except BaseException:
            # Ends the pauses and calls that the workers are in, so that the pool can end.
            self._given_up.set()
            self._client.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _one(self, source: Source) -> Outcome:
        planned = self._plans.get(source)
        if fault := source.fault or (planned.error if planned else None):
            return Outcome(source, error=fault)
        if planned and planned.pays_for_it and not self._is_paid(planned.pays_for_it):
            return Outcome(source, error=_not_paid(planned.pays_for_it))
        if earlier := self._copies.get(source):
            self._jobs[earlier].result()  # both at once would buy the same vectors twice
        try:
            run = self._accepted(source)
            self._note(source, run)
            if run.state not in FINAL_STATES:
                for changed in self._client.watch(run.run_id):
                    self._note(source, changed)
                    batch = changed.state == Run.STATE_WAITING_ON_VENDOR and changed.step == "batch"
                    if batch or changed.state == Run.STATE_BLOCKED_ON_BUDGET:
                        break  # for up to a day, or longer, in which nobody watches
        except OSError as error:
            return Outcome(source, error=unreadable(source.path, error))
        except ServiceError as error:
            return Outcome(source, self._board.runs.get(source), error)
        return Outcome(source, self._board.runs[source])

    def _is_paid(self, earlier: Source) -> bool:
        """Whether another file of the same content is in the index: it was sent before, and is waited for."""
        run = self._jobs[earlier].result().run
        return run is not None and run.state in GOOD_STATES

    def _accepted(self, source: Source) -> Run:
        """Sends a document, again and again for as long as the queue is full."""
        request_id, planned = str(uuid.uuid4()), self._plans.get(source)
        while True:
            try:
                return self._client.ingest(
                    source.path,
                    document_key=source.document_key,
                    request_id=request_id,
                    collection=self._order.collection,
                    complete_by=self._order.complete_by,
                    metadata=self._order.metadata,
                    origin=source.origin,
                    max_nano_usd=self._order.max_nano_usd,
                    plan=planned.plan.approval if planned and planned.plan else None,
                )
            except Quota as error:
                if error.reason != QUEUE_FULL:
                    raise
                self._watching.waits(source)
                if self._given_up.wait(error.retry_after_seconds or _PAUSE_SECONDS):
                    raise

    def _note(self, source: Source, run: Run) -> None:
        self._board.runs[source] = run
        self._watching.saw(source, run)


def _not_paid(earlier: Source) -> Precondition:
    """Why a file is not sent whose content another one was to pay for."""
    return Precondition(
        "PLAN_NOT_APPROVED",
        f"It was planned that {earlier.document_key}, of the same content, pays for both, and that is not"
        " ready. Ingest this file again once it is.",
    )


def _report(screen: Screen, outcome: Outcome, correlation_id: str, place: str) -> None:
    """One line a document; what is to be done about a failure is said at the end."""
    said = f"{place} {outcome.state} {plain(outcome.source.document_key)}"
    if screen.as_json:
        screen.emit(document_object(outcome, correlation_id))
    error = error_object(outcome)
    if outcome.waiting and outcome.run is not None:
        run = outcome.run
        why = plain(f"{run.reason}: {run.message}" if outcome.blocked else run.embedding_tier_reason)
        screen.note(f"{said}: {why}", "yellow")
        once = "once it may spend, " if outcome.blocked else ""
        see = screen.command(f"run {run.run_id}")
        screen.note(f"  next: {once}it goes on by itself; see it: {see}")
    elif error is None and outcome.run is not None and outcome.run.reason:
        screen.note(f"{said}: {plain(outcome.run.reason)}: {plain(outcome.run.message)}", "yellow")
    elif error is None:
        same = f": same content as {plain(outcome.same_content_as)}" if outcome.same_content_as else ""
        screen.note(f"{said}{same}", "green")
    else:
        screen.note(f"{said}: {plain(error['reason'])}: {plain(error['message'])}", "red")


def _refuse_all(
    screen: Screen, sources: Sequence[Source], fault: ServiceError, correlation_id: str
) -> NoReturn:
    """None was sent, all for the same reason."""
    for source in sources if screen.as_json else ():
        screen.emit(document_object(Outcome(source, error=source.fault or fault), correlation_id))
    raise fault


def show_receipt(
    client: Client,
    screen: Screen,
    outcomes: Sequence[Outcome],
    correlation_id: str,
    *,
    would_cost: bool = False,
) -> None:
    """Prints what these documents cost, and how they ended."""
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    try:
        if runs and not screen.as_json:
            bills = bills_of_runs(client, runs)
            screen.show(*receipt(bills, screen.out.width, would_cost=would_cost))
    except ServiceError as error:
        screen.fail(error)
        bill = screen.command(f"bill {plain(correlation_id)}")
        screen.note(f"The documents are as reported; their bill: {bill}")
    console = screen.err if screen.as_json else screen.out
    for line in summary(screen, outcomes, correlation_id):
        console.print(line, soft_wrap=not console.is_terminal)


def _say_what_goes_on(screen: Screen, board: Board, unsent: int) -> None:
    going_on = board.going_on()
    screen.note("interrupted")
    for run in going_on:
        command = screen.command(f"run {plain(run.run_id)}")
        screen.note(f"goes on in the stack: {plain(run.document_key)}: {command}")
    if unsent:
        screen.note(f"documents not sent: {unsent}; the same command sends them, and skips what is unchanged")
    if going_on:
        screen.note(f"all runs: {screen.command('runs')}; stop one: {screen.command('cancel ID')}")
