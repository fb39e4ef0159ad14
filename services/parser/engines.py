"""Which engine parses a document: the vendor's, or ours while the vendor does not serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.parser.backends.port import Parser
from services.parser.documents.limits import Limits
from services.parser.job import Job, JobState
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.runtime.errors import Precondition
from waybill.runtime.semconv import LOCAL
from waybill.vendors.choosing import OVER_BUDGET, PARSER, PLAIN_TEXT, choose

# A parse that was begun is brought to its end by who began it, whatever the mode is by now.
JOB_KEPT = "JOB_KEPT"


def serves() -> str:
    """Of an engine that always does."""
    return ""


@dataclass(frozen=True)
class Engine:
    """An engine, and what belongs to it.

    Attributes:
        parser: Parses.
        limits: Of what it takes.
        lack: Why its vendor does not serve now, a name of ErrorReason; empty where it does.
    """

    parser: Parser
    limits: Limits
    lack: Callable[[], str] = serves

    @property
    def name(self) -> str:
        """As in ParseJob.backend."""
        return self.parser.capabilities.name


@dataclass(frozen=True)
class Engines:
    """The engines of this process.

    Attributes:
        main: The configured one.
        beside: Ours, where the main one is a vendor's and it is built, too.
        mode: Of calls that name none.
        local_over_budget: What a budget refuses is parsed here.
    """

    main: Engine
    beside: Engine | None = None
    mode: Mode = Mode.MODE_UNSPECIFIED
    local_over_budget: bool = False

    def chosen(self, mode: Mode, lack: str) -> tuple[Engine, BackendChoice]:
        """The engine of a new job, and why.

        Args:
            mode: Of the call.
            lack: Why the vendor cannot do it, where the caller knows.

        Raises:
            Precondition: BACKEND_MISSING.
        """
        choice = self._choice(mode, lack)
        for one in self.all:
            if one.name == choice.backend:
                return one, choice
        raise Precondition(
            "BACKEND_MISSING",
            f"The parser was started without its backend {choice.backend}. Set what that needs, and start it "
            "again; `waybill config` lists it.",
            {"backend": choice.backend},
        )

    @property
    def all(self) -> Sequence[Engine]:
        """The engines that there are."""
        return [one for one in (self.main, self.beside) if one is not None]

    @property
    def set_mode(self) -> Mode:
        """Of calls that name none; where nobody named one, the main engine does it."""
        return self.mode or (Mode.MODE_LOCAL if self.main.name == LOCAL else Mode.MODE_REAL)

    def of(self, job: Job) -> Engine:
        """The engine of a job; the main one where that is no more."""
        return self.beside if self.beside and self.beside.name == job.backend else self.main

    def choice_now(self, job: Job, mode: Mode) -> BackendChoice:
        """Who would do a job, were it created now; who has read it, where that was not its backend."""
        if job.state is JobState.SUCCEEDED and job.reading.engine == LOCAL != job.backend:
            choice = self._choice(mode, "")
            choice.backend, choice.reason = LOCAL, PLAIN_TEXT
            return choice
        lack = ""
        if job.state is JobState.FAILED and job.failed_vendor == job.backend:
            lack = job.reason
        elif job.state is JobState.FAILED and job.blocked_on:
            lack = OVER_BUDGET
        elif not job.state.final and (job.buys or job.failed_vendor == job.backend):
            lack = self.of(job).lack()
        choice = self._choice(mode, lack)
        # A living job is left to another only for want of its vendor: not since the mode was switched.
        left = lack and (choice.reason == lack or job.state.final)
        if choice.backend != job.backend and not left:
            choice.backend, choice.reason = job.backend, JOB_KEPT
        return choice

    def _choice(self, mode: Mode, lack: str) -> BackendChoice:
        wanted = mode or self.mode
        if wanted:
            return choose(PARSER, wanted, lack, local_over_budget=self.local_over_budget)
        # Nobody named a mode: the main engine does it, whatever it is called.
        choice = choose(PARSER, self.set_mode, lack)
        choice.backend = self.main.name
        return choice
