"""The demo: its questions, its kills of a stand-in's process, and what it says of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fakes import Ledger, Orchestrator, make_entry, make_hit, make_run, make_screen, serving
from tests.waiting import PATIENCE_SECONDS
from waybill.cli.bills import Bill
from waybill.cli.demo import run_demo, svg
from waybill.cli.demo_kills import Aftermath
from waybill.cli.exits import Exit
from waybill.client import connect
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceResponse, WatchRunResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.stack.process import Process

KEY = "document-1.md"
SECOND = 1_000_000_000


class Working(Orchestrator):
    """Shows the states of `steps` to whoever watches, and has the trace of `spans`."""

    def __init__(self, steps: tuple[str, ...], spans: Callable[[], list[Span]]) -> None:
        super().__init__()
        self.hits = [make_hit()]
        self.steps = steps
        self.spans = spans

    def WatchRun(self, request: Any, context: Any) -> Iterator[WatchRunResponse]:  # noqa: N802
        run = self.known(request.run_id, context)
        for step in self.steps:
            run.state, run.step = Run.STATE_RUNNING, step
            yield WatchRunResponse(run=run, resume_token=step)
        run.state, run.step = Run.STATE_READY, "publish"
        yield WatchRunResponse(run=run, resume_token="end")

    def GetTrace(self, request: Any, context: Any) -> GetTraceResponse:  # noqa: N802
        return GetTraceResponse(traces=[make_trace(self.spans())])


def make_trace(spans: list[Span]) -> GetTraceResponse.Trace:
    return GetTraceResponse.Trace(run_id=make_run().run_id, trace_id=make_run().trace_id, spans=spans)


def make_step(name: str, start_unix_nano: int, duration_nano: int) -> Span:
    return Span(
        span_id=name.encode().hex().ljust(16, "0"),
        name=name,
        kind="INTERNAL",
        service="orchestrator",
        start_unix_nano=start_unix_nano,
        duration_nano=duration_nano,
    )


def long_steps() -> list[Span]:
    """Both steps began a minute ago; the first has ended in the future, the second not yet."""
    now = time.time_ns()
    return [
        make_step("parse", now - 60 * SECOND, 120 * SECOND),
        make_step("chunk", now - 60 * SECOND, 0),
        paid_span(),
    ]


def paid_span() -> Span:
    span = make_step("call", 0, 1)
    span.kind, span.entry_id, span.simulated_nano_usd = "CLIENT", "entry-1", 840
    return span


@dataclass
class Victims:
    """Real processes that stand in for the orchestrator, the next as soon as one is dead."""

    stack: ExitStack
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __call__(self) -> Process:
        if not self.children or self.children[-1].poll() is not None:
            self.children.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            self.stack.callback(self.children[-1].communicate)
            self.stack.callback(self.children[-1].kill)
        return Process.of(self.children[-1].pid)


@pytest.fixture
def victims() -> Iterator[Victims]:
    with ExitStack() as stack:
        yield Victims(stack)


def make_examples(root: Path, page: int = 3) -> Path:
    (root / "documents").mkdir()
    (root / "documents" / KEY).write_text("x")
    question = {"question": "Why?", "document_key": KEY, "page": page}
    (root / "questions.jsonl").write_text(json.dumps(question))
    return root


@dataclass(frozen=True)
class Shown:
    """What a demo left behind."""

    code: Exit
    out: str
    err: str
    picture: str


def play(
    orchestrator: Orchestrator,
    examples: Path,
    victim: Callable[[], Process | None],
    ranks_count: bool = True,
) -> Shown:
    """The demo against stand-ins, whose ledger has settled one embedding of 840 nano-USD."""
    screen, ledger = make_screen(), Ledger()
    ledger.entries = [make_entry(make_run().run_id)]
    with serving(orchestrator, ledger) as environ, connect(environ=environ, correlation_id="l") as client:
        code = run_demo(client, screen, examples, "l", victim, ranks_count)
    assert isinstance(screen.err.file, StringIO)
    return Shown(code, screen.out.export_text(clear=False), screen.err.file.getvalue(), svg(screen))


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize(("page", "code"), [(3, Exit.OK), (4, Exit.DOCUMENT_FAILED)])
def test_the_demo_holds_only_when_every_page_comes_first(tmp_path: Path, page: int, code: Exit) -> None:
    orchestrator = Working((), long_steps)
    # A document of the user's own answers even better.
    orchestrator.hits = [make_hit("Another.", document_key="other.pdf"), make_hit()]
    shown = play(orchestrator, make_examples(tmp_path, page), lambda: None)
    assert shown.code == code
    assert "trace " in shown.out
    assert "total" in shown.out
    assert "Why?" not in shown.out
    assert "url(" not in shown.picture.replace("url(#", "")


def test_ranks_do_not_count_where_vectors_mean_nothing_and_it_says_so(
    tmp_path: Path, victims: Victims
) -> None:
    orchestrator = Working(("parse", "chunk"), long_steps)
    shown = play(orchestrator, make_examples(tmp_path, page=4), victims, ranks_count=False)
    assert (shown.code, "the ranks below do not count" in shown.err) == (Exit.OK, True)


def test_the_demo_kills_once_in_parse_and_once_in_chunk(tmp_path: Path, victims: Victims) -> None:
    steps = ("parse", "parse", "chunk", "chunk", "embed")
    shown = play(Working(steps, long_steps), make_examples(tmp_path), victims)
    first, second = victims.children
    assert [child.wait(PATIENCE_SECONDS) for child in victims.children] == [-9, -9]
    said = [line for line in shown.err.splitlines() if line.startswith("kill -9")]
    assert said == [
        f"kill -9 of the orchestrator (pid {first.pid}): {KEY} is in parse",
        f"kill -9 of the orchestrator (pid {second.pid}): {KEY} is in chunk",
    ]
    assert lines(shown.out)[-5:] == [
        f"{KEY}: parse killed in it",
        f"{KEY}: chunk killed in it",
        "pages parsed twice 0",
        "embedding requests repeated 0",
        "bill = spans ~$0.00000084 = ~$0.00000084",
    ]
    assert shown.code == Exit.OK


def test_a_step_that_was_passed_before_the_kill_is_said_to_be(tmp_path: Path, victims: Victims) -> None:
    ended = make_step("parse", time.time_ns() - 2 * SECOND, SECOND)
    shown = play(Working(("parse",), lambda: [ended, paid_span()]), make_examples(tmp_path), victims)
    assert f"{KEY}: parse had passed it just before the kill" in lines(shown.out)
    assert f"{KEY}: chunk had passed it" in lines(shown.out)
    assert len(victims.children) == 1


def test_an_unchanged_demo_kills_nothing_and_says_nothing_of_it(tmp_path: Path, victims: Victims) -> None:
    orchestrator = Working((), long_steps)
    orchestrator.runs_begin_as = {"state": Run.STATE_UNCHANGED}
    shown = play(orchestrator, make_examples(tmp_path), victims)
    assert not victims.children
    assert "kill" not in shown.out + shown.err


def test_a_bill_that_is_not_the_spans_fails_the_demo(tmp_path: Path) -> None:
    shown = play(Working((), list), make_examples(tmp_path), lambda: None)
    assert shown.code == Exit.DOCUMENT_FAILED
    assert "bill ≠ spans ~$0.00000084 ≠ $0.00" in lines(shown.out)


def make_parse(attempt: int, **fields: Any) -> Entry:
    run = make_run()
    return make_entry(
        run.run_id, operation="parse", spend_key="parse:a", quantity=14, attempt=attempt, **fields
    )


@pytest.mark.parametrize(
    ("second", "twice"), [(Entry.STATE_SETTLED, 14), (Entry.STATE_RELEASED, 0), (Entry.STATE_IN_DOUBT, 0)]
)
def test_pages_are_parsed_twice_only_where_both_were_settled(second: Any, twice: int) -> None:
    bill = Bill(make_run(), (make_parse(1), make_parse(2, state=second)))
    assert Aftermath.of([bill], []).pages_twice == twice


def test_each_repeated_embedding_counts_whatever_became_of_it() -> None:
    run_id = make_run().run_id
    entries = (
        make_entry(run_id, state=Entry.STATE_IN_DOUBT),
        make_entry(run_id, attempt=2),
        make_entry(run_id, attempt=3, state=Entry.STATE_HELD),
    )
    after = Aftermath.of([Bill(make_run(), entries)], [make_trace([paid_span()])])
    assert after.embeddings_repeated == 2
    assert after.whole
