"""Progress by step and document: bars on a terminal, elsewhere one line a change."""

from __future__ import annotations

import threading
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from waybill.cli.objects import state_name
from waybill.cli.plain import plain
from waybill.cli.screen import Screen
from waybill.cli.sources import Source
from waybill.client import FINAL_STATES
from waybill.orchestrator.v1.run_pb2 import Run

STEPS = ("receive", "store", "parse", "chunk", "batch", "embed", "publish")
QUEUE_FULL = "waits, queue full"


class Watcher(Protocol):
    """Is told each state of each document, from several threads."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def saw(self, source: Source, run: Run) -> None:
        """The run of this document has changed."""
        ...

    def waits(self, source: Source) -> None:
        """This document is not accepted yet: the queue is full. Said before each pause."""
        ...

    def ended(self, source: Source) -> None:
        """Nothing more comes for this document."""
        ...


def watcher(screen: Screen) -> Watcher:
    """The one that suits where stderr goes."""
    return Bars(screen) if screen.err.is_terminal and not screen.err.is_dumb_terminal else Lines(screen)


class Lines:
    """One line each time a document's state or step has changed."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last: dict[Source, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def saw(self, source: Source, run: Run) -> None:
        self._say(source, " ".join(filter(None, map(plain, (state_name(run), run.step)))))

    def waits(self, source: Source) -> None:
        self._say(source, QUEUE_FULL)

    def ended(self, source: Source) -> None:
        self._last.pop(source, None)

    def _say(self, source: Source, what: str) -> None:
        if self._last.get(source) != what:
            self._last[source] = what
            self._screen.note(f"{plain(source.document_key)}: {what}")


class Bars:
    """A bar for each document in flight."""

    def __init__(self, screen: Screen) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[step]}", markup=False),
            TimeElapsedColumn(),
            console=screen.err,
            transient=True,
        )
        self._tasks: dict[Source, TaskID] = {}
        self._lock = threading.Lock()
        self._name_width = max(12, screen.err.width - 42)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def saw(self, source: Source, run: Run) -> None:
        step = run.step if run.state == Run.STATE_RUNNING else state_name(run)
        self._draw(source, _steps_done(run), plain(step))

    def waits(self, source: Source) -> None:
        self._draw(source, 0.0, QUEUE_FULL)

    def ended(self, source: Source) -> None:
        with self._lock:
            if source in self._tasks:
                self._progress.remove_task(self._tasks.pop(source))

    def _draw(self, source: Source, steps_done: float, what: str) -> None:
        with self._lock:
            if source not in self._tasks:
                name = plain(source.document_key)[-self._name_width :]
                self._tasks[source] = self._progress.add_task(name, total=len(STEPS), step="")
            self._progress.update(self._tasks[source], completed=steps_done, step=what)


def _steps_done(run: Run) -> float:
    if run.state in FINAL_STATES or run.step not in STEPS:
        return float(len(STEPS) if run.state in FINAL_STATES else 0)
    within = run.embedded_chunks / run.chunks if run.step == "embed" and run.chunks else 0.0
    return STEPS.index(run.step) + within
