"""What a caller says of a document, and searches filter by."""

from __future__ import annotations

from tests.pipeline.workbench import Workbench
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run

TEXT = b"# Lamp\n\nThe keeper winds the clockwork of the lamp every four hours, and writes it down."


def found(bench: Workbench, **metadata: str) -> set[str]:
    """Keys of the documents that a filtered search finds."""
    request = SearchRequest(query="who winds the lamp", metadata=metadata)
    return {hit.document_key for hit in bench.client.orchestrator.Search(request).hits}


def test_a_search_finds_only_documents_that_say_what_is_asked(bench: Workbench) -> None:
    for name, year in (("old.md", "1890"), ("new.md", "1990")):
        path = bench.file(name, TEXT + year.encode())
        bench.finish(bench.client.ingest(path, metadata={"year": year}).run_id)
    assert found(bench) == {"old.md", "new.md"}
    assert found(bench, year="1890") == {"old.md"}
    assert found(bench, year="1890", author="nobody") == set()


def test_unchanged_content_takes_new_metadata_and_keeps_its_own_where_none_is_named(bench: Workbench) -> None:
    path = bench.file("lamp.md", TEXT)
    bench.finish(bench.client.ingest(path, metadata={"year": "1890"}).run_id)
    assert bench.client.ingest(path).state == Run.STATE_UNCHANGED
    assert found(bench, year="1890") == {"lamp.md"}
    assert bench.client.ingest(path, metadata={"year": "1990"}).state == Run.STATE_UNCHANGED
    assert (found(bench, year="1890"), found(bench, year="1990")) == (set(), {"lamp.md"})
