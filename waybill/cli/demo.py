"""`waybill demo`: the whole way on this machine, with the documents and questions of examples/."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.text import Text

from waybill.cli.exits import Exit, advice
from waybill.cli.inert import inert
from waybill.cli.ingest import Outcome, exit_of, ingest_sources, show_receipt
from waybill.cli.screen import Screen, plain_console, spread
from waybill.cli.sources import gather
from waybill.cli.waterfall import waterfall
from waybill.client import Client, connect
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, ListRunsRequest, SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import ServiceError
from waybill.stack import home, operate
from waybill.stack.config import CHECKOUT
from waybill.stack.home import HomeUnusable
from waybill.stack.operate import StackFailed
from waybill.stack.ports import PortTaken
from waybill.stack.postgres import PostgresFailed

EXAMPLES = CHECKOUT / "examples"
_PICTURE_WIDTH = 80
_LIMIT = 50


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
) -> None:
    """Ingest the example documents, ask the example questions, show trace and bill."""
    width = _PICTURE_WIDTH if picture else None
    screen = Screen(plain_console(width=width, record=picture is not None), plain_console(stderr=True))
    correlation_id = f"demo-{uuid.uuid4()}"
    try:
        with _stack(screen) as addresses, connect(addresses, correlation_id=correlation_id) as client:
            code = run_demo(client, screen, EXAMPLES, correlation_id)
    except ServiceError as error:
        screen.fail(error)
        raise typer.Exit(advice(error).exit) from None
    except (StackFailed, HomeUnusable, PortTaken, PostgresFailed) as failure:
        screen.note(f"error: {failure}", "bold red")
        raise typer.Exit(Exit.DOCUMENT_FAILED) from None
    if picture:
        picture.write_text(svg(screen), encoding="utf-8")
    raise typer.Exit(code)


def run_demo(client: Client, screen: Screen, examples: Path, correlation_id: str) -> Exit:
    """The demo against a stack that runs; whether everything was as it should be."""
    sources = gather([examples / "documents"]).sources
    screen.note(f"ingesting {len(sources)} documents", "bold")
    outcomes = ingest_sources(client, screen, sources, correlation_id)
    lines = (examples / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    right = ask(client, screen, [Question(**json.loads(line)) for line in lines if line])
    if screen.out.record:
        screen.out.export_text(clear=True)  # the picture holds what follows
    _show_waterfall(client, screen, outcomes)
    show_receipt(client, screen, outcomes, correlation_id)
    return exit_of(outcomes) if right else Exit.DOCUMENT_FAILED


def ask(client: Client, screen: Screen, questions: Sequence[Question]) -> bool:
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
        width = min(screen.out.width, 100)
        screen.show(Text(inert(question.question)))
        place = f"  {inert(question.document_key)}, page {question.page}"
        screen.show(spread(Text(place, "dim"), Text(found, "green" if ranks[-1] == 1 else "bold red"), width))
    return all(rank == 1 for rank in ranks)


@contextmanager
def _stack(screen: Screen) -> Iterator[dict[str, str]]:
    """A running stack's addresses. One that ran before is left running, one of ours is stopped."""
    folder = home.find(os.environ, Path.cwd())
    screen.note(f"starting the stack, state in {folder.folder}", "bold")
    stack = operate.up(folder, "free")
    try:
        yield dict(stack.addresses)
    finally:
        if stack.started:
            operate.down(folder)
            screen.note("the stack is stopped, its data stays; next: make up", "bold")
        else:
            screen.note("the stack was up before and stays up; next: waybill search QUESTION", "bold")


def _show_waterfall(client: Client, screen: Screen, outcomes: Sequence[Outcome]) -> None:
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    longest = max(runs, key=lambda run: run.size_bytes, default=None)
    built = longest and _builder(client, longest)
    if built is None:
        return
    if longest is not None and built.run_id != longest.run_id:
        screen.note(f"{inert(built.document_key)} is unchanged; this is the run that built it", "dim")
    for trace in client.orchestrator.GetTrace(GetTraceRequest(id=built.run_id)).traces:
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
