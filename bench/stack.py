"""The real stack in a folder of its own, and documents sent to it by the client until they are READY."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from bench.corpora import Corpus
from bench.overhead import calls_of
from bench.passes import Pass
from bench.processes import Programs
from services.storage.vector_index import DUE, MOST_OPEN, NEVER
from waybill.client import FINAL_STATES, Client, connect
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.settings import HOME
from waybill.stack import operate
from waybill.stack.home import Home
from waybill.stack.process import wait_until
from waybill.stack.state import StackState
from waybill.stack.table import POSTGRES

TENANT = "bench"
DEADLINE_SECONDS, INDEX_SECONDS = 600.0, 120.0
# Somewhat more than the orchestrator works on, so that it never waits for us.
IN_FLIGHT = 8


class Stack:
    """A running stack, seen by one tenant."""

    def __init__(
        self, client: Client, admin_url: str, database_log: Path, programs: Programs, in_flight: int
    ) -> None:
        self.client = client
        self.database_log = database_log
        self._admin_url = admin_url
        self._programs = programs
        self._in_flight = in_flight

    @classmethod
    @contextmanager
    def started(
        cls, folder: Path, settings: Mapping[str, str] | None = None, in_flight: int = IN_FLIGHT
    ) -> Iterator[Stack]:
        """Starts a stack on free ports, and stops it.

        Args:
            folder: Its state folder.
            settings: Variables of its environment, beside ours.
            in_flight: Documents that the client has under way.
        """
        home = Home(folder)
        try:
            with _environment(settings or {}):
                operate.up(home, "free")
            found = operate.running(home)
            assert found is not None
            with connect(
                found.addresses,
                tenant=TENANT,
                deadline_seconds=DEADLINE_SECONDS,
                environ={HOME.name: str(folder)},
            ) as client:
                log = home.log(POSTGRES)
                yield cls(client, operate.admin_url(home, found), log, _programs(found), in_flight)
        finally:
            operate.down(home)

    def once(self, corpus: Corpus, *, traced: bool) -> Pass:
        """A corpus, once; `traced` tells its calls for embeddings, which are read behind what is measured."""
        done, runs = self._pass(corpus)
        return replace(done, calls=calls_of(self.client, (run.run_id for run in runs))) if traced else done

    def one_by_one(self, corpus: Corpus) -> list[str]:
        """Sends a corpus with nothing beside it; answers the ids of its runs."""
        return [self._finished(file).run_id for file in corpus.files]

    def set_database(self, settings: Mapping[str, str]) -> None:
        """Changes settings of its Postgres, which has taken them when this returns."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            for name, value in settings.items():
                change = sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(change)
            connection.execute("select pg_reload_conf()")

    def _pass(self, corpus: Corpus) -> tuple[Pass, list[Run]]:
        self._programs.forget_peaks()
        before = self._programs.read()
        runs = self._all(corpus.files)
        used = self._programs.read().since(before)
        self._await_indexes()
        later = self._programs.read().since(before)
        cpu = {**used.cpu_seconds, POSTGRES: later.cpu_seconds[POSTGRES]}
        chunks = sum(run.chunks for run in runs if run.state == Run.STATE_READY)
        return Pass(chunks, used.wall_seconds, cpu, self._programs.peaks_mb()), runs

    def _await_indexes(self) -> None:
        """Waits until the new vectors have their index: it is built behind the documents, and counts."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute("set search_path = waybill_index, public, extensions")
            due = {"never": NEVER, "most": MOST_OPEN}
            wait_until(lambda: not connection.execute(DUE, due).fetchall(), INDEX_SECONDS)

    def _all(self, files: Sequence[Path]) -> list[Run]:
        with ThreadPoolExecutor(self._in_flight) as pool:
            return list(pool.map(self._finished, files))

    def _finished(self, file: Path) -> Run:
        run = self.client.ingest(file)
        if run.state not in FINAL_STATES:
            *_, run = self.client.watch(run.run_id)
        if run.state not in (Run.STATE_READY, Run.STATE_UNCHANGED):
            raise RuntimeError(f"{file.name}: {Run.State.Name(run.state)} {run.reason}: {run.message}")
        return run


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Ours with these, for what is started meanwhile."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _programs(found: StackState) -> Programs:
    named = {program.process.pid: name for name, program in found.programs.items()}
    return Programs({**named, found.supervisor.pid: "supervisor"})
