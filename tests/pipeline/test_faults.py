"""The local engines misbehave by call and attempt: what the run, the ledger and the engine's count say."""

from __future__ import annotations

import pytest

from services.orchestrator.steps.embedding import BATCHES_IN_MEMORY
from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_sweep import check_count
from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest
from waybill.orchestrator.v1.run_pb2 import Run

pytestmark = pytest.mark.slow

TEXT = b"# Lock\n\n" + b"The lower gate opens when the pound is full. " * 40
HELD, SETTLED = Entry.STATE_HELD, Entry.STATE_SETTLED
DOUBT, RELEASED = Entry.STATE_IN_DOUBT, Entry.STATE_RELEASED
READY, FAILED = Run.STATE_READY, Run.STATE_FAILED

# point, action, state of the run, states of the ledger's rows of that operation
FAULTS = [
    ("embedder.embed.under_way", "delay 0.2", READY, [SETTLED]),
    ("embedder.embed.under_way.1", "fail", READY, [DOUBT, SETTLED]),
    ("embedder.embed.under_way.1", "fail Quota", FAILED, [RELEASED]),
    ("embedder.embed.under_way.1", "fail Credential", FAILED, [RELEASED]),
    ("embedder.embed.under_way.1", "fail VendorContract", FAILED, [DOUBT]),
    ("embedder.embed.done.1", "fail", READY, [DOUBT, SETTLED]),
    ("embedder.call.embed.before.1", "fail", READY, [DOUBT, SETTLED]),
    ("embedder.call.embed.after.1", "fail", READY, [SETTLED, SETTLED]),
    ("parser.parse.under_way", "delay 0.2", READY, [SETTLED]),
    ("parser.parse.under_way.1", "fail", READY, [RELEASED, SETTLED]),
    ("parser.parse.under_way.1", "fail InvalidRequest", FAILED, [RELEASED]),
    ("parser.parse.under_way.1", "fail VendorContract", FAILED, [DOUBT]),
    ("parser.parse.done.1", "fail", READY, [RELEASED, SETTLED]),
]


@pytest.mark.parametrize(("point", "action", "state", "entries"), FAULTS)
def test_a_fault_of_an_engine_ends_in_a_right_state_and_is_on_the_bill(
    bench: Workbench, point: str, action: str, state: Run.State, entries: list[Entry.State]
) -> None:
    bench.arm(point, action)
    run = bench.finish(bench.client.ingest(bench.file("lock.md", TEXT)).run_id)
    assert bench.used(point), "the fault never struck"
    operation = point.split(".")[1] if "call" not in point else point.split(".")[2]
    assert run.state == state, run.message
    if state == FAILED:
        assert run.reason == "FAULT_INJECTED"
    seen = [entry.state for entry in bench.entries(run.run_id) if entry.operation == operation]
    assert seen == entries
    check_count(bench, run.run_id)
    check_whole(bench, run.run_id)


def test_a_stuck_engine_costs_its_run_and_no_other(bench: Workbench) -> None:
    bench.arm("embedder.embed.under_way", "stick")
    stuck = bench.client.ingest(bench.file("stuck.md", TEXT)).run_id
    eventually(lambda: bench.used("embedder.embed.under_way"), "the call is under way")
    run = bench.finish(bench.client.ingest(bench.file("beside.md", TEXT + b"Beside it.")).run_id)
    assert run.state == READY, run.message
    assert bench.client.orchestrator.GetRun(GetRunRequest(run_id=stuck)).run.state == Run.STATE_RUNNING


def test_a_run_that_failed_buys_no_more_than_was_under_way(bench: Workbench) -> None:
    lines = (f"{number}. The keeper of lock {number} opens it at dawn.\n\n" for number in range(60_000))
    bench.arm("embedder.call.embed.before", "fail Quota after 2")
    run = bench.finish(bench.client.ingest(bench.file("long.md", "".join(lines).encode())).run_id)
    assert (run.state, run.reason) == (FAILED, "FAULT_INJECTED")
    # A call that was under way may hold once more, before it hears that its caller has left.
    assert bench.ingest(bench.file("beside.md", TEXT)).state == READY
    eventually(lambda: not any(entry.state == HELD for entry in bench.entries(run.run_id)), "no call goes on")
    bought = [entry for entry in bench.entries(run.run_id) if entry.operation == "embed"]
    assert len(bought) <= 2 * BATCHES_IN_MEMORY, "the document needs 28"
    assert all(span.duration_nano for span in bench.trace(run.run_id)), "a step stands open for ever"
