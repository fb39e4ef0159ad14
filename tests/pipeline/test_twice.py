"""The same file sent again while its first run is under way: one run makes it, the other finds it made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.run_pb2 import Run

pytestmark = pytest.mark.slow

READY, UNCHANGED = Run.STATE_READY, Run.STATE_UNCHANGED
PROGRAMS = ("orchestrator", "parser", "embedder", "storage", "ledger", "postgres")


def files(bench: Workbench, count: int) -> list[Path]:
    text = "The keeper of lock {0} opens the sluice at six, and shuts it at {0} past seven. "
    return [bench.file(f"lock-{number}.md", text.format(number).encode() * 9) for number in range(count)]


def embedded(bench: Workbench, run_ids: Sequence[str]) -> list[Entry]:
    return [one for run_id in run_ids for one in bench.entries(run_id) if one.operation == "embed"]


def test_a_file_sent_twice_at_once_is_made_once_and_paid_once(bench: Workbench) -> None:
    with ThreadPoolExecutor(2) as pool:
        for path in files(bench, 30):
            run_ids = [run.run_id for run in pool.map(bench.client.ingest, [path, path])]
            runs = [bench.finish(run_id) for run_id in run_ids]
            assert sorted(run.state for run in runs) == [READY, UNCHANGED], [run.message for run in runs]
            assert len(embedded(bench, run_ids)) == 1
            assert len({run.document_id for run in runs}) == 1
            assert {run.chunks for run in runs} == {1}


def test_files_sent_again_after_everything_was_killed_end_well(bench: Workbench) -> None:
    paths = files(bench, 12)
    first = [bench.client.ingest(path).run_id for path in paths]
    bench.reach(first[0], "chunk")
    for name in PROGRAMS:
        bench.kill(name)
    eventually(bench.all_serving, "the stack serves again")
    again = [bench.client.ingest(path).run_id for path in paths]
    for one, other in zip(first, again, strict=True):
        runs = [bench.finish(one), bench.finish(other)]
        assert sorted(run.state for run in runs) == [READY, UNCHANGED], [run.message for run in runs]
    assert len(bench.indexed()) == len(paths)
