"""kill -9 of each service during an ingest: every run ends READY and nothing is done or owed twice."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import eventually, settled
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.leases import LEASE_SECONDS
from waybill.stack.home import Home

pytestmark = pytest.mark.slow

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
FILES = sorted(DOCUMENTS.iterdir())
LIST = ListRunsRequest()
# Spans leave a process within so long, also on a machine that stands still for two seconds.
UNSENT_NANOS = 3_000_000_000
# Each service is killed where it has work in hand.
MOMENTS = [
    ("storage", "chunk"),
    ("parser", "parse"),
    ("ledger", "parse"),
    ("embedder", "embed"),
    ("orchestrator", "parse"),
    ("orchestrator", "embed"),
    ("postgres", "parse"),
    ("postgres", "embed"),
]


def first_attempts(bench: Workbench, runs: list[str]) -> list[tuple[str, str, int, str]]:
    return sorted(
        (entry.spend_key, entry.operation, entry.quantity, entry.unit)
        for run in runs
        for entry in bench.entries(run)
        if entry.attempt == 1
    )


def ingest_all(bench: Workbench) -> list[str]:
    return [bench.client.ingest(path).run_id for path in FILES]


@pytest.fixture(scope="module")
def undisturbed(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A tenant whose runs nobody disturbed."""
    with Workbench.of(home, f"t{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("u")) as bench:
        for run_id in ingest_all(bench):
            assert bench.finish(run_id).state == Run.STATE_READY
        yield bench


@pytest.mark.parametrize(("service", "step"), MOMENTS)
def test_a_killed_service_costs_no_document_and_no_money_twice(
    bench: Workbench, undisturbed: Workbench, service: str, step: str
) -> None:
    before = [run.run_id for run in undisturbed.client.orchestrator.ListRuns(LIST).runs]
    runs = ingest_all(bench)
    bench.reach(runs[0], step)
    killed_at = time.time_ns()
    bench.kill(service)
    for run_id in runs:
        run = bench.finish(run_id)
        assert run.state == Run.STATE_READY, (run.reason, run.message)
    eventually(bench.all_serving, "the stack serves again")
    assert bench.indexed() == undisturbed.indexed()
    assert first_attempts(bench, runs) == first_attempts(undisturbed, before)
    for run_id in runs:
        settled = [entry for entry in bench.entries(run_id) if entry.state == Entry.STATE_SETTLED]
        parsed = [entry.spend_key for entry in settled if entry.operation == "parse"]
        assert len(set(parsed)) == len(parsed), "a parse was paid twice"
        # Only an embedding request that was in flight may be repeated, and then it is a line of its own.
        repeated = [entry for entry in settled if entry.attempt > 1]
        assert len(settled) - len({entry.spend_key for entry in settled}) <= len(repeated) <= 4
        check_trace(bench, run_id, killed_at)


def check_trace(bench: Workbench, run_id: str, killed_at: int) -> None:
    """The trace is whole, and what it calls lost was open at the kill, or had not left the process yet."""
    check_whole(bench, run_id)

    def called_lost() -> list[str]:
        return [
            str(span) for span in bench.trace(run_id) if span.interrupted and not may_be_lost(span, killed_at)
        ]

    # What comes late, on a slow machine, is called lost until then.
    assert settled(called_lost) == []


def may_be_lost(span: Span, killed_at: int) -> bool:
    """Whether it, or its caller, was open at the kill, or had not left the process."""
    # What was the dead process's is taken over once its lease has run out.
    begun_before = killed_at + int((LEASE_SECONDS + 15) * 1e9)
    ended_after = killed_at - UNSENT_NANOS
    ended_at = span.start_unix_nano + span.duration_nano
    return span.start_unix_nano <= begun_before and (not span.duration_nano or ended_at >= ended_after)


def of_one_moment(bench: Workbench, run_id: str) -> tuple[Sequence[Span], Sequence[Entry]]:
    """Trace and bill of one moment: nothing of the bill has changed while the trace was read."""
    while True:
        before, spans, entries = bench.entries(run_id), bench.trace(run_id), bench.entries(run_id)
        if before == entries:
            return spans, entries


def check_whole(bench: Workbench, run_id: str) -> None:
    """Every span reaches the root, and every ledger row is one vendor span."""
    spans, entries = of_one_moment(bench, run_id)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    for span in spans[1:]:
        seen = set()
        while span.parent_span_id:
            assert span.span_id not in seen
            seen.add(span.span_id)
            span = by_id[span.parent_span_id]
        assert span is by_id[spans[0].span_id]
    assert sorted(span.entry_id for span in spans if span.entry_id) == sorted(one.entry_id for one in entries)
    settled = [one for one in entries if one.state == Entry.STATE_SETTLED]
    spent = sum(one.reported_nano_usd + one.adjusted_nano_usd for one in settled)
    assert sum(span.cost_nano_usd + span.simulated_nano_usd for span in spans) == spent
