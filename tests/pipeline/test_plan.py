"""A plan says what the bill will say, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.test_plan_bill import corpus, ingest_as_planned, prose
from tests.pipeline.workbench import Workbench
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListDocumentsRequest, ListRunsRequest
from waybill.orchestrator.v1.plan_pb2 import PlanLine
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"


def bought(entries: list[Entry], operation: str) -> int:
    return sum(entry.quantity for entry in entries if entry.operation == operation)


def check_bill(bench: Workbench, line: PlanLine, run_id: str) -> None:
    """The run bought what its plan says."""
    entries = list(bench.entries(run_id))
    assert {entry.state for entry in entries} <= {Entry.STATE_SETTLED}
    assert line.exact
    assert (line.pages, line.tokens) == (bought(entries, "parse"), bought(entries, "embed"))
    settled = sum(entry.reported_nano_usd for entry in entries)
    assert line.parse_nano_usd + line.embed_nano_usd == settled


def test_a_plan_leaves_no_trace(bench: Workbench) -> None:
    for path in sorted(EXAMPLES.iterdir()):
        assert bench.client.plan(path).lines[0].configured
    assert not list(bench.client.ledger.ListEntries(ListEntriesRequest()).entries)
    assert not bench.client.orchestrator.ListDocuments(ListDocumentsRequest()).documents
    assert not bench.client.orchestrator.ListRuns(ListRunsRequest()).runs
    for table in ("waybill_parser.jobs", "waybill_index.documents", "waybill_ledger.plans"):
        assert not bench.rows(f"select from {table} where tenant = %s", bench.tenant)


def test_a_folder_buys_what_its_plan_says(bench: Workbench, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus")
    for planned, outcome in ingest_as_planned(bench, folder):
        run = outcome.run
        assert run is not None, outcome.error
        assert planned.plan is not None
        assert run.state in (Run.STATE_READY, Run.STATE_READY_DEGRADED), run
        if planned.pays_for_it:
            assert bench.entries(run.run_id) == []
            continue
        check_bill(bench, planned.line, run.run_id)
        plan = planned.plan
        assert (plan.pages, plan.chunks_new, plan.chunks_kept) == (run.pages, run.chunks, 0)
    check_edit(bench, folder / "locks.md")


def check_edit(bench: Workbench, path: Path) -> None:
    assert bench.client.plan(path).unchanged
    path.write_text(prose("locks", 13) + "\n\n# A lock of another name\n\nIt is new.")
    plan = bench.client.plan(path)
    assert min(plan.chunks_new, plan.chunks_kept, plan.chunks_removed) > 0
    run = bench.ingest(path)
    check_bill(bench, plan.lines[0], run.run_id)
    assert plan.chunks_new + plan.chunks_kept == run.chunks


def test_what_an_ingest_would_refuse_is_refused(bench: Workbench) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bench.client.plan(bench.file("empty.md", b""))
    assert caught.value.reason == "DOCUMENT_EMPTY"
    with pytest.raises(InvalidRequest) as caught:
        bench.client.plan(bench.file("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(50)))
    assert caught.value.reason == "FILE_TYPE_UNSUPPORTED"
