"""Cancel, retry, complete_by, delete and poison: every accepted document ends in its right state."""

from __future__ import annotations

import datetime
import hashlib
import uuid

import pytest

from tests.pipeline.test_kill import check_whole
from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    CancelRunResponse,
    DeleteDocumentRequest,
    IngestRequest,
    RetryRunRequest,
    SearchRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition
from waybill.storage.v1.object_storage_service_pb2 import StatObjectRequest

pytestmark = pytest.mark.slow

TEXT = b"# Ferry\n\n" + b"The ferry leaves at noon from the north pier. " * 40
STUCK = "stick"
# Where a run is held still.
HELD_AT = [
    "orchestrator.step.parse.start",
    "parser.parse.under_way",
    "orchestrator.step.chunk.start",
    "embedder.embed.under_way",
    "storage.publish.inside",
]


def cancel(bench: Workbench, run_id: str) -> CancelRunResponse:
    return bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))


def ingest_held(bench: Workbench, point: str) -> str:
    """A run that stands still at a point."""
    bench.arm(point, STUCK)
    run_id = bench.client.ingest(bench.file("ferry.md", TEXT)).run_id
    eventually(lambda: bench.used(point), f"the run reaches {point}")
    return run_id


def ingest_within(bench: Workbench, seconds: float) -> str:
    digest = hashlib.sha256(TEXT).hexdigest()
    header = IngestRequest.Header(document_key="ferry.md", size_bytes=len(TEXT), sha256=digest)
    header.complete_by.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds))
    messages = [IngestRequest(header=header), IngestRequest(data=TEXT)]
    return bench.client.orchestrator.Ingest(iter(messages)).run.run_id


@pytest.mark.parametrize("point", HELD_AT)
def test_a_cancelled_run_has_stopped_everywhere_when_the_cancel_answers(bench: Workbench, point: str) -> None:
    run_id = ingest_held(bench, point)
    answer = cancel(bench, run_id)
    assert answer.run.state == Run.STATE_CANCELLED
    if point == "parser.parse.under_way":
        assert [note["event"] for note in bench.journal(run_id)] == ["parse cancelled"]
    jobs = bench.rows("select state from waybill_parser.jobs where tenant = %s", bench.tenant)
    assert {job["state"] for job in jobs} <= {"CANCELLED", "SUCCEEDED"}
    # Nothing is still held: what the vendor surely did not do was given back, the rest is in doubt.
    eventually(
        lambda: not [e for e in bench.entries(run_id) if e.state == Entry.STATE_HELD], "holds are resolved"
    )
    assert bench.finish(run_id).state == Run.STATE_CANCELLED
    assert bench.indexed() == []
    check_whole(bench, run_id)


def test_a_cancelled_run_can_be_retried_behind_its_last_finished_step(bench: Workbench) -> None:
    run_id = ingest_held(bench, "orchestrator.step.embed.start")
    cancel(bench, run_id)
    retried = bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id)).run
    assert (retried.run_id, retried.tries) == (run_id, 2)
    run = bench.finish(run_id)
    assert run.state == Run.STATE_READY, run.message
    assert [entry.operation for entry in bench.entries(run_id)] == ["parse", "embed"]
    names = [span.name for span in bench.trace(run_id) if span.kind == "INTERNAL"]
    # A document of one request is chunked, embedded and published in one step.
    assert (names.count("parse"), names.count("chunk")) == (1, 2)
    assert "try 2" in names
    check_whole(bench, run_id)


def test_cancelling_a_finished_run_changes_nothing_and_a_good_one_cannot_be_retried(bench: Workbench) -> None:
    run = bench.ingest(bench.file("ferry.md", TEXT))
    assert cancel(bench, run.run_id).run.state == Run.STATE_READY
    with pytest.raises(Precondition) as caught:
        bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run.run_id))
    assert caught.value.reason == "RUN_READY"
    with pytest.raises(NotFound):
        cancel(bench, str(uuid.uuid4()))


def test_a_cancel_reaches_a_run_whose_process_has_just_died(bench: Workbench) -> None:
    run_id = ingest_held(bench, "parser.parse.under_way")
    bench.kill("orchestrator")
    assert cancel(bench, run_id).run.state == Run.STATE_CANCELLED
    jobs = bench.rows("select state from waybill_parser.jobs where tenant = %s", bench.tenant)
    assert [job["state"] for job in jobs] == ["CANCELLED"]
    assert bench.finish(run_id).state == Run.STATE_CANCELLED


@pytest.mark.parametrize("point", ["parser.parse.under_way", "embedder.embed.under_way"])
def test_a_late_run_is_expired_with_what_it_spent_and_goes_on_when_given_time(
    bench: Workbench, point: str
) -> None:
    bench.arm(point, STUCK)
    run_id = ingest_within(bench, 5.0)
    run = bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_EXPIRED, "EXPIRED")
    bench.disarm()  # on a slow machine, its time was up before it came there
    with pytest.raises(Precondition) as caught:
        bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id))
    assert caught.value.reason == "COMPLETE_BY_PAST"
    later = RetryRunRequest(run_id=run_id)
    later.complete_by.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1))
    bench.client.orchestrator.RetryRun(later)
    assert bench.finish(run_id).state == Run.STATE_READY


