"""One round on a running stack: what was READY before, then deeds under faults, then the wait."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.pipeline.workbench import Workbench
from tests.soak.plan import POSTGRES, Deed, Document, Plan, What
from tests.soak.processes import of_program
from tests.waiting import eventually
from waybill.client import FINAL_STATES, Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    DeleteDocumentRequest,
    ListRunsRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import state
from waybill.stack.home import Home
from waybill.stack.process import Process
from waybill.stack.table import serving

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
        other: Asks the second orchestrator.
        homes: The stack's, and its replicas'.
        sent: Accepted documents, in order.
        wanted: What each document may be now; None is gone.
        runs: As they ended.
        broken: Faults that struck and programs that were killed, by kind.
    """

    bench: Workbench
    other: Client
    homes: Sequence[Home]
    plan: Plan
    sent: list[Sent] = field(default_factory=list)
    wanted: dict[str, list[Document | None]] = field(default_factory=dict)
    runs: Sequence[Run] = ()
    broken: Counter[str] = field(default_factory=Counter)

    def play(self) -> None:
        """Does the plan, and returns when every run is final and every program serves."""
        for document in self.plan.before:
            self._send(self.bench.client, document, Run.STATE_READY)
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
        eventually(self._all_serving, "every program serves again")

    def ended(self, state: int) -> list[Sent]:
        """What was sent and ended so."""
        ids = {run.run_id for run in self.runs if run.state == state}
        return [one for one in self.sent if one.run_id in ids]

    def _do(self, deed: Deed) -> None:
        document, client = deed.document, self.other if deed.replica else self.bench.client
        if document is None:
            self._end(deed)
        elif deed.what is What.DELETE:
            client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key=document.key))
            self.wanted[document.key] = [None]
        elif deed.what is What.CANCEL:
            self._cancel(client, document, deed.at)
        elif self.wanted.get(document.key) == [document]:
            self._send(client, document, Run.STATE_UNCHANGED)
        else:
            self._send(client, document, Run.STATE_READY)

    def _send(self, client: Client, document: Document, *may_end: int) -> str:
        file = self.bench.file(document.key, document.content)
        run_id = client.ingest(file).run_id
        self.sent.append(Sent(run_id, document, frozenset(may_end)))
        self.wanted[document.key] = [document]
        return run_id

    def _cancel(self, client: Client, document: Document, step: str) -> None:
        run_id = self._send(self.bench.client, document, Run.STATE_READY, Run.STATE_CANCELLED)
        self.bench.reach(run_id, step)
        answer = client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))
        if answer.run.state == Run.STATE_CANCELLED:
            # Its last step may have been done already: then it is whole, never half there.
            self.wanted[document.key] = [None, document]

    def _end(self, deed: Deed) -> None:
        """Kills a program, or has it drain; its supervisor starts it again."""
        eventually(lambda: self._process(deed) is not None, f"{deed.at} is there to be ended")
        process = self._process(deed)
        assert process is not None
        os.kill(process.pid, signal.SIGKILL if deed.what is What.KILL else signal.SIGTERM)
        self.broken[f"{deed.what} of {'Postgres' if deed.at == POSTGRES else 'a service'}"] += 1

    def _process(self, deed: Deed) -> Process | None:
        return of_program(self.homes, deed.at)

    def _all_serving(self) -> bool:
        replicas = state.read(self.homes[1])
        assert replicas is not None
        return self.bench.all_serving() and all(map(serving, replicas.addresses.values()))

    def _await_all(self) -> None:
        eventually(self._all_final, "every run of the round is final", PATIENCE_SECONDS)

    def _all_final(self) -> bool:
        self.runs = self.bench.client.orchestrator.ListRuns(ListRunsRequest(page_size=100)).runs
        return all(run.state in FINAL_STATES for run in self.runs)
