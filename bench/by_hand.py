"""The job done by one process, with a Postgres of its own: the lower bound, or a framework."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.answers import Answer
from bench.corpora import Corpus
from bench.passes import POSTGRES, Pass
from bench.processes import Programs
from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate

SIDE = "side"
# Others look for pgvector's types where they stand.
SEARCH_PATH = "alter role current_user set search_path = public, extensions"


class ByHand:
    """Runs one side on one database.

    Args:
        url: Of the database, as its administrator.
        command: What runs it, but for the database, the folder and what it takes behind them.
        more: That.
        programs: The database's.
    """

    def __init__(self, url: str, command: Sequence[str], more: Sequence[str], programs: Programs) -> None:
        self._url = url
        self._command = command
        self._more = more
        self._programs = programs

    @classmethod
    @contextmanager
    def started(cls, folder: Path, command: Sequence[str], *more: str) -> Iterator[ByHand]:
        """Starts an empty, migrated database below a folder, and stops it."""
        folder.mkdir(mode=0o755)
        server = postgres.Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
        with postgres.running(server, folder / "postgres.log"):
            migrate(server.url(), {})
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(SEARCH_PATH)
            pid = int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])
            yield cls(server.url(), command, more, Programs({pid: POSTGRES}))

    def once(self, corpus: Corpus) -> Pass:
        """A corpus, once."""
        command = [*self._command, self._url, str(corpus.files[0].parent), *self._more]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
            try:
                _answer(child)  # it has started
                return self._pass(child)
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
            {SIDE: done.cpu_seconds, POSTGRES: postgres_cpu},
            {SIDE: done.peak_mb},
            done.calls,
        )


def _answer(child: subprocess.Popen[str]) -> Answer:
    assert child.stdout is not None
    return Answer.read(child.stdout.readline())
