"""Two tenants with the same file: neither finds the other's, both pay."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    GetRunRequest,
    GetTraceRequest,
    ListRunsRequest,
    SearchRequest,
    WatchRunRequest,
)
from waybill.parser.v1.parser_service_pb2 import GetParseJobRequest
from waybill.runtime.errors import NotFound
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1.object_storage_service_pb2 import GetObjectRequest, StatObjectRequest

TEXT = b"# Lighthouse\n\nThe keeper winds the clockwork of the lamp every four hours."


def test_the_same_file_of_two_tenants_is_paid_by_both_and_found_by_each_alone(bench: Workbench) -> None:
    with bench.as_tenant(f"{bench.tenant}b") as other:
        path = bench.file("lamp.md", TEXT)
        mine, theirs = bench.ingest(path), other.ingest(path)
        bought = [
            [(entry.operation, entry.quantity) for entry in tenant.entries(run.run_id)]
            for tenant, run in ((bench, mine), (other, theirs))
        ]
        assert bought[0] == bought[1] == [("parse", 1), ("embed", bought[0][1][1])]
        assert mine.document_id != theirs.document_id
        for tenant, document in ((bench, mine), (other, theirs)):
            hits = tenant.client.orchestrator.Search(SearchRequest(query="who winds the lamp")).hits
            assert {hit.document_id for hit in hits} == {document.document_id}


def test_a_stranger_finds_nothing_by_any_rpc(bench: Workbench) -> None:
    run = bench.ingest(bench.file("lamp.md", TEXT))
    version = bench.rows("select version_id from waybill_runs.runs where run_id = %s", run.run_id)[0][
        "version_id"
    ]
    job = bench.rows("select job_id from waybill_parser.jobs where tenant = %s", bench.tenant)[0]["job_id"]
    source = f"sources/{run.source_sha256}"
    with bench.as_tenant(f"{bench.tenant}x") as stranger:
        c = stranger.client
        answers = list(c.embedder.Embed(EmbedRequest(texts=["who winds the lamp"])))
        space, vector = answers[0].space, answers[1].embeddings[0].values
        for mode in (
            index.SearchRequest.MODE_VECTOR,
            index.SearchRequest.MODE_TEXT,
            index.SearchRequest.MODE_HYBRID,
        ):
            request = index.SearchRequest(query="lamp", vector=vector, space=space, mode=mode)
            found = c.index.Search(request)
            assert not found.hits
            assert (found.coverage.chunks, found.coverage.vectors) == (0, 0)
        assert not c.orchestrator.ListRuns(ListRunsRequest()).runs
        assert not c.ledger.ListEntries(ListEntriesRequest(run_ids=[run.run_id])).entries
        closed: list[Callable[[], object]] = [
            lambda: c.orchestrator.GetRun(GetRunRequest(run_id=run.run_id)),
            lambda: list(c.orchestrator.WatchRun(WatchRunRequest(run_id=run.run_id))),
            lambda: c.orchestrator.GetTrace(GetTraceRequest(run_id=run.run_id)),
            lambda: c.orchestrator.GetTrace(GetTraceRequest(correlation_id=run.correlation_id)),
            lambda: c.parser.GetParseJob(GetParseJobRequest(job_id=str(job))),
            lambda: c.storage.StatObject(StatObjectRequest(key=source)),
            lambda: list(c.storage.GetObject(GetObjectRequest(key=source))),
            lambda: c.index.ListChunks(index.ListChunksRequest(version_id=version)),
            lambda: c.index.PublishVersion(index.PublishVersionRequest(version_id=version, chunk_count=1)),
        ]
        for call in closed:
            with pytest.raises(NotFound):
                call()


@pytest.mark.parametrize(
    ("service", "table"),
    [
        ("storage", "waybill_index.chunks"),
        ("storage", "waybill_index.vectors"),
        ("parser", "waybill_parser.jobs"),
        ("ledger", "waybill_ledger.entries"),
        ("orchestrator", "waybill_runs.runs"),
        ("orchestrator", "waybill_runs.spans"),
    ],
)
def test_the_database_shows_no_row_without_a_tenant_and_no_schema_of_another_service(
    bench: Workbench, service: str, table: str
) -> None:
    bench.ingest(bench.file("lamp.md", TEXT))
    one = f"select 1 from {table} limit 1"  # noqa: S608 - names of ours
    eventually(lambda: bool(bench.rows(one)), "a row")
    with psycopg.connect(bench.database_url(service)) as connection:
        assert connection.execute(one.encode()).fetchall() == []
    other = "ledger" if service != "ledger" else "parser"
    with (
        psycopg.connect(bench.database_url(other)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(one.encode())
