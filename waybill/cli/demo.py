"""`waybill demo`: the whole way on this machine, with the documents and questions of examples/."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.text import Text

from waybill.cli.bills import bills_of_runs
from waybill.cli.demo_kills import Aftermath, DemoKills, told
from waybill.cli.exits import Exit
from waybill.cli.ingest import ingest_sources, show_receipt
from waybill.cli.outcome import Outcome, exit_of
from waybill.cli.plain import plain
from waybill.cli.progress import watcher
from waybill.cli.screen import Screen, plain_console, spread
from waybill.cli.session import failing
from waybill.cli.sources import Gathering, gather
from waybill.cli.stack import Mode
from waybill.cli.waterfall import waterfall
from waybill.client import Client, connect
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    GetRunRequest,
    GetTraceRequest,
    ListRunsRequest,
    SearchRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.places import EXAMPLES
from waybill.runtime.settings import MODE
from waybill.stack import home, operate
from waybill.stack.home import Home
from waybill.stack.process import Process

_PICTURE_WIDTH = 80
_LIMIT = 50
# For one look at a run; the orchestrator may be dead.
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the page that answers it."""

    question: str
    document_key: str
    page: int


def demo(
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also write waterfall and receipt to this SVG file.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(envvar=MODE.name, help="Local engines, or vendors' simulators.")
    ] = Mode.LOCAL,
) -> None:
    """Ingest the example documents through two kills, ask the example questions, show trace and bill."""
    width = _PICTURE_WIDTH if picture else None
    screen = Screen(plain_console(width=width, record=picture is not None), plain_console(stderr=True))
    correlation_id = f"demo-{uuid.uuid4()}"
    with (
        failing(screen),
        _stack(screen, mode) as (folder, addresses),
        connect(addresses, correlation_id=correlation_id) as client,
    ):
        code = run_demo(
            client, screen, EXAMPLES, correlation_id, lambda: _orchestrator(folder), mode is Mode.LOCAL
        )
    if picture:
        picture.write_text(svg(screen), encoding="utf-8")
    raise typer.Exit(code)


