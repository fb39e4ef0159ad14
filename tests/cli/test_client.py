"""The client over grpcio-testing's channel, where a test sees each message, and over sockets."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import grpc_testing
import psutil
import pytest
from grpc_status import rpc_status

from tests.cli.fakes import Ledger, Orchestrator, make_run, serving
from tests.conftest import open_folder
from tests.waiting import PATIENCE_SECONDS
from waybill.calling import CallPolicy, idempotent
from waybill.cli.exits import ADVICE, Exit, advice, code_of
from waybill.client import Client, Upload, connect
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    add_OrchestratorServiceServicer_to_server,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import (
    CODES,
    Deadline,
    InvalidRequest,
    Quota,
    ServiceError,
    Unavailable,
    to_status,
)
from waybill.settings import FIXED_PORTS
from waybill.stack import finding, state
from waybill.stack.home import Home
from waybill.stack.ports import free_ports
from waybill.stack.process import Process
from waybill.stack.state import Phase, StackState

SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"]
KINDS = {code: kind for kind, code in CODES.items()}


class Wire:
    """A client whose calls the test takes and answers; its clock moves only while it sleeps."""

    def __init__(self) -> None:
        self.channel = grpc_testing.channel([SERVICE], grpc_testing.strict_fake_time(0))
        self.now = 0.0
        self.sleeps: list[float] = []
        policy = CallPolicy((("x-waybill-tenant", "acme"),), 10.0, lambda: self.now, self._sleep)
        self.client = Client(dict.fromkeys(FIXED_PORTS, self.channel), policy)
        self.pool = ThreadPoolExecutor(1)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self.pool.submit(function, *arguments)

    def get_run(self) -> Future[Any]:
        return self.call(self.client.orchestrator.GetRun, pb.GetRunRequest(run_id="r"))

    def take(self, method: str) -> tuple[Any, Any, Any]:
        descriptor = SERVICE.methods_by_name[method]
        kind = "stream" if descriptor.server_streaming else "unary"
        return getattr(self.channel, f"take_unary_{kind}")(descriptor)  # type: ignore[no-any-return]

    def refuse(self, method: str, error: ServiceError) -> None:
        answer_error(self.take(method)[2], error, streaming=SERVICE.methods_by_name[method].server_streaming)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def answer_error(rpc: Any, error: ServiceError, *, streaming: bool = False) -> None:
    status = rpc_status.to_status(to_status(error))
    first = () if streaming else (None,)
    rpc.terminate(*first, status.trailing_metadata, status.code, status.details)


def raised(future: Future[Any]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        future.result(timeout=PATIENCE_SECONDS)
    return caught.value


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.pool.shutdown()


@pytest.mark.parametrize(("code", "reason"), list(ADVICE))
def test_each_code_and_reason_has_its_exit_code_and_next_step(
    wire: Wire, code: grpc.StatusCode, reason: str
) -> None:
    sent = KINDS[code](reason or "ANY_OTHER", "What is wrong.", retry_after_seconds=60)
    waiting = wire.get_run()
    wire.refuse("GetRun", sent)
    error = raised(waiting)
    assert (code_of(error), error.reason, error.message) == (code, sent.reason, "What is wrong.")
    assert advice(error) == ADVICE[code, reason]
    assert advice(error).next_step.endswith(".")


def test_every_error_of_the_tree_has_advice() -> None:
    assert {code for code, reason in ADVICE if not reason} == set(CODES.values())
    assert {row.exit for row in ADVICE.values()} == set(Exit) - {
        Exit.OK,
        Exit.DOCUMENT_FAILED,
        Exit.DRIFT,
        Exit.INTERRUPTED,
        Exit.PIPE_CLOSED,
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INTERNAL, Exit.BROKEN_CONTRACT),
        (grpc.StatusCode.UNIMPLEMENTED, Exit.BROKEN_CONTRACT),
        (grpc.StatusCode.PERMISSION_DENIED, Exit.CREDENTIAL),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Exit.DEADLINE),
    ],
)
def test_a_bare_status_still_has_a_typed_error(wire: Wire, code: grpc.StatusCode, expected: Exit) -> None:
    waiting = wire.get_run()
    wire.take("GetRun")[2].terminate(None, (), code, "details")
    error = raised(waiting)
    assert (error.reason, advice(error).exit) == (code.name, expected)


def test_the_contract_says_what_may_be_repeated() -> None:
    assert idempotent("/waybill.orchestrator.v1.OrchestratorService/Ingest")
    assert idempotent("/waybill.orchestrator.v1.OrchestratorService/GetRun")
    assert not idempotent("/waybill.orchestrator.v1.OrchestratorService/Search")
    assert not idempotent("/waybill.embedder.v1.EmbedderService/Embed")


def test_an_idempotent_call_is_repeated_with_growing_pauses_while_a_service_restarts(wire: Wire) -> None:
    waiting = wire.get_run()
    for _ in range(4):
        wire.refuse("GetRun", Unavailable("RESTARTING", ""))
    wire.take("GetRun")[2].terminate(None, (), grpc.StatusCode.CANCELLED, "cut off as the server stops")
    wire.take("GetRun")[2].terminate(pb.GetRunResponse(run=make_run()), (), grpc.StatusCode.OK, "")
    assert waiting.result(timeout=PATIENCE_SECONDS).run == make_run()
    assert wire.sleeps == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_the_deadline_ends_the_repeats(wire: Wire) -> None:
    waiting = wire.get_run()
    wire.refuse("GetRun", Unavailable("RESTARTING", "", retry_after_seconds=6))
    wire.refuse("GetRun", Unavailable("STILL_RESTARTING", "", retry_after_seconds=6))
    assert raised(waiting).reason == "STILL_RESTARTING"
    assert wire.sleeps == [6]


def test_other_failures_are_not_repeated(wire: Wire) -> None:
    waiting = wire.get_run()
    wire.refuse("GetRun", Quota("TOO_MANY", "", retry_after_seconds=1))
    assert raised(waiting).reason == "TOO_MANY"
    assert not wire.sleeps


def test_a_full_disk_is_told_at_once(wire: Wire) -> None:
    waiting = wire.get_run()
    wire.refuse("GetRun", Unavailable("STORAGE_FULL", ""))
    assert raised(waiting).reason == "STORAGE_FULL"
    assert not wire.sleeps


def test_a_call_that_spends_each_time_is_sent_once(wire: Wire) -> None:
    waiting = wire.call(wire.client.orchestrator.Search, pb.SearchRequest(query="q"))
    wire.refuse("Search", Unavailable("RESTARTING", ""))
    assert raised(waiting).reason == "RESTARTING"
    assert not wire.sleeps


def test_calls_carry_the_tenant(wire: Wire) -> None:
    waiting = wire.get_run()
    metadata, request, rpc = wire.take("GetRun")
    assert dict(metadata)["x-waybill-tenant"] == "acme"
    assert request.run_id == "r"
    rpc.terminate(pb.GetRunResponse(), (), grpc.StatusCode.OK, "")
    waiting.result(timeout=PATIENCE_SECONDS)


def test_an_upload_is_repeated_whole_under_the_same_request_id(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 300_000)
    waiting = wire.call(wire.client.ingest, path)
    method = SERVICE.methods_by_name["Ingest"]
    _, first = wire.channel.take_stream_unary(method)
    sent = [first.take_request() for _ in range(3)]
    answer_error(first, Unavailable("RESTARTING", ""))
    _, second = wire.channel.take_stream_unary(method)
    assert [second.take_request() for _ in range(3)] == sent
    second.terminate(pb.IngestResponse(run=make_run()), (), grpc.StatusCode.OK, "")
    assert waiting.result(timeout=PATIENCE_SECONDS) == make_run()
    assert (sent[0].header.document_key, sent[0].header.size_bytes) == ("a.txt", 300_000)
    assert len(sent[0].header.request_id) == 36


def test_spent_requests_are_not_sent_again(wire: Wire) -> None:
    requests = iter([pb.IngestRequest(header=pb.IngestRequest.Header(document_key="k"))])
    waiting = wire.call(wire.client.orchestrator.Ingest, requests)
    _, rpc = wire.channel.take_stream_unary(SERVICE.methods_by_name["Ingest"])
    answer_error(rpc, Unavailable("RESTARTING", ""))
    assert raised(waiting).reason == "RESTARTING"


def test_watching_resumes_after_the_last_message_seen(wire: Wire) -> None:
    seen: SimpleQueue[int] = SimpleQueue()

    def watch() -> None:
        for run in wire.client.watch("r"):
            seen.put(run.state)

    waiting = wire.call(watch)
    running = make_run(state=Run.STATE_RUNNING)
    _, _, stream = wire.take("WatchRun")
    stream.send_response(pb.WatchRunResponse(run=running, resume_token="7"))
    # The testing channel drops what is unread when a call fails.
    assert seen.get(timeout=PATIENCE_SECONDS) == Run.STATE_RUNNING
    answer_error(stream, Unavailable("RESTARTING", ""), streaming=True)
    wire.take("GetRun")[2].terminate(pb.GetRunResponse(run=running), (), grpc.StatusCode.OK, "")
    _, request, stream = wire.take("WatchRun")
    assert request.resume_token == "7"
    stream.send_response(pb.WatchRunResponse(run=make_run(), resume_token="8"))
    stream.terminate((), grpc.StatusCode.OK, "")
    waiting.result(timeout=PATIENCE_SECONDS)
    assert seen.get_nowait() == Run.STATE_READY
    assert seen.empty()


def test_watching_ends_with_the_error_when_the_orchestrator_stays_away(wire: Wire) -> None:
    waiting = wire.call(lambda: list(wire.client.watch("r")))
    away = Unavailable("AWAY", "", retry_after_seconds=60)
    wire.refuse("WatchRun", away)
    wire.refuse("GetRun", away)
    assert raised(waiting).reason == "AWAY"


def test_label_token_and_default_deadline_go_over_the_wire() -> None:
    seen: dict[str, Any] = {}

    class Listening(Orchestrator):
        def GetRun(self, request: Any, context: Any) -> pb.GetRunResponse:  # noqa: N802
            seen.update(context.invocation_metadata(), left=context.time_remaining())
            return pb.GetRunResponse()

    with (
        serving(Listening(), Ledger()) as environ,
        connect(
            environ=environ, tenant="acme", correlation_id="l", token="t", deadline_seconds=500
        ) as client,
    ):
        client.orchestrator.GetRun(pb.GetRunRequest(run_id="r"))
    assert (seen["x-waybill-tenant"], seen["x-correlation-id"]) == ("acme", "l")
    assert seen["authorization"] == "Bearer t"
    assert 400 < seen["left"] < 506  # the wire rounds


def test_addresses_are_those_given_then_the_environments_then_the_fixed_ports(tmp_path: Path) -> None:
    environ = {
        "WAYBILL_LEDGER_ADDRESS": "b:2",
        "WAYBILL_STORAGE_ADDRESS": "c:3",
        "WAYBILL_HOME": str(tmp_path),
    }
    with connect({"ledger": "a:1"}, environ=environ) as c:
        assert (c.addresses["ledger"], c.addresses["storage"]) == ("a:1", "c:3")
        assert c.addresses["orchestrator"] == "127.0.0.1:7401"


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A state folder where nothing has run yet."""
    return Home(open_folder(tmp_path_factory))


