"""Every fault point × kill of the process it is in, with five documents in flight."""

from __future__ import annotations

import pytest

from tests.pipeline.test_kill import check_whole
from tests.pipeline.workbench import POINTS, Workbench
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.run_pb2 import Run

pytestmark = pytest.mark.slow

DOCUMENTS = 5


def documents(bench: Workbench) -> list[str]:
    """Five small documents, accepted."""
    texts = [f"# Valve {n}\n\n" + f"Turn valve {n} slowly to the left. " * 30 for n in range(DOCUMENTS)]
    files = [bench.file(f"valve-{n}.md", text.encode()) for n, text in enumerate(texts)]
    return [bench.client.ingest(path).run_id for path in files]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_nothing_and_pays_no_parse_twice(bench: Workbench, point: str) -> None:
    # Commits happen many times a document: strike one in the middle.
    bench.arm(point, "kill after 6" if "commit" in point else "kill after 1")
    runs = documents(bench)
    finished = [bench.finish(run_id) for run_id in runs]
    assert bench.used(point), "the fault never struck"
    assert [run.state for run in finished] == [Run.STATE_READY] * DOCUMENTS, [run.message for run in finished]
    eventually(bench.all_serving, "the stack serves again")

    indexed = bench.indexed()
    assert {row["document_key"] for row in indexed} == {f"valve-{n}.md" for n in range(DOCUMENTS)}
    assert all(row["vector"] for row in indexed)
    jobs = bench.rows("select source_sha256 from waybill_parser.jobs where tenant = %s", bench.tenant)
    assert len(jobs) == len({job["source_sha256"] for job in jobs}) == DOCUMENTS
    for run_id in runs:
        check_money(bench, run_id)
        check_whole(bench, run_id)


def check_money(bench: Workbench, run_id: str) -> None:
    """One settled parse; of each embedding at least one settled, and no attempt left open.

    Who called a dead process' neighbour is gone when the neighbour says its last word.
    """
    eventually(lambda: not held(bench, run_id), "no attempt is left open")
    entries = bench.entries(run_id)
    settled = [entry for entry in entries if entry.state == Entry.STATE_SETTLED]
    assert len([entry for entry in settled if entry.operation == "parse"]) == 1
    assert {entry.spend_key for entry in settled} == {entry.spend_key for entry in entries}
    check_count(bench, run_id)


def check_count(bench: Workbench, run_id: str) -> None:
    """settled ≤ what the embedding engine itself counted ≤ settled + in doubt, in tokens."""
    count = sum(note["tokens"] for note in bench.journal(run_id) if note["event"] == "embed")
    entries = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    settled = sum(entry.quantity for entry in entries if entry.state == Entry.STATE_SETTLED)
    doubt = sum(entry.quantity for entry in entries if entry.state == Entry.STATE_IN_DOUBT)
    assert settled <= count <= settled + doubt


def held(bench: Workbench, run_id: str) -> list[Entry]:
    return [entry for entry in bench.entries(run_id) if entry.state == Entry.STATE_HELD]