def run_demo(
    client: Client,
    screen: Screen,
    examples: Path,
    correlation_id: str,
    orchestrator: Callable[[], Process | None],
    ranks_count: bool = True,
) -> Exit:
    """The demo against a stack that runs; whether everything was as it should be."""
    found = gather([examples / "documents"])
    screen.note(f"ingesting {len(found.sources)} documents", "bold")
    kills, outcomes = _ingest(client, screen, found, correlation_id, orchestrator)
    lines = (examples / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    if not ranks_count:
        screen.note("the simulator's vectors mean nothing, so the ranks below do not count", "dim")
    questions = [Question(**json.loads(line)) for line in lines if line]
    right = ask(client, screen, questions, ranks_count)
    if screen.out.record:
        screen.out.export_text(clear=True)  # the picture holds what follows
    _show_waterfall(client, screen, outcomes)
    show_receipt(client, screen, outcomes, correlation_id, would_cost=True)
    whole = _show_aftermath(client, screen, outcomes, kills)
    return exit_of(outcomes) if whole and (right or not ranks_count) else Exit.DOCUMENT_FAILED


def _ingest(
    client: Client,
    screen: Screen,
    found: Gathering,
    correlation_id: str,
    orchestrator: Callable[[], Process | None],
) -> tuple[DemoKills, list[Outcome]]:
    def look(run_id: str) -> Run:
        return client.orchestrator.GetRun(GetRunRequest(run_id=run_id), timeout=_LOOK_SECONDS).run

    sources = found.sources
    kills = DemoKills(watcher(screen, len(sources)), screen, sources[0].document_key, orchestrator, look)
    outcomes = ingest_sources(client, screen, found, correlation_id, watching_on=lambda *_: kills)
    return kills, outcomes


def _show_aftermath(client: Client, screen: Screen, outcomes: Sequence[Outcome], kills: DemoKills) -> bool:
    """Says what the kills cost, where there was work to kill; whether nothing was lost or paid twice."""
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    victim = next((run for run in runs if run.document_key == kills.document_key), None)
    if victim is None or victim.state == Run.STATE_UNCHANGED:
        return True
    requests = (GetTraceRequest(run_id=run.run_id) for run in runs)
    traces = [trace for request in requests for trace in client.orchestrator.GetTrace(request).traces]
    spans = [span for trace in traces if trace.run_id == victim.run_id for span in trace.spans]
    aftermath = Aftermath.of(bills_of_runs(client, runs), traces)
    screen.show("", Text("kill -9 of the orchestrator, and what was repeated", "bold"))
    screen.show(*told(kills.kills, victim.document_key, spans, screen.out.width))
    screen.show(*aftermath.lines(screen.out.width))
    return aftermath.whole


def ask(client: Client, screen: Screen, questions: Sequence[Question], ranks_count: bool = True) -> bool:
    """Asks each question; whether its page came first among the documents asked about, every time."""
    screen.show(Text("questions, and the rank of the page that answers each", "bold"))
    ranks = []
    ours = {question.document_key for question in questions}
    for question in questions:
        hits = client.orchestrator.Search(SearchRequest(query=question.question, limit=_LIMIT)).hits
        # The stack is the user's, and so may hold documents of theirs that answer as well.
        places = [(hit.document_key, hit.chunk.page) for hit in hits if hit.document_key in ours]
        wanted = (question.document_key, question.page)
        ranks.append(places.index(wanted) + 1 if wanted in places else None)
        found = f"rank {ranks[-1]}" if ranks[-1] else "not found"
        colour = "dim" if not ranks_count else "green" if ranks[-1] == 1 else "bold red"
        width = min(screen.out.width, 100)
        screen.show(Text(plain(question.question)))
        place = f"  {plain(question.document_key)}, page {question.page}"
        screen.show(spread(Text(place, "dim"), Text(found, colour), width))
    return all(rank == 1 for rank in ranks)


@contextmanager
def _stack(screen: Screen, mode: Mode) -> Iterator[tuple[Home, dict[str, str]]]:
    """A running stack's folder and addresses. One that ran before is left running, one of ours is stopped."""
    folder = home.find(os.environ)
    screen.note(f"starting the stack, state in {folder.folder}", "bold")
    stack = operate.up(folder, "free", mode)
    try:
        yield folder, dict(stack.addresses)
    finally:
        if stack.started:
            operate.down(folder)
            screen.note("the stack is stopped, its data stays; next: waybill up", "bold")
        else:
            screen.note("the stack was up before and stays up; next: waybill search QUESTION", "bold")


def _orchestrator(folder: Home) -> Process | None:
    """The process that the stack's state names now."""
    running = operate.running(folder)
    program = running.programs.get("orchestrator") if running else None
    return program.process if program else None


def _show_waterfall(client: Client, screen: Screen, outcomes: Sequence[Outcome]) -> None:
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    longest = max(runs, key=lambda run: run.size_bytes, default=None)
    built = longest and _builder(client, longest)
    if built is None:
        return
    if longest is not None and built.run_id != longest.run_id:
        screen.note(f"{plain(built.document_key)} is unchanged; this is the run that built it", "dim")
    for trace in client.orchestrator.GetTrace(GetTraceRequest(run_id=built.run_id)).traces:
        screen.show(*waterfall(trace, screen.out.width), "")


def _builder(client: Client, run: Run) -> Run | None:
    """The run that made what is published: this one, or the newest READY one of the document."""
    if run.state == Run.STATE_READY:
        return run
    runs = client.orchestrator.ListRuns(ListRunsRequest(page_size=200)).runs
    same = (other for other in runs if other.document_key == run.document_key)
    return next((other for other in same if other.state == Run.STATE_READY), None)


def svg(screen: Screen) -> str:
    """What the screen has recorded, as SVG without Rich's links to fonts on the web."""
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return screen.out.export_svg(title="waybill: where time and money went", code_format=template)
