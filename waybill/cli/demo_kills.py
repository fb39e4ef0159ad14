"""The demo's own kills: kill -9 of the orchestrator in the middle of its work, and what that cost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from rich.text import Text

from waybill.cli.bills import Bill
from waybill.cli.money import Figures
from waybill.cli.plain import plain
from waybill.cli.progress import Watcher
from waybill.cli.screen import Screen, spread
from waybill.cli.sources import Source
from waybill.client import FINAL_STATES
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import ServiceError
from waybill.stack.process import Process

STEPS = ("parse", "chunk")
_GONE_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that was done: of what process, and when."""

    pid: int
    unix_nano: int


class DemoKills:
    """Watches as another watcher does, and kills once in each of two steps of one document.

    Args:
        watching: Is told everything as well.
        screen: Each kill is said there before it is done.
        document_key: The document whose steps matter.
        orchestrator: Finds the process to kill; None when there is none at the moment.
        look: The run of this id, as it is now: a step may be over before a watcher hears of it.
    """

    def __init__(
        self,
        watching: Watcher,
        screen: Screen,
        document_key: str,
        orchestrator: Callable[[], Process | None],
        look: Callable[[str], Run],
    ) -> None:
        self.kills: dict[str, Kill] = {}
        self._watching = watching
        self._screen = screen
        self.document_key = document_key
        self._orchestrator = orchestrator
        self._look = look
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stalker: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._watching.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        if self._stalker is not None:
            self._stalker.join()
        self._watching.__exit__(*exc)

    def saw(self, source: Source, run: Run) -> None:
        """Kills at once, while the step is under way, and from now on looks for itself."""
        if source.document_key == self.document_key:
            self._strike(run)
            if self._stalker is None and run.state not in FINAL_STATES:
                self._stalker = threading.Thread(target=self._stalk, args=[run.run_id])
                self._stalker.start()
        self._watching.saw(source, run)

    def waits(self, source: Source) -> None:
        """As it is."""
        self._watching.waits(source)

    def ended(self, source: Source) -> None:
        """As it is."""
        self._watching.ended(source)

    def _stalk(self, run_id: str) -> None:
        while len(self.kills) < len(STEPS) and not self._over.wait(_LOOK_SECONDS):
            with suppress(ServiceError):  # the orchestrator is dead, and comes back
                self._strike(self._look(run_id))

    def _strike(self, run: Run) -> None:
        with self._lock:
            if run.state == Run.STATE_RUNNING:
                self._kill_in(run.step)

    def _kill_in(self, step: str) -> None:
        if step not in STEPS or step in self.kills:
            return
        process = self._orchestrator()
        if process is None or not process.alive():
            return
        key = plain(self.document_key)
        self._screen.note(f"kill -9 of the orchestrator (pid {process.pid}): {key} is in {step}", "bold")
        self.kills[step] = Kill(process.pid, time.time_ns())
        process.end(signal.SIGKILL, _GONE_SECONDS)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What was done twice, and whether the bill still stands.

    Attributes:
        pages_twice: Pages paid beyond the first time.
        embeddings_repeated: Embedding requests sent more than once.
        bill: Settled entries, summed.
        spans: Vendor spans, summed.
    """

    pages_twice: int
    embeddings_repeated: int
    bill: Figures
    spans: Figures

    @classmethod
    def of(cls, bills: Iterable[Bill], traces: Iterable[GetTraceResponse.Trace]) -> Self:
        """Counted from the ledger's entries and the spans of the same runs."""
        entries = [entry for bill in bills for entry in bill.entries]
        spans = (span for trace in traces for span in trace.spans if span.entry_id)
        pages = [entry for entry in entries if _settled(entry) and entry.operation == "parse"]
        distinct = {entry.spend_key: entry.quantity for entry in pages}
        return cls(
            sum(entry.quantity for entry in pages) - sum(distinct.values()),
            sum(entry.operation == "embed" and entry.attempt > 1 for entry in entries),
            Figures.summed(filter(_settled, entries)),
            sum((Figures(span.cost_nano_usd, span.simulated_nano_usd) for span in spans), Figures()),
        )

    @property
    def whole(self) -> bool:
        """Whether no page was paid twice, and the bill is what the trace says."""
        return self.pages_twice == 0 and self.bill == self.spans

    def lines(self, width: int) -> Iterator[Text]:
        """For people."""
        width = min(width, _WIDTH)
        yield spread("pages parsed twice", _judged(str(self.pages_twice), self.pages_twice == 0), width)
        yield spread("embedding requests repeated", str(self.embeddings_repeated), width)
        same = self.bill == self.spans
        figures = f"{self.bill.short()} {'=' if same else '≠'} {self.spans.short()}"
        yield spread("bill = spans" if same else "bill ≠ spans", _judged(figures, same), width)


def told(kills: dict[str, Kill], document_key: str, spans: Sequence[Span], width: int) -> Iterator[Text]:
    """A line a step: whether the kill struck while the document was in it, by the trace's own times."""
    for step in STEPS:
        kill = kills.get(step)
        struck = kill is not None and any(_under_way(span, kill.unix_nano) for span in _steps(spans, step))
        what = "killed in it" if struck else "had passed it" + (" just before the kill" if kill else "")
        yield spread(f"{plain(document_key)}: {step}", _judged(what, struck), min(width, _WIDTH))


def _steps(spans: Sequence[Span], step: str) -> Iterator[Span]:
    """The step's own spans."""
    return (span for span in spans if span.kind == "INTERNAL" and span.name.split()[:1] == [step])


def _under_way(span: Span, unix_nano: int) -> bool:
    ended = span.duration_nano and span.start_unix_nano + span.duration_nano < unix_nano
    return span.start_unix_nano <= unix_nano and not ended


def _settled(entry: Entry) -> bool:
    return entry.state == Entry.STATE_SETTLED


def _judged(text: str, good: bool) -> Text:
    return Text(text, "green" if good else "bold red")
