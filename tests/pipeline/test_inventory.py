"""What a caller has: documents with what their runs know, runs by state, document and time, many deleted."""

from __future__ import annotations

import datetime
import hashlib

import pytest

from tests.pipeline.test_control import cancel, ingest_held
from tests.pipeline.workbench import Workbench
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    GetDocumentRequest,
    ListChunksRequest,
    ListCollectionsRequest,
    ListDocumentsRequest,
    ListRunsRequest,
    SearchRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.wire import timestamp

TEXT = b"# Lamp\n\nThe keeper winds the clockwork of the lamp every four hours.\n"


def ingest(bench: Workbench, key: str, collection: str = "", content: bytes = TEXT, **metadata: str) -> Run:
    """A document that is in the index."""
    path = bench.file(key, content)
    run = bench.client.ingest(path, document_key=key, collection=collection, metadata=metadata)
    return bench.finish(run.run_id)


def documents(bench: Workbench, **wanted: object) -> list[Document]:
    """A page of documents."""
    request = ListDocumentsRequest(**wanted)  # type: ignore[arg-type]
    return list(bench.client.orchestrator.ListDocuments(request).documents)


def runs(bench: Workbench, **wanted: object) -> list[str]:
    """Ids of listed runs, over pages of two."""
    request, found = ListRunsRequest(page_size=2, **wanted), []  # type: ignore[arg-type]
    while True:
        answer = bench.client.orchestrator.ListRuns(request)
        found += [run.run_id for run in answer.runs]
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def delete(bench: Workbench, **wanted: object) -> DeleteDocumentsResponse:
    """Deletes a page."""
    request = DeleteDocumentsRequest(**wanted)  # type: ignore[arg-type]
    return bench.client.orchestrator.DeleteDocuments(request)


def test_a_document_tells_what_its_run_knows_of_the_file(bench: Workbench) -> None:
    run = ingest(bench, "lamp.md", "manuals", lang="en")
    request = GetDocumentRequest(collection="manuals", document_key="lamp.md")
    document = bench.client.orchestrator.GetDocument(request).document
    assert documents(bench) == [document]
    assert (document.state, document.run_id, document.document_id) == (
        Document.STATE_READY,
        run.run_id,
        run.document_id,
    )
    assert (document.size_bytes, document.pages, document.chunks) == (len(TEXT), 1, run.chunks)
    assert (document.source_sha256, dict(document.metadata)) == (
        hashlib.sha256(TEXT).hexdigest(),
        {"lang": "en"},
    )
    assert document.publish_time.ToNanoseconds() <= run.end_time.ToNanoseconds()
    (collection,) = bench.client.orchestrator.ListCollections(ListCollectionsRequest()).collections
    assert (collection.collection, collection.documents, collection.chunks) == ("manuals", 1, run.chunks)
    chunks = bench.client.orchestrator.ListChunks(
        ListChunksRequest(collection="manuals", document_key="lamp.md")
    )
    assert chunks.version_id == document.version_id
    assert "clockwork" in chunks.chunks[0].text


def test_a_document_whose_first_run_was_cancelled_is_unpublished(bench: Workbench) -> None:
    run_id = ingest_held(bench, "orchestrator.step.embed.start")
    cancel(bench, run_id)
    (document,) = documents(bench)
    assert (document.state, document.run_id) == (Document.STATE_UNPUBLISHED, "")
    assert not document.HasField("publish_time")


def test_a_stranger_lists_nothing(bench: Workbench) -> None:
    ingest(bench, "lamp.md", "manuals")
    with bench.as_tenant(f"{bench.tenant}x") as stranger:
        assert not documents(stranger)
        assert not documents(stranger, collection="manuals")
        assert not stranger.client.orchestrator.ListCollections(ListCollectionsRequest()).collections
        assert not runs(stranger, states=[Run.STATE_READY])
        assert not runs(stranger, collection="manuals", document_key="lamp.md")
        assert delete(stranger, collection="manuals") == DeleteDocumentsResponse()
        with pytest.raises(NotFound):
            stranger.client.orchestrator.GetDocument(
                GetDocumentRequest(collection="manuals", document_key="lamp.md")
            )
        with pytest.raises(NotFound):
            stranger.client.orchestrator.ListChunks(
                ListChunksRequest(collection="manuals", document_key="lamp.md")
            )
    assert len(documents(bench)) == 1


