"""Bad input is a typed error with a reason, the stack stays well, and nothing stays behind."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator

import grpc
import pytest

from tests import hostile_pdfs
from tests.pipeline.workbench import Workbench, refusal
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    GetRunRequest,
    GetTraceRequest,
    IngestRequest,
    ListRunsRequest,
    SearchRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import (
    Deadline,
    InvalidRequest,
    NotFound,
    Quota,
    ServiceError,
    from_status,
)
from waybill.stack import state
from waybill.storage.v1.object_storage_service_pb2 import StatObjectRequest

pytestmark = pytest.mark.slow

FAILING = [
    ("locked.pdf", hostile_pdfs.encrypted, "PDF_IS_PROTECTED"),
    ("cut.pdf", hostile_pdfs.truncated, "PDF_IS_BROKEN"),
    ("noise.pdf", hostile_pdfs.random_bytes, "PDF_IS_BROKEN"),
    ("blank.pdf", hostile_pdfs.without_text, "DOCUMENT_EMPTY"),
    ("deflate.pdf", hostile_pdfs.double_deflate, "DOCUMENT_TOO_LARGE"),
    ("forms.pdf", hostile_pdfs.nested_forms, "DOCUMENT_TOO_LARGE"),
    ("white.md", lambda: b" \n\t\n", "DOCUMENT_EMPTY"),
]


@pytest.mark.parametrize(("name", "make", "reason"), FAILING)
def test_a_document_that_cannot_be_parsed_fails_with_its_reason_and_costs_nothing(
    bench: Workbench, name: str, make: Callable[[], bytes], reason: str
) -> None:
    run = bench.ingest(bench.file(name, make()))
    assert (run.state, run.reason) == (Run.STATE_FAILED, reason), run.message
    assert len(run.message) > 20
    assert run.simulated_nano_usd == run.cost_nano_usd == run.uncertain_simulated_nano_usd == 0
    assert bench.indexed() == []
    eventually(bench.all_serving, "the stack is well")


def header(content: bytes = b"text", **fields: object) -> IngestRequest:
    known = {
        "document_key": "a.md",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return IngestRequest(header=IngestRequest.Header(**(known | fields)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("messages", "kind", "reason"),
    [
        ([header(b"")], InvalidRequest, "DOCUMENT_EMPTY"),
        ([header(document_key="../../etc/passwd.md")], InvalidRequest, "PATH_NOT_ALLOWED"),
        ([header(document_key="a\x1b[31m.md")], InvalidRequest, "INVALID_REQUEST"),
        ([header(document_key="")], InvalidRequest, "INVALID_REQUEST"),
        ([header(sha256="short")], InvalidRequest, "INVALID_REQUEST"),
        ([header(size_bytes=64_000_001)], Quota, "DOCUMENT_TOO_LARGE"),
        ([header(), IngestRequest(data=b"tex!")], InvalidRequest, "CHECKSUM_MISMATCH"),
        ([header(), IngestRequest(data=b"te")], InvalidRequest, "INVALID_REQUEST"),
        ([IngestRequest(data=b"text")], InvalidRequest, "INVALID_REQUEST"),
        ([header(), IngestRequest(data=b"x" * 2_200_000)], Quota, "MESSAGE_TOO_LARGE"),
        ([header(request_id="no uuid")], InvalidRequest, "INVALID_REQUEST"),
    ],
)
def test_a_refused_ingest_says_why_and_leaves_nothing(
    bench: Workbench, messages: list[IngestRequest], kind: type[ServiceError], reason: str
) -> None:
    error = refusal(lambda: bench.client.orchestrator.Ingest(iter(messages)))
    assert (type(error), error.reason) == (kind, reason), error.message
    assert not bench.client.orchestrator.ListRuns(ListRunsRequest(page_size=1_000_000)).runs
    key = f"sources/{hashlib.sha256(b'text').hexdigest()}"
    assert (
        refusal(lambda: bench.client.storage.StatObject(StatObjectRequest(key=key))).reason
        == "OBJECT_NOT_FOUND"
    )


@pytest.mark.parametrize(
    ("call", "kind", "reason"),
    [
        (lambda c: c.orchestrator.GetRun(GetRunRequest(run_id=str(uuid.uuid4()))), NotFound, "RUN_NOT_FOUND"),
        (lambda c: c.orchestrator.GetRun(GetRunRequest(run_id="no")), NotFound, "RUN_NOT_FOUND"),
        (lambda c: c.orchestrator.GetTrace(GetTraceRequest(run_id="never")), NotFound, "RUN_NOT_FOUND"),
        (lambda c: c.orchestrator.GetTrace(GetTraceRequest(correlation_id="n")), NotFound, "RUN_NOT_FOUND"),
        (lambda c: c.orchestrator.GetTrace(GetTraceRequest()), InvalidRequest, "INVALID_REQUEST"),
        (lambda c: c.orchestrator.Search(SearchRequest(query=" ")), InvalidRequest, "INVALID_REQUEST"),
        (lambda c: c.storage.StatObject(StatObjectRequest(key="../x")), InvalidRequest, "PATH_NOT_ALLOWED"),
        (
            lambda c: c.orchestrator.ListRuns(ListRunsRequest(page_token="x")),
            InvalidRequest,
            "PAGE_TOKEN_INVALID",
        ),
        (lambda c: c.orchestrator.ListRuns(ListRunsRequest(page_size=-1)), InvalidRequest, "INVALID_REQUEST"),
        (lambda c: c.orchestrator.ListRuns(ListRunsRequest(), timeout=0), Deadline, "DEADLINE_EXCEEDED"),
    ],
)
def test_a_wrong_question_has_a_typed_answer(
    bench: Workbench, call: Callable[[object], object], kind: type[ServiceError], reason: str
) -> None:
    error = refusal(lambda: call(bench.client))
    assert (type(error), error.reason) == (kind, reason), error.message


def test_a_repeated_request_id_is_the_same_run_and_with_other_content_a_conflict(bench: Workbench) -> None:
    request_id = str(uuid.uuid4())
    path = bench.file("a.md", b"# One\n\nSome text.")
    first = bench.client.ingest(path, request_id=request_id)
    again = bench.client.ingest(path, request_id=request_id)
    assert again.run_id == first.run_id
    other = bench.file("b.md", b"# Two\n\nOther text.")
    error = refusal(lambda: bench.client.ingest(other, request_id=request_id))
    assert error.reason == "REQUEST_ID_REUSED"
    bench.finish(first.run_id)


def test_an_ingest_that_its_caller_gives_up_leaves_no_run_and_no_object(bench: Workbench) -> None:
    content = b"# Slow\n\n" + b"x" * 1000
    found = state.read(bench.home)
    assert found is not None
    with grpc.insecure_channel(found.addresses["orchestrator"]) as channel:
        stub = OrchestratorServiceStub(channel)

        def messages() -> Iterator[IngestRequest]:
            yield header(content)
            yield IngestRequest(data=content[:10])
            call.cancel()

        call = stub.Ingest.future(messages(), metadata=(("x-waybill-tenant", bench.tenant),))
        with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
            call.result(timeout=PATIENCE_SECONDS)
    key = f"sources/{hashlib.sha256(content).hexdigest()}"
    assert (
        refusal(lambda: bench.client.storage.StatObject(StatObjectRequest(key=key))).reason
        == "OBJECT_NOT_FOUND"
    )
    assert not bench.client.orchestrator.ListRuns(ListRunsRequest()).runs
    eventually(lambda: not list((bench.home.objects).rglob("*.part")), "half an upload is gone")


def test_an_invalid_tenant_is_refused_by_name(bench: Workbench) -> None:
    found = state.read(bench.home)
    assert found is not None
    with grpc.insecure_channel(found.addresses["orchestrator"]) as channel:
        stub = OrchestratorServiceStub(channel)
        metadata = (("x-waybill-tenant", "../other"),)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListRuns(ListRunsRequest(), metadata=metadata, timeout=PATIENCE_SECONDS)
    assert from_status(caught.value).reason == "TENANT_INVALID"


def test_terminal_escapes_in_text_and_names_stay_inert_in_logs(bench: Workbench) -> None:
    run = bench.ingest(bench.file("evil.md", b"# \x1b[31mRed\x1b]0;title\x07\n\n[bold]text[/bold]"))
    assert run.state == Run.STATE_READY
    for log in bench.home.logs.glob("*.log"):
        text = log.read_bytes()
        assert b"\x1b" not in text, log.name
        assert b"title" not in text or log.name == "postgres.log", "document text in a log"
    for name in ("orchestrator", "parser"):
        for line in bench.home.log(name).read_text().splitlines():
            assert isinstance(json.loads(line), dict)
