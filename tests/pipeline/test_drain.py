"""SIGTERM: what is in flight is finished, the process ends, and its runs are taken up again."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import state
from waybill.stack.process import Process

pytestmark = pytest.mark.slow


def terminate(bench: Workbench, name: str) -> Process:
    found = state.read(bench.home)
    assert found is not None
    process = found.programs[name].process
    os.kill(process.pid, signal.SIGTERM)
    return process


def restart(bench: Workbench, name: str) -> None:
    process = terminate(bench, name)
    eventually(lambda: not process.alive(), f"{name} ends")
    eventually(bench.all_serving, "the supervisor starts it again")


def test_a_call_in_flight_is_answered_before_its_server_ends(bench: Workbench) -> None:
    bench.arm("embedder.embed.under_way", "hold")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lambda: list(bench.client.embedder.Embed(EmbedRequest(texts=["slow"]))))
        eventually(lambda: bench.used("embedder.embed.under_way"), "the call is under way")
        process = terminate(bench, "embedder")
        bench.release("embedder.embed.under_way")
        answers = call.result(timeout=PATIENCE_SECONDS)
    assert len(answers[1].embeddings) == 1
    eventually(lambda: not process.alive(), "the server ends")
    eventually(bench.all_serving, "the supervisor starts it again")
    assert len(bench.client.ledger.ListEntries(ListEntriesRequest()).entries) == 1


def test_runs_of_a_drained_orchestrator_go_on_in_the_next_one(bench: Workbench) -> None:
    bench.arm("parser.parse.under_way", "hold")
    run_id = bench.client.ingest(bench.file("a.md", b"# Tide\n\nHigh water at nine.")).run_id
    eventually(lambda: bench.used("parser.parse.under_way"), "the parse is under way")
    process = terminate(bench, "orchestrator")
    eventually(lambda: not process.alive(), "the orchestrator ends")
    bench.release("parser.parse.under_way")
    assert bench.finish(run_id).state == Run.STATE_READY
    assert [entry.attempt for entry in bench.entries(run_id) if entry.operation == "parse"] == [1]


def test_rolling_restarts_count_no_start_against_a_run_that_is_under_way(bench: Workbench) -> None:
    point = "embedder.embed.under_way"
    bench.arm(point, "stick")
    run_id = bench.client.ingest(bench.file("a.md", b"# Ebb\n\nLow water at three.")).run_id
    for comes_then in ("stick", "stick", "stick", "hold"):
        eventually(lambda: bench.used(point), "the embedding is under way")
        bench.arm(point, comes_then)
        restart(bench, "orchestrator")
    eventually(lambda: bench.used(point), "the embedding is under way")
    bench.release(point)
    run = bench.finish(run_id)
    assert (run.state, run.starts) == (Run.STATE_READY, 1), run.message
