"""Between the two local models, on the stack of the session: programs die inside the change-over itself."""

from __future__ import annotations

import pytest

from tests.local_models import needs_sentences
from tests.pipeline.test_migrate_space import (
    document,
    plan,
    reach,
    roll_back,
    row,
    searching,
    start,
    switch,
    vectors,
)
from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.orchestrator.v1 import space_migration_service_pb2 as pb
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.storage.v1.collection_space_pb2 import CollectionSpace

pytestmark = pytest.mark.slow

WORDS, SENTENCES = "wordllama-l2-supercat", "universal-sentence-encoder-multilingual-3"


@needs_sentences
def test_words_go_to_sentences_and_back_though_the_change_over_is_killed(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    found = plan(bench, SENTENCES)
    assert (found.vendor, found.nano_usd, found.space.dimension) == ("local", 0, 512)
    bench.arm("embedder.embed.under_way", "kill")
    begun = start(bench, SENTENCES)
    reach(bench, CollectionSpace.STATE_FILLED)
    assert bench.used("embedder.embed.under_way")
    assert {entry.model for entry in bench.entries(begun.run_id)} == {"sentence vectors"}
    with searching(bench, "when does the sluice millrace open", "mill.md") as seen:
        eventually(lambda: bool(seen.faults or seen.spaces), "a first answer")
        bench.arm("storage.switch.inside", "kill")
        switch(bench)
        assert bench.used("storage.switch.inside")
        assert row(bench).space.model == SENTENCES
        eventually(lambda: bool(seen.faults) or seen.spaces[-1] == SENTENCES, "an answer behind the switch")
        assert bench.ingest(document(bench, "late.md", 40, "lockgate")).state == Run.STATE_READY
        roll_back(bench)
        eventually(lambda: bool(seen.faults) or seen.spaces[-1] == WORDS, "an answer behind the way back")
    assert not seen.faults
    assert seen.spaces == [WORDS, SENTENCES, WORDS]
    bench.client.spaces.FinishMigration(pb.FinishMigrationRequest())
    eventually(lambda: set(vectors(bench)) == {WORDS}, "the new vectors are dropped", pause_seconds=0.2)


@needs_sentences
def test_a_run_that_is_under_way_is_published_in_the_space_that_is_searched_by_then(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    start(bench, SENTENCES)
    reach(bench, CollectionSpace.STATE_FILLED)
    # It stands before its publishing while searches change over.
    point = "orchestrator.step.publish.start"
    bench.arm(point, "hold")
    under_way = bench.client.ingest(document(bench, "long.md", 6_000, "lockgate")).run_id
    eventually(lambda: bench.used(point), "it is about to be published", pause_seconds=0.1)
    switch(bench)
    bench.release(point)
    assert bench.finish(under_way).state == Run.STATE_READY
    answer = bench.client.spaces.GetMigration(pb.GetMigrationRequest())
    assert answer.migration.space.model == SENTENCES
    rows = bench.rows(
        "select model, vector_count = chunk_count as whole from waybill_index.document_versions"
        " join waybill_index.spaces using (space_id) where tenant = %s and state = 'PUBLISHED'",
        bench.tenant,
    )
    assert rows == [{"model": SENTENCES, "whole": True}] * 2