def test_runs_are_listed_by_state_document_and_time(bench: Workbench) -> None:
    first = ingest(bench, "a.md").run_id
    same = ingest(bench, "a.md").run_id
    other = ingest(bench, "a.md", "other", b"another text").run_id
    changed = ingest(bench, "a.md", content=b"# Changed").run_id
    assert runs(bench) == [changed, other, same, first]
    assert runs(bench, states=[Run.STATE_UNCHANGED]) == [same]
    assert runs(bench, states=[Run.STATE_READY]) == [changed, other, first]
    assert runs(bench, states=[Run.STATE_READY, Run.STATE_UNCHANGED, Run.STATE_FAILED]) == runs(bench)
    assert runs(bench, document_key="a.md") == [changed, same, first]
    assert runs(bench, document_key="a.md", states=[Run.STATE_READY]) == [changed, first]
    assert runs(bench, document_key="a.md", collection="other") == [other]
    listed = bench.client.orchestrator.ListRuns(ListRunsRequest()).runs
    since = next(run for run in listed if run.run_id == other).create_time
    late = [run.run_id for run in listed if run.create_time.ToMilliseconds() >= since.ToMilliseconds()]
    assert changed in late
    assert first not in late
    assert runs(bench, accepted_from=since) == late
    assert runs(bench, accepted_before=since) == [run for run in runs(bench) if run not in late]
    assert runs(bench, accepted_from=since, states=[Run.STATE_UNCHANGED]) == []


def test_a_time_before_all_times_and_a_state_of_nobodys_are_no_defects(bench: Workbench) -> None:
    run_id = ingest(bench, "a.md").run_id
    long_ago = timestamp(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC))
    assert runs(bench, accepted_from=long_ago) == [run_id]
    assert runs(bench, accepted_before=long_ago) == []
    for state in (Run.STATE_UNSPECIFIED, 99):
        with pytest.raises(InvalidRequest):
            runs(bench, states=[state])


def test_a_collection_is_deleted_in_pages_and_says_how_much(bench: Workbench) -> None:
    for number in range(5):
        ingest(bench, f"{number}.md", "manuals", TEXT + b"%d" % number)
    kept = ingest(bench, "kept.md", "other")
    first = delete(bench, collection="manuals", page_size=3)
    assert (first.documents, first.versions, first.sources) == (3, 3, 3)
    assert first.next_page_token
    rest = delete(bench, collection="manuals", page_size=3, page_token=first.next_page_token)
    assert (rest.documents, rest.next_page_token) == (2, "")
    assert [one.document_key for one in documents(bench)] == [kept.document_key]
    # A repeat of a call whose answer was lost finds nothing more.
    again = delete(bench, collection="manuals", page_size=3)
    assert again == DeleteDocumentsResponse()


def test_only_documents_that_say_what_is_asked_are_deleted(bench: Workbench) -> None:
    ingest(bench, "old.md", content=TEXT + b"1890", year="1890")
    ingest(bench, "new.md", content=TEXT + b"1990", year="1990")
    gone = delete(bench, collection="default", metadata={"year": "1890"})
    assert (gone.documents, gone.next_page_token) == (1, "")
    assert [one.document_key for one in documents(bench)] == ["new.md"]
    hits = bench.client.orchestrator.Search(SearchRequest(query="who winds the lamp")).hits
    assert {hit.document_key for hit in hits} == {"new.md"}


def test_a_collection_that_is_not_named_is_not_deleted(bench: Workbench) -> None:
    ingest(bench, "lamp.md")
    with pytest.raises(InvalidRequest):
        delete(bench)
    assert len(documents(bench)) == 1


@pytest.mark.parametrize("step", ["orchestrator.step.chunk.start", "orchestrator.step.embed.start"])
def test_a_document_under_way_stays_and_is_named_once(bench: Workbench, step: str) -> None:
    ingest(bench, "lamp.md")
    run_id = ingest_held(bench, step)
    gone = delete(bench, collection="default")
    assert gone.documents == 1
    assert [(one.document_key, one.run_id) for one in gone.unfinished] == [("ferry.md", run_id)]
    assert not delete(bench, collection="default", metadata={"year": "1890"}).unfinished
    cancel(bench, run_id)
    assert not delete(bench, collection="default").unfinished