def test_a_run_that_became_late_while_its_process_was_down_is_expired(bench: Workbench) -> None:
    run_id = ingest_held(bench, "parser.parse.under_way")
    # Its process knows no end, and learns of this one in its next life.
    late = f"update waybill_runs.runs set complete_by = now() where run_id = '{run_id}'"  # noqa: S608 - ours
    bench.change(late)
    bench.kill("orchestrator")
    run = bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_EXPIRED, "EXPIRED")
    jobs = bench.rows("select state from waybill_parser.jobs where tenant = %s", bench.tenant)
    assert [job["state"] for job in jobs] == ["CANCELLED"]


def test_a_time_that_is_past_is_refused(bench: Workbench) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ingest_within(bench, -5)
    assert caught.value.reason == "COMPLETE_BY_PAST"


def test_a_deleted_document_is_gone_with_all_that_only_it_needed(bench: Workbench) -> None:
    run = bench.ingest(bench.file("ferry.md", TEXT))
    twin = bench.ingest(bench.file("twin.md", TEXT))
    source = StatObjectRequest(key=f"sources/{run.source_sha256}")
    gone = bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key="ferry.md"))
    assert (gone.versions, gone.chunks, gone.vectors, gone.sources) == (1, run.chunks, run.chunks, 0)
    stored = bench.client.storage.StatObject(source).object
    assert (stored.size_bytes, stored.content_type) == (len(TEXT), "text/markdown")
    gone = bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key="twin.md"))
    assert (gone.chunks, gone.sources, gone.parse_results) == (twin.chunks, 1, 1)
    with pytest.raises(NotFound):
        bench.client.storage.StatObject(source)
    assert not bench.client.orchestrator.Search(SearchRequest(query="when does the ferry leave")).hits
    again = bench.ingest(bench.file("ferry.md", TEXT))
    assert again.state == Run.STATE_READY
    assert [entry.operation for entry in bench.entries(again.run_id)] == ["parse", "embed"]


def test_a_deletion_that_is_cut_off_is_finished_by_its_repeat(bench: Workbench) -> None:
    run = bench.ingest(bench.file("ferry.md", TEXT))
    source = StatObjectRequest(key=f"sources/{hashlib.sha256(TEXT).hexdigest()}")
    assert bench.client.storage.StatObject(source)
    bench.arm("storage.commit.after", "kill")
    bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key=run.document_key))
    assert bench.used("storage.commit.after"), "the fault never struck"
    with pytest.raises(NotFound):
        bench.client.storage.StatObject(source)


def test_a_document_that_never_had_a_version_leaves_no_source_behind(bench: Workbench) -> None:
    run_id = ingest_held(bench, "orchestrator.step.chunk.start")
    cancel(bench, run_id)
    gone = bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key="ferry.md"))
    assert (gone.sources, gone.parse_results) == (1, 1)
    with pytest.raises(NotFound):
        bench.client.storage.StatObject(StatObjectRequest(key=f"sources/{hashlib.sha256(TEXT).hexdigest()}"))


def test_a_document_under_way_is_not_deleted(bench: Workbench) -> None:
    run_id = ingest_held(bench, "orchestrator.step.chunk.start")
    with pytest.raises(Precondition) as caught:
        bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key="ferry.md"))
    assert (caught.value.reason, caught.value.metadata["run_id"]) == ("RUN_UNFINISHED", run_id)
    cancel(bench, run_id)


def test_a_cancelled_run_does_not_take_another_run_of_the_same_content_with_it(bench: Workbench) -> None:
    first = ingest_held(bench, "parser.parse.under_way")
    second = bench.client.ingest(bench.file("twin.md", TEXT)).run_id
    bench.reach(second, "parse")
    cancel(bench, first)
    assert bench.finish(second).state == Run.STATE_READY


def test_a_document_that_kills_its_worker_three_times_is_poison_and_its_neighbours_are_ready(
    bench: Workbench,
) -> None:
    bad = ingest_held(bench, "orchestrator.step.parse.start")
    neighbours = [bench.client.ingest(bench.file(f"good-{n}.md", TEXT + b"%d" % n)).run_id for n in range(3)]
    again = f"orchestrator.step.parse.start.{bad}"
    for death in range(2):
        bench.arm(again, STUCK)
        bench.kill("orchestrator")
        eventually(lambda: bench.used(again), f"it begins again after death {death + 1}")
    bench.kill("orchestrator")
    run = bench.finish(bad)
    assert (run.state, run.reason) == (Run.STATE_FAILED, "POISON")
    assert [bench.finish(one).state for one in neighbours] == [Run.STATE_READY] * 3
