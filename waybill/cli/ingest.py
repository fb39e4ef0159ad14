"""`waybill ingest`: files and folders in, several at a time, each watched to its end; then the receipt."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from waybill.cli.bills import bills_of_runs
from waybill.cli.exits import Exit, advice, code_of
from waybill.cli.inert import inert
from waybill.cli.objects import Shape, state_name
from waybill.cli.progress import Watcher, watcher
from waybill.cli.receipt import receipt
from waybill.cli.screen import Screen
from waybill.cli.session import DEFAULT_TENANT, Json, Tenant, reachable, session
from waybill.cli.sources import Source, alike, gather, unreadable
from waybill.client import FINAL_STATES, Client
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest, ServiceError

IN_FLIGHT = 4
GOOD_STATES = frozenset({Run.STATE_READY, Run.STATE_UNCHANGED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one document ended: its last known run, and what went wrong between us and the service."""

    source: Source
    run: Run | None = None
    error: ServiceError | None = None

    @property
    def good(self) -> bool:
        """Whether the document is in the index with this content."""
        return self.error is None and self.run is not None and self.run.state in GOOD_STATES

    @property
    def passed_over(self) -> bool:
        """Nobody named the file, and its type is not ours."""
        reason = self.error.reason if self.error else self.run.reason if self.run else ""
        return self.source.from_folder and reason == "FILE_TYPE_UNSUPPORTED"


@dataclass(slots=True)
class Board:
    """The last known run of each document that was sent."""

    runs: dict[Source, Run] = field(default_factory=dict)

    def going_on(self) -> list[Run]:
        """Runs that the stack has not ended yet."""
        return [run for run in self.runs.values() if run.state not in FINAL_STATES]


def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files and folders.", metavar="PATH...")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Put documents into the index; ends in a receipt."""
    correlation_id = str(uuid.uuid4())
    with session(tenant, as_json, correlation_id) as here:
        found = gather(map(Path, paths))
        for what in found.passed_over:
            here.screen.note(f"passed over {inert(what)}")
        outcomes = ingest_sources(here.client, here.screen, found.sources, correlation_id)
        if not as_json:
            show_receipt(here.client, here.screen, outcomes, correlation_id)
    raise typer.Exit(exit_of(outcomes))


def ingest_sources(
    client: Client, screen: Screen, sources: Sequence[Source], correlation_id: str
) -> list[Outcome]:
    """Ingests files and reports each as it ends; answers in their order, without those passed over.

    Raises:
        ServiceError: Nothing was sent: two keys are alike, the stack is not there, or there is no document.
    """
    if fault := alike(sources):
        _refuse_all(screen, sources, fault, correlation_id)
    try:
        reachable(client)
    except ServiceError as error:
        _refuse_all(screen, sources, error, correlation_id)
    outcomes: list[Outcome] = []
    board = Board()
    try:
        with watcher(screen) as watching, closing(_ingest_all(client, sources, watching, board)) as ending:
            for outcome in ending:
                _report(screen, outcome, correlation_id)
                if not outcome.passed_over:
                    outcomes.append(outcome)
    except KeyboardInterrupt:
        _say_what_goes_on(screen, board, unsent=len(sources) - len(board.runs))
        raise
    if not outcomes:
        raise InvalidRequest("NOTHING_TO_INGEST", "There is no document of a supported type here.")
    return sorted(outcomes, key=lambda outcome: sources.index(outcome.source))


def exit_of(outcomes: Sequence[Outcome]) -> Exit:
    """OK only when every document is in the index with its present content."""
    return Exit.OK if all(outcome.good for outcome in outcomes) else Exit.DOCUMENT_FAILED