def test_a_stack_on_free_ports_is_found_by_its_state(home: Home) -> None:
    where = {name: f"127.0.0.1:{place}" for place, name in enumerate(FIXED_PORTS)}
    state.write(home, StackState(Process.of(os.getpid()), Phase.SERVING, where))
    with connect(environ={"WAYBILL_HOME": str(home.folder)}) as client:
        assert client.addresses == where


@pytest.mark.parametrize("down", [False, True])
def test_where_no_stack_runs_what_was_tried_is_told_at_once(home: Home, down: bool) -> None:
    nowhere = {name: f"127.0.0.1:{port}" for name, port in zip(FIXED_PORTS, free_ports(5), strict=True)}
    if down:
        ended = Process(os.getpid(), "long ago")
        state.write(home, StackState(ended, Phase.SERVING, nowhere))
    with pytest.raises(Unavailable) as caught:
        finding.addresses({}, {"WAYBILL_HOME": str(home.folder)}, home.folder, nowhere)
    assert caught.value.reason == "NOT_REACHABLE"
    told = f"{home.state} ({'its stack is down' if down else 'not there'})"
    for tried in ("WAYBILL_ORCHESTRATOR_ADDRESS (not set)", told, f"{nowhere['orchestrator']} (nothing"):
        assert tried in caught.value.message


