"""A lower bound, each corpus in a process of its own, on a migrated Postgres of its own."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.answers import Answer
from bench.corpora import Corpus
from bench.passes import POSTGRES, Pass, Passes
from bench.processes import Programs
from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate

BOUND = "bound"


class ByHand:
    """Runs a lower bound on one database.

    Args:
        url: Of the database, as its administrator.
        module: Of the bound.
        more: What it takes behind database and folder.
        programs: The database's.
    """

    def __init__(self, url: str, module: str, more: tuple[str, ...], programs: Programs) -> None:
        self._url = url
        self._module = module
        self._more = more
        self._programs = programs

    @classmethod
    @contextmanager
    def started(cls, folder: Path, module: str, *more: str) -> Iterator[ByHand]:
        """Starts an empty, migrated database below a folder, and stops it."""
        folder.mkdir(mode=0o755)
        server = postgres.Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
        with postgres.running(server, folder / "postgres.log"):
            migrate(server.url(), {})
            pid = int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])
            yield cls(server.url(), module, more, Programs({pid: POSTGRES}))

    def ingest(self, corpus: Corpus) -> Passes:
        """A corpus, twice."""
        first, again = self._passes(corpus, 2)
        return Passes(first, again)

    def once(self, corpus: Corpus) -> Pass:
        """A corpus, once."""
        return self._passes(corpus, 1)[0]

    def _passes(self, corpus: Corpus, number: int) -> list[Pass]:
        command = [sys.executable, "-m", self._module, self._url, str(corpus.files[0].parent), *self._more]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
            try:
                _answer(child)  # it has started
                return [self._pass(child) for _ in range(number)]
            except BaseException:  # Ctrl-C too: the child must not outlive us
                child.kill()
                raise

    def _pass(self, child: subprocess.Popen[str]) -> Pass:
        assert child.stdin is not None
        before = self._programs.read()
        child.stdin.write("go\n")
        done = _answer(child)
        postgres_cpu = self._programs.read().since(before).cpu_seconds[POSTGRES]
        return Pass(
            done.chunks,
            done.wall_seconds,
            {BOUND: done.cpu_seconds, POSTGRES: postgres_cpu},
            {BOUND: done.peak_mb},
            done.calls,
        )


def _answer(child: subprocess.Popen[str]) -> Answer:
    assert child.stdout is not None
    return Answer.read(child.stdout.readline())
