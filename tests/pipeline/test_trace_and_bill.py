"""Undisturbed, the trace and the bill are two views of the same work, and work on this machine is free."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.orchestrator.v1.run_pb2 import Run

HANDBOOK = next((Path(__file__).parents[2] / "examples" / "documents").glob("*.pdf"))


def test_vendor_spans_are_ledger_rows_one_to_one_and_add_up_to_the_bill(bench: Workbench) -> None:
    run = bench.ingest(HANDBOOK)
    assert run.state == Run.STATE_READY
    entries = bench.entries(run.run_id)

    def exported() -> list[str]:
        query = "select entry_id from waybill_runs.spans where trace_id = %s and entry_id <> ''"
        return sorted(row["entry_id"] for row in bench.rows(query, run.trace_id))

    eventually(lambda: exported() == sorted(entry.entry_id for entry in entries), "vendor spans arrive")
    spans = bench.trace(run.run_id)
    assert {(entry.operation, entry.vendor, entry.model) for entry in entries} == {
        ("parse", "local", "pdf engine"), ("embed", "local", "word vectors"),
    }  # fmt: skip
    assert sum(span.cost_nano_usd + span.simulated_nano_usd for span in spans) == 0
    assert (run.cost_nano_usd, run.simulated_nano_usd) == (0, 0)
    assert [entry.reported_nano_usd for entry in entries] == [0 for _ in entries]
    assert all(entry.would_cost.nano_usd > 0 for entry in entries)


def test_every_span_reaches_the_root_through_its_caller(bench: Workbench) -> None:
    run = bench.ingest(HANDBOOK)

    def whole() -> bool:
        spans = bench.trace(run.run_id)
        names = {span.span_id: span.name for span in spans}
        # A call's server side may come before its client side, and hangs under the step until then.
        called = all(names[span.parent_span_id] == span.name for span in spans if span.kind == "SERVER")
        # What a service did for a call hangs under the step, too, until the call's server side comes.
        sides = Counter((span.name.rpartition("/")[2], span.kind) for span in spans)
        return called and all(
            sides[call, "CLIENT"] == sides[call, "SERVER"] > 0 for call in ("Embed", "PutVectors")
        )

    eventually(whole, "the last spans arrive")
    spans = bench.trace(run.run_id)
    by_id = {span.span_id: span for span in spans}
    assert [span.name for span in spans if not span.parent_span_id] == ["ingest"]
    for span in spans[1:]:
        caller = by_id[span.parent_span_id]
        if span.kind == "SERVER":
            # The caller of a server span is the client span of the same RPC, in another service.
            assert (caller.kind, caller.name) == ("CLIENT", span.name)
            assert caller.service != span.service
        assert caller.start_unix_nano <= span.start_unix_nano + 1_000_000
    steps = [span.name for span in spans if span.parent_span_id == spans[0].span_id]
    assert steps == ["receive", "store", "parse", "chunk", "embed 1", "publish"]
    by_step = defaultdict(list)
    for span in spans:
        if (
            span.kind == "CLIENT"
            and (step := by_id[span.parent_span_id]) in spans[1:]
            and step.kind == "INTERNAL"
        ):
            by_step[step.name].append(span.name.rpartition("/")[2])
    # What is one embedding request costs four calls once it is parsed. Besides, the embedder is asked now
    # and then which model it serves, and the index once which space a collection is in.
    asked = ("Embed", "GetCollectionSpace")
    assert [call for call in by_step["chunk"] if call not in asked] == ["GetObject", "PutChunks"]
    assert (by_step["embed 1"], by_step["publish"]) == (["Embed"], ["PutVectors"])


def test_an_unchanged_document_costs_nothing_and_calls_no_vendor(bench: Workbench) -> None:
    first, second = bench.ingest(HANDBOOK), bench.ingest(HANDBOOK)
    assert second.state == Run.STATE_UNCHANGED
    assert (second.document_id, second.chunks) == (first.document_id, first.chunks)
    assert bench.entries(second.run_id) == []


def test_an_edit_embeds_only_what_changed_and_replaces_what_searches_see(bench: Workbench) -> None:
    text = "".join(f"# Part {n}\n\n" + f"Sentence {n} of this part. " * 60 + "\n\n" for n in range(12))
    before = bench.ingest(bench.file("notes.md", text.encode()))
    after = bench.ingest(bench.file("notes.md", text.replace("Sentence 7", "A heron 7").encode()))
    assert after.state == Run.STATE_READY
    tokens = {
        run: sum(e.quantity for e in bench.entries(run) if e.unit == "token")
        for run in (before.run_id, after.run_id)
    }
    assert 0 < tokens[after.run_id] < tokens[before.run_id] / 4
    texts = [row["text"] for row in bench.indexed()]
    assert any("A heron 7" in one for one in texts)
    assert not any("Sentence 7 " in one for one in texts)