def test_a_misspelt_address_leads_to_no_other_stack(home: Home) -> None:
    environ = {"WAYBILL_ORCHESTRATR_ADDRESS": "far:1", "WAYBILL_HOME": str(home.folder)}
    with pytest.raises(InvalidRequest, match="the nearest is WAYBILL_ORCHESTRATOR_ADDRESS"):
        connect(environ=environ)


def test_an_address_without_an_answer_is_named_when_time_is_up() -> None:
    nobody = connect("127.0.0.1:1", environ={}, deadline_seconds=0.05)
    with nobody, pytest.raises(Deadline, match=r"127\.0\.0\.1:1 has not answered in time"):
        nobody.orchestrator.ListRuns(pb.ListRunsRequest())


def test_the_signature_of_connect_tells_nothing_of_the_environment() -> None:
    assert "environ: 'Mapping[str, str] | None' = None" in str(inspect.signature(connect))


def test_a_call_waits_for_a_server_that_is_still_starting() -> None:
    port = free_ports(1)[0]
    server = grpc.server(ThreadPoolExecutor(2))
    with ThreadPoolExecutor(1) as pool, connect(f"127.0.0.1:{port}", environ={}) as client:
        with pytest.raises(Unavailable, match="NOT_REACHABLE"):
            client.wait_until_reachable("orchestrator", 0.05)
        waiting = pool.submit(client.orchestrator.Search, pb.SearchRequest(query="q"), PATIENCE_SECONDS)
        add_OrchestratorServiceServicer_to_server(Orchestrator(), server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        assert waiting.result(timeout=PATIENCE_SECONDS).space.dimension == 256
    server.stop(None).wait()


@pytest.mark.parametrize("refused", [False, True])
async def test_an_answer_may_come_before_the_bytes_are_sent(tmp_path: Path, refused: bool) -> None:
    """As our servers do it: grpc.aio, the header read and nothing else."""

    class Hasty(OrchestratorServiceServicer):
        async def Ingest(self, request_iterator: Any, context: Any) -> pb.IngestResponse:  # noqa: N802
            await anext(aiter(request_iterator))
            if refused:
                status = rpc_status.to_status(to_status(Quota("DOCUMENT_TOO_LARGE", "Too large.")))
                await context.abort(status.code, status.details, status.trailing_metadata)
            return pb.IngestResponse(run=make_run(state=Run.STATE_UNCHANGED))

        GetRun = ListRuns = WatchRun = Search = GetTrace = Ingest  # type: ignore[assignment]

    path = tmp_path / "large.pdf"
    path.write_bytes(bytes(40_000_000))
    server = grpc.aio.server()
    add_OrchestratorServiceServicer_to_server(Hasty(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with connect(f"127.0.0.1:{port}", environ={}) as client:
        for _ in range(5):
            if refused:
                with pytest.raises(Quota, match="DOCUMENT_TOO_LARGE"):
                    await asyncio.to_thread(client.ingest, path)
            else:
                run = await asyncio.to_thread(client.ingest, path)
                assert run.state == Run.STATE_UNCHANGED
    await server.stop(None)


def test_a_file_is_not_held_open_between_its_messages(tmp_path: Path) -> None:
    """gRPC drops the iterator of a call that ends early, and never closes it."""
    path = tmp_path / "large.pdf"
    path.write_bytes(bytes(range(256)) * 4_000)
    header = pb.IngestRequest.Header(document_key="large.pdf")
    pieces = iter(Upload.of(path, header))
    assert next(pieces).HasField("header")
    assert next(pieces).data
    assert str(path) not in {opened.path for opened in psutil.Process().open_files()}
    assert b"".join(message.data for message in Upload.of(path, header)) == path.read_bytes()


def test_a_callers_install_is_grpc_and_protobuf() -> None:
    heavy = ["typer", "rich", "structlog", "stamina", "opentelemetry", "numpy", "psycopg"]
    script = f"import sys, waybill.client; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
