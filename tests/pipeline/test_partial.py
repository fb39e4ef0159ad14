"""A document that is not whole: what is missing is named on the run, and not paid for."""

from __future__ import annotations

from tests import hostile_pdfs
from tests.pipeline.workbench import Workbench
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListFileTypesRequest, SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run


def test_a_page_that_cannot_be_read_is_named_and_not_billed(bench: Workbench) -> None:
    path = bench.file("holes.pdf", hostile_pdfs.without_its_second_page())
    run = bench.ingest(path)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "PAGES_MISSING")
    assert run.message == "Page 2 could not be read and cost nothing."
    assert (run.pages, list(run.reading.failed_pages), run.reading.format) == (3, [2], "pdf")
    (parse,) = [entry for entry in bench.entries(run.run_id) if entry.operation == "parse"]
    assert parse.quantity == 2
    hits = bench.client.orchestrator.Search(SearchRequest(query="which page stands")).hits
    assert {hit.chunk.page for hit in hits} == {1, 3}


def test_what_a_document_lacks_is_said_again_when_it_comes_unchanged(bench: Workbench) -> None:
    path = bench.file("holes.pdf", hostile_pdfs.without_its_second_page())
    first, again = bench.ingest(path), bench.ingest(path)
    assert again.run_id != first.run_id
    assert (again.state, again.reason, again.message) == (first.state, first.reason, first.message)
    assert (again.pages, again.simulated_nano_usd) == (3, 0)


def test_a_texts_encoding_stands_on_its_run(bench: Workbench) -> None:
    text = "Der Größenunterschied der Brücken über die Müß ist für die Schiffer ein Ärgernis."
    run = bench.ingest(bench.file("bruecken.txt", text.encode("windows-1252")))
    assert (run.state, run.reading.format, run.reading.encoding) == (Run.STATE_READY, "text", "windows-1252")
    (hit,) = bench.client.orchestrator.Search(SearchRequest(query="Brücken")).hits
    assert hit.chunk.text == text


def test_the_orchestrator_names_the_types_of_the_parsers_backend(bench: Workbench) -> None:
    answer = bench.client.orchestrator.ListFileTypes(ListFileTypesRequest())
    suffixes = {suffix for each in answer.file_types for suffix in each.suffixes}
    assert {".pdf", ".docx", ".pptx", ".xlsx", ".html", ".eml", ".csv", ".md"} <= suffixes
    assert answer.any_text
