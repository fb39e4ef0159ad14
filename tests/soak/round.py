"""One round on a running stack: what was READY before, then deeds under faults, then the wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.pipeline.workbench import Workbench, eventually
from tests.soak.plan import Deed, Document, Plan, What
from waybill.client import FINAL_STATES
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    DeleteDocumentRequest,
    ListRunsRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import state

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Sent:
    """A document that was accepted, and the states that its run may end in."""

    run_id: str
    document: Document
    may_end: frozenset[int]


@dataclass
class Round:
    """What was sent in a round, and what there should be after it.

    Attributes:
        sent: Accepted documents, in order.
        wanted: What each document may be now; None is gone.
        runs: As they ended.
        broken: Faults that struck and programs that were killed, by kind.
    """

    bench: Workbench
    plan: Plan
    sent: list[Sent] = field(default_factory=list)
    wanted: dict[str, list[Document | None]] = field(default_factory=dict)
    runs: Sequence[Run] = ()
    broken: Counter[str] = field(default_factory=Counter)

    def play(self) -> None:
        """Does the plan, and returns when every run is final and every program serves."""
        for document in self.plan.before:
            self._send(document, Run.STATE_READY)
        self._await_all()
        for point, action in self.plan.faults:
            self.bench.arm(point, action)
        try:
            for deed in self.plan.deeds:
                self._do(deed)
            self._await_all()
        finally:
            for point, action in self.plan.faults:
                self.broken[f"{action.split()[0]} at a point"] += self.bench.used(point)
            self.bench.disarm()
        eventually(self.bench.all_serving, "every program serves again")

    def ended(self, state: int) -> list[Sent]:
        """What was sent and ended so."""
        ids = {run.run_id for run in self.runs if run.state == state}
        return [one for one in self.sent if one.run_id in ids]

    def _do(self, deed: Deed) -> None:
        document = deed.document
        if document is None:
            self._kill(deed.at)
        elif deed.what is What.DELETE:
            self.bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key=document.key))
            self.wanted[document.key] = [None]
        elif deed.what is What.CANCEL:
            self._cancel(document, deed.at)
        elif self.wanted.get(document.key) == [document]:
            self._send(document, Run.STATE_UNCHANGED)
        else:
            self._send(document, Run.STATE_READY)

    def _send(self, document: Document, *may_end: int) -> str:
        file = self.bench.file(document.key, document.content)
        run_id = self.bench.client.ingest(file).run_id
        self.sent.append(Sent(run_id, document, frozenset(may_end)))
        self.wanted[document.key] = [document]
        return run_id

    def _cancel(self, document: Document, step: str) -> None:
        run_id = self._send(document, Run.STATE_READY, Run.STATE_CANCELLED)
        self.bench.reach(run_id, step)
        answer = self.bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))
        if answer.run.state == Run.STATE_CANCELLED:
            # Its last step may have been done already: then it is whole, never half there.
            self.wanted[document.key] = [None, document]

    def _kill(self, program: str) -> None:
        eventually(lambda: self._alive(program), f"{program} is there to be killed")
        self.bench.kill(program)
        self.broken[f"kill -9 of {'Postgres' if program == 'postgres' else 'a service'}"] += 1

    def _alive(self, program: str) -> bool:
        found = state.read(self.bench.home)
        return found is not None and program in found.programs and found.programs[program].process.alive()

    def _await_all(self) -> None:
        eventually(self._all_final, "every run of the round is final", PATIENCE_SECONDS)

    def _all_final(self) -> bool:
        self.runs = self.bench.client.orchestrator.ListRuns(ListRunsRequest(page_size=100)).runs
        return all(run.state in FINAL_STATES for run in self.runs)
