"""After `down`, `restart` and kill -9 of the supervisor: no process is left, no data is lost, `up` works."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.pipeline.workbench import Workbench
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import operate, state
from waybill.stack.home import Home
from waybill.stack.process import Process

pytestmark = pytest.mark.slow


def processes(home: Home) -> list[Process]:
    found = state.read(home)
    assert found is not None
    return [
        found.supervisor,
        *(program.process for name, program in found.programs.items() if name != "migrate"),
    ]


def test_nothing_runs_and_nothing_is_lost_after_down_and_after_a_kill(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home = Home(open_folder(tmp_path_factory) / "stack")
    operate.up(home, "free")
    try:
        with Workbench.of(home, "acme", tmp_path) as bench:
            run = bench.ingest(bench.file("a.md", b"# Otters\n\nOtters sleep holding hands."))
            assert run.state == Run.STATE_READY
            queued = [
                bench.client.ingest(bench.file(f"{n}.md", b"# More %d\n\nText %d." % (n, n))).run_id
                for n in range(8)
            ]
        left = processes(home)
        os.kill(left[0].pid, signal.SIGKILL)
        eventually(lambda: not any(process.alive() for process in left), "every process ends by itself")

        operate.up(home, "free")
        with Workbench.of(home, "acme", tmp_path) as bench:
            for run_id in queued:
                assert bench.finish(run_id).state == Run.STATE_READY
            assert (
                bench.client.orchestrator.Search(SearchRequest(query="otters")).hits[0].document_key == "a.md"
            )
        left = processes(home)
        assert operate.down(home)
        assert not any(process.alive() for process in left)
    finally:
        operate.down(home)


def test_a_restart_leaves_nobody_and_keeps_ports(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(open_folder(tmp_path_factory) / "stack")
    stack = operate.up(home, "free")
    try:
        left = processes(home)
        again = operate.restart(home)
        assert (again.addresses, again.started) == (stack.addresses, True)
        assert not any(process.alive() for process in left)
        operate.check(home, again, seconds=PATIENCE_SECONDS)
    finally:
        operate.down(home)
