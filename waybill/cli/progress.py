"""Progress of an `ingest`: on a terminal a picture that moves, elsewhere a sign of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from waybill.cli.objects import state_name
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, spread
from waybill.cli.sources import Source
from waybill.orchestrator.v1.run_pb2 import Run

QUEUE_FULL = "waits, queue full"
# A pipe that is silent for longer looks like a command that hangs.
QUIET_SECONDS = 15.0
_REFRESHES_PER_SECOND = 8


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


def watcher(screen: Screen, total: int) -> Watcher:
    """The one that suits where stderr goes."""
    moving = screen.err.is_terminal and not screen.err.is_dumb_terminal
    return Picture(screen, total) if moving else Lines(screen, total)


@dataclass(frozen=True, slots=True)
class _InWork:
    """A document that was taken and has not ended."""

    key: str
    since: float
    what: str


class _Tally:
    """What is known of all documents, for any watcher."""

    def __init__(self, screen: Screen, total: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self.in_work: dict[Source, _InWork] = {}
        self._screen = screen
        self._monotonic = monotonic
        self._began = monotonic()
        self._lock = threading.Lock()

    def saw(self, source: Source, run: Run) -> None:
        self._note(source, _what(run))

    def waits(self, source: Source) -> None:
        self._note(source, QUEUE_FULL)

    def ended(self, source: Source) -> None:
        with self._lock:
            self.in_work.pop(source, None)
            self.done += 1

    def _note(self, source: Source, what: str) -> None:
        with self._lock:
            known = self.in_work.get(source)
            since = known.since if known else self._monotonic()
            self.in_work[source] = _InWork(plain(source.document_key), since, what)

    def _works(self) -> list[_InWork]:
        with self._lock:
            return list(self.in_work.values())

    def _seconds(self, since: float | None = None) -> float:
        return self._monotonic() - (self._began if since is None else since)


class Lines(_Tally):
    """Says what is in work whenever no document has ended for a while."""

    def __init__(self, screen: Screen, total: int, quiet_seconds: float = QUIET_SECONDS) -> None:
        super().__init__(screen, total)
        self._quiet_seconds = quiet_seconds
        self._over = threading.Event()
        self._speaker = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> Self:
        self._speaker.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._speaker.join()

    def waits(self, source: Source) -> None:
        """Said at once, and once."""
        known = self.in_work.get(source)
        super().waits(source)
        if known is None or known.what != QUEUE_FULL:
            self._screen.note(f"{plain(source.document_key)}: {QUEUE_FULL}")

    def _speak(self) -> None:
        said = 0
        while not self._over.wait(self._quiet_seconds):
            if self.done == said:
                works = "; ".join(f"{one.key}: {one.what}" for one in self._works())
                self._screen.note(f"{self.done}/{self.total} ended; in work: {works}")
            said = self.done


class Picture(_Tally):
    """A bar over all documents, and below it a line for each that is in work."""

    def __init__(self, screen: Screen, total: int) -> None:
        super().__init__(screen, total)
        self._live = Live(self, console=screen.err, transient=True, refresh_per_second=_REFRESHES_PER_SECOND)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Uses the terminal's whole width."""
        seconds = self._seconds()
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        rate = f"{self.done / seconds:.1f}/s" if self.done and seconds else ""
        head.add_row(
            f"{self.done:,} of {counted(self.total, 'document')}",
            ProgressBar(total=self.total, completed=self.done),
            f"{rate} {_clock(seconds)}".strip(),
        )
        yield head
        for one in self._works():
            right = Text(f"{one.what}  {_clock(self._seconds(one.since))}", "dim")
            yield spread(f"  {one.key}", right, options.max_width)


def _what(run: Run) -> str:
    """The step, with how far it is where that is known."""
    if run.state != Run.STATE_RUNNING:
        return state_name(run)
    if run.step == "embed" and run.chunks:
        return f"embed {run.embedded_chunks:,} of {counted(run.chunks, 'chunk')}"
    return plain(run.step)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
