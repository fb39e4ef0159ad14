"""The lower bound, each corpus in a process of its own, on a migrated Postgres of its own."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.corpora import Corpus
from bench.passes import POSTGRES, Pass, Passes
from bench.processes import Programs
from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate


class ByHand:
    """Runs `bench.bound` on one database."""

    def __init__(self, url: str, programs: Programs) -> None:
        self._url = url
        self._programs = programs

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[ByHand]:
        """Starts an empty, migrated database below a folder, and stops it."""
        folder.mkdir(mode=0o755)
        server = postgres.Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
        with postgres.running(server, folder / "postgres.log"):
            migrate(server.url(), {})
            pid = int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])
            yield cls(server.url(), Programs({pid: POSTGRES}))

    def ingest(self, corpus: Corpus) -> Passes:
        """A corpus, twice."""
        command = [sys.executable, "-m", "bench.bound", self._url, str(corpus.files[0].parent)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
            try:
                _answer(child)  # it has started
                first, again = self._pass(child), self._pass(child)
            except BaseException:  # Ctrl-C too: the child must not outlive us
                child.kill()
                raise
        return Passes(first, again)

    def _pass(self, child: subprocess.Popen[str]) -> Pass:
        assert child.stdin is not None
        before = self._programs.read()
        child.stdin.write("go\n")
        done = _answer(child)
        postgres_cpu = self._programs.read().since(before).cpu_seconds[POSTGRES]
        return Pass(
            int(done["chunks"]),
            done["wall_seconds"],
            {"bound": done["cpu_seconds"], POSTGRES: postgres_cpu},
            {"bound": done["peak_mb"]},
        )


def _answer(child: subprocess.Popen[str]) -> dict[str, float]:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("the lower bound failed; its traceback is above")
    answer: dict[str, float] = json.loads(line)
    return answer