def document_object(outcome: Outcome, correlation_id: str) -> Shape:
    """A document, as `ingest` prints it; a refused one has no run and is FAILED."""
    run, error = outcome.run, _error_object(outcome)
    return {
        "path": str(outcome.source.path),
        "document_key": outcome.source.document_key,
        "document_id": (run.document_id or None) if run else None,
        "run_id": run.run_id if run else None,
        "correlation_id": run.correlation_id if run else correlation_id,
        "state": state_name(run) if run else "FAILED",
        "pages": run.pages if run else 0,
        "chunks": run.chunks if run else 0,
        "cost_nano_usd": run.cost_nano_usd if run else 0,
        "simulated_nano_usd": run.simulated_nano_usd if run else 0,
        "error": error,
    }


def _error_object(outcome: Outcome) -> Shape | None:
    if outcome.good:
        return None
    if outcome.error is not None:
        error = outcome.error
        return {"code": code_of(error).name, "reason": error.reason, "message": error.message}
    assert outcome.run is not None
    run = outcome.run
    return {"code": state_name(run), "reason": run.reason or state_name(run), "message": run.message}


def _ingest_all(
    client: Client, sources: Sequence[Source], watching: Watcher, board: Board
) -> Generator[Outcome]:
    """Outcomes as they come, a bounded number of documents at a time."""
    pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="ingest")
    try:
        jobs = [pool.submit(_ingest_one, client, source, watching, board) for source in sources]
        for job in as_completed(jobs):
            outcome = job.result()
            watching.ended(outcome.source)
            yield outcome
    except BaseException:
        # Closing the client ends the calls that the workers are in, so that the pool can end.
        client.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _ingest_one(client: Client, source: Source, watching: Watcher, board: Board) -> Outcome:
    if source.fault is not None:
        return Outcome(source, error=source.fault)
    try:
        run = client.ingest(source.path, document_key=source.document_key)
        _note(source, run, watching, board)
        if run.state not in FINAL_STATES:
            for changed in client.watch(run.run_id):
                _note(source, changed, watching, board)
    except OSError as error:
        return Outcome(source, error=unreadable(source.path, error))
    except ServiceError as error:
        return Outcome(source, board.runs.get(source), error)
    return Outcome(source, board.runs[source])


def _note(source: Source, run: Run, watching: Watcher, board: Board) -> None:
    board.runs[source] = run
    watching.saw(source, run)


def _report(screen: Screen, outcome: Outcome, correlation_id: str) -> None:
    key = inert(outcome.source.document_key)
    if outcome.passed_over:
        screen.note(f"passed over {key}: its type is not supported")
        return
    if screen.as_json:
        screen.emit(document_object(outcome, correlation_id))
    error = _error_object(outcome)
    if error is None:
        assert outcome.run is not None
        screen.note(f"{state_name(outcome.run)} {key}", "green")
        return
    state = state_name(outcome.run) if outcome.run else "FAILED"
    screen.note(f"{state} {key}: {inert(error['reason'])}: {inert(error['message'])}", "red")
    if outcome.error is not None:
        screen.note(f"  next: {advice(outcome.error).next_step}")


def _refuse_all(
    screen: Screen, sources: Sequence[Source], fault: ServiceError, correlation_id: str
) -> NoReturn:
    """None was sent, all for the same reason."""
    for source in sources if screen.as_json else ():
        screen.emit(document_object(Outcome(source, error=source.fault or fault), correlation_id))
    raise fault


def show_receipt(client: Client, screen: Screen, outcomes: Sequence[Outcome], correlation_id: str) -> None:
    """Prints what these documents cost."""
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    if not runs:
        return
    try:
        screen.show(*receipt(bills_of_runs(client, runs), screen.out.width))
    except ServiceError as error:
        screen.fail(error)
        screen.note(f"The documents are as reported; their bill: waybill bill {correlation_id}")


def _say_what_goes_on(screen: Screen, board: Board, unsent: int) -> None:
    going_on = board.going_on()
    screen.note("interrupted")
    for run in going_on:
        screen.note(f"goes on in the stack: {inert(run.document_key)}: waybill run {inert(run.run_id)}")
    if unsent:
        screen.note(f"documents not sent: {unsent}; the same command sends them, and skips what is unchanged")
    if going_on:
        screen.note("all runs: waybill runs")
