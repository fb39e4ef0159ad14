"""The real stack in a folder of its own, and documents sent to it by the client until they are READY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.corpora import Corpus
from bench.passes import Pass, Passes
from bench.processes import Programs
from waybill.client import FINAL_STATES, Client, connect
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import operate
from waybill.stack.home import Home
from waybill.stack.state import StackState

TENANT = "bench"
DEADLINE_SECONDS = 600.0
# Somewhat more than the orchestrator works on, so that it never waits for us.
IN_FLIGHT = 8


class Stack:
    """A running stack, seen by one tenant."""

    def __init__(self, client: Client, programs: Programs) -> None:
        self.client = client
        self._programs = programs

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[Stack]:
        """Starts a stack on free ports, and stops it."""
        home = Home(folder)
        try:
            operate.up(home, "free")
            found = operate.running(home)
            assert found is not None
            with connect(
                found.addresses, tenant=TENANT, deadline_seconds=DEADLINE_SECONDS, environ={}
            ) as client:
                yield cls(client, _programs(found))
        finally:
            operate.down(home)

    def ingest(self, corpus: Corpus) -> Passes:
        """A corpus, twice."""
        return Passes(self._pass(corpus), self._pass(corpus))

    def one_by_one(self, corpus: Corpus) -> list[str]:
        """Sends a corpus with nothing beside it; answers the ids of its runs."""
        return [self._finished(file).run_id for file in corpus.files]

    def _pass(self, corpus: Corpus) -> Pass:
        self._programs.forget_peaks()
        before = self._programs.read()
        runs = self._all(corpus.files)
        used = self._programs.read().since(before)
        chunks = sum(run.chunks for run in runs if run.state == Run.STATE_READY)
        return Pass(chunks, used.wall_seconds, used.cpu_seconds, self._programs.peaks_mb())

    def _all(self, files: Sequence[Path]) -> list[Run]:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(self._finished, files))

    def _finished(self, file: Path) -> Run:
        run = self.client.ingest(file)
        if run.state not in FINAL_STATES:
            *_, run = self.client.watch(run.run_id)
        if run.state not in (Run.STATE_READY, Run.STATE_UNCHANGED):
            raise RuntimeError(f"{file.name}: {Run.State.Name(run.state)} {run.reason}: {run.message}")
        return run


def _programs(found: StackState) -> Programs:
    named = {program.process.pid: name for name, program in found.programs.items()}
    return Programs({**named, found.supervisor.pid: "supervisor"})
