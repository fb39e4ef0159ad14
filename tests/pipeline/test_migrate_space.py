"""A collection goes to another model and back, while a searcher never pauses and programs are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.workbench import Workbench, own_stack
from tests.waiting import eventually
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.orchestrator.v1 import space_migration_service_pb2 as pb
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListDocumentsRequest, SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.space_migration_pb2 import FillPlan
from waybill.stack.home import Home
from waybill.storage.v1.collection_space_pb2 import CollectionSpace

pytestmark = pytest.mark.slow

SMALL, LARGE = "text-embedding-3-small", "text-embedding-3-large"
NANO_USD_OF_LARGE = 130  # a token


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    others = {"PARSER_BACKEND": "local", "STORAGE_BACKEND": "local"}
    with own_stack(tmp_path_factory, "simulator", **others) as home:
        yield home


@dataclass
class Searcher:
    """Asks without a pause; what it was answered, and what went wrong."""

    spaces: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@contextmanager
def searching(bench: Workbench, query: str, key: str) -> Iterator[Searcher]:
    """Each answer is whole, of one space, and has the document."""
    seen, done = Searcher(), threading.Event()

    def ask(client: Workbench) -> None:
        while not done.is_set():
            answer = client.client.orchestrator.Search(SearchRequest(query=query))
            if answer.coverage.vectors != answer.coverage.chunks or answer.without_vector:
                seen.faults.append(f"not whole: {answer.space.model} {answer.coverage}")
            if key not in [hit.document_key for hit in answer.hits]:
                seen.faults.append(f"not found in {answer.space.model}")
            if not seen.spaces or seen.spaces[-1] != answer.space.model:
                seen.spaces.append(answer.space.model)

    def run() -> None:
        with bench.as_tenant(bench.tenant) as mine:
            try:
                ask(mine)
            except Exception as error:
                seen.faults.append(repr(error))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def document(bench: Workbench, name: str, words: int, mark: str) -> Path:
    paragraphs = [
        f"Sluice {mark} number {n} opens at {n} minutes past noon, says page {n}." for n in range(words)
    ]
    return bench.file(name, f"# {mark}\n\n{chr(10).join(paragraphs)}\n".encode())


def plan(bench: Workbench, model: str = LARGE) -> FillPlan:
    return bench.client.spaces.PlanMigration(pb.PlanMigrationRequest(model=model)).plan


def start(bench: Workbench, model: str = LARGE) -> CollectionSpace:
    space = plan(bench, model).space
    return bench.client.spaces.StartMigration(pb.StartMigrationRequest(space=space)).migration


def row(bench: Workbench) -> CollectionSpace:
    return bench.client.spaces.GetMigration(pb.GetMigrationRequest()).migration


def reach(bench: Workbench, state: CollectionSpace.State) -> None:
    name = CollectionSpace.State.Name(state)
    eventually(lambda: row(bench).state == state and not row(bench).moving, name, pause_seconds=0.1)


def switch(bench: Workbench) -> None:
    bench.client.spaces.SwitchSearches(pb.SwitchSearchesRequest())
    reach(bench, CollectionSpace.STATE_SWITCHED)


def roll_back(bench: Workbench) -> None:
    bench.client.spaces.RollBackSearches(pb.RollBackSearchesRequest())
    reach(bench, CollectionSpace.STATE_ROLLED_BACK)


def settled(entries: list[Entry]) -> int:
    return sum(entry.reported_nano_usd for entry in entries if entry.state == Entry.STATE_SETTLED)


def vectors(bench: Workbench) -> dict[str, int]:
    """How many vectors the tenant has, by model."""
    rows = bench.rows(
        "select model, count(*) as many from waybill_index.vectors join waybill_index.spaces using (space_id)"
        " where tenant = %s group by model",
        bench.tenant,
    )
    return {one["model"]: one["many"] for one in rows}


def test_a_collection_goes_to_another_model_and_back_under_a_searcher(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    assert bench.ingest(document(bench, "weir.md", 60, "weirside")).state == Run.STATE_READY
    # The same text twice is bought once.
    assert bench.ingest(document(bench, "copy.md", 60, "weirside")).state == Run.STATE_READY
    with bench.as_tenant(f"{bench.tenant}b") as neighbour:
        assert neighbour.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
        found = plan(bench)
        measure = found.measure
        assert measure.documents == 3
        assert measure.missing_chunks == measure.chunks > measure.texts_to_embed
        assert (found.model, found.nano_usd) == (LARGE, measure.tokens_to_embed * NANO_USD_OF_LARGE)
        assert found.kind == CostKind.COST_KIND_SIMULATED
        with searching(bench, "when does the sluice millrace open", "mill.md") as seen:
            eventually(lambda: bool(seen.faults or seen.spaces), "a first answer")
            started_as = start(bench)
            reach(bench, CollectionSpace.STATE_FILLED)
            entries = bench.entries(started_as.run_id)
            assert settled(list(entries)) == found.nano_usd, "the plan is the bill"
            assert {entry.model for entry in entries} == {LARGE}
            # What comes meanwhile is filled at the switch.
            assert bench.ingest(document(bench, "late.md", 40, "lockgate")).state == Run.STATE_READY
            switch(bench)
            assert row(bench).space.model == LARGE
            eventually(
                lambda: bool(seen.faults) or seen.spaces[-1:] == [LARGE], "an answer behind the switch"
            )
            # New versions are of the new model, though another one is configured; the same file is unchanged.
            assert bench.ingest(document(bench, "new.md", 40, "penstock")).state == Run.STATE_READY
            assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_UNCHANGED
            answer = bench.client.spaces.GetMigration(pb.GetMigrationRequest())
            assert answer.missing.measure.documents == 5
            assert 0 < answer.missing.measure.missing_chunks < answer.missing.measure.chunks
            assert answer.missing.model == SMALL
            roll_back(bench)
            eventually(lambda: bool(seen.faults) or seen.spaces[-1] == SMALL, "an answer behind the way back")
        assert not seen.faults
        assert seen.spaces == [SMALL, LARGE, SMALL]
        assert set(vectors(neighbour)) == {SMALL}, "another tenant is untouched"
    switch(bench)
    bench.client.spaces.FinishMigration(pb.FinishMigrationRequest())
    eventually(lambda: set(vectors(bench)) == {LARGE}, "the old vectors are dropped", pause_seconds=0.2)
    found_at = bench.client.orchestrator.Search(SearchRequest(query="penstock"))
    assert (found_at.space.model, found_at.coverage.vectors) == (LARGE, found_at.coverage.chunks)
    listed = bench.client.orchestrator.ListDocuments(ListDocumentsRequest()).documents
    assert [[one.backend for one in document.backends] for document in listed] == [["local", "openai"]] * 5


def test_a_fill_goes_on_whatever_is_killed(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 6_000, "millrace")).state == Run.STATE_READY
    found = plan(bench)
    with searching(bench, "when does the sluice millrace open", "mill.md"):
        begun = start(bench)
        eventually(lambda: bool(bench.entries(begun.run_id)), "the fill buys")
        for program in ("orchestrator", "storage", "embedder"):
            bench.kill(program)
            eventually(bench.all_serving, f"{program} is back", pause_seconds=0.5)
        reach(bench, CollectionSpace.STATE_FILLED)
    entries = list(bench.entries(begun.run_id))
    doubt = sum(one.expected_nano_usd for one in entries if one.state == Entry.STATE_IN_DOUBT)
    held = sum(one.expected_nano_usd for one in entries if one.state == Entry.STATE_HELD)
    assert found.nano_usd <= settled(entries) + doubt + held
    assert vectors(bench) == {SMALL: found.measure.chunks, LARGE: found.measure.chunks}


def test_a_budget_stops_a_fill_which_says_so_and_goes_on(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    budget = Budget(
        kind=CostKind.COST_KIND_SIMULATED, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY, limit=1
    )
    bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget))
    start(bench)
    eventually(lambda: row(bench).reason == "BUDGET_EXCEEDED", "it is stopped", pause_seconds=0.1)
    assert row(bench).state == CollectionSpace.STATE_FILLING
    assert set(vectors(bench)) == {SMALL}
    budget.limit = 10**12
    bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget))
    reach(bench, CollectionSpace.STATE_FILLED)


def test_both_spaces_are_tried_on_a_question(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    start(bench, "wordllama-l2-supercat")
    reach(bench, CollectionSpace.STATE_FILLED)
    tried = bench.client.spaces.TrySpaces(pb.TrySpacesRequest(query="which sluice opens", limit=5))
    for trial, model in ((tried.searched, SMALL), (tried.beside, "wordllama-l2-supercat")):
        assert trial.space.model == model
        assert trial.coverage.vectors == trial.coverage.chunks > 0
        assert [len(trial.hybrid), len(trial.nearest), len(trial.exact)] == [
            min(5, trial.coverage.chunks)
        ] * 3
        assert {hit.chunk.chunk_id for hit in trial.nearest} == {hit.chunk.chunk_id for hit in trial.exact}


def command(bench: Workbench, *arguments: str, refused: int = 0) -> str:
    """Runs `waybill` for the tenant; what it wrote on stdout."""
    environment = {**os.environ, "WAYBILL_HOME": str(bench.home.folder), "NO_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "waybill.cli", *arguments, "--tenant", bench.tenant],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == refused, done.stderr
    return done.stdout


def shapes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_command_line_takes_all_collections_through(bench: Workbench) -> None:
    assert bench.ingest(document(bench, "mill.md", 60, "millrace")).state == Run.STATE_READY
    weir = bench.client.ingest(document(bench, "weir.md", 60, "weirside"), collection="rivers").run_id
    assert bench.finish(weir).state == Run.STATE_READY
    assert "rivers" in command(bench, "migrate-space", "--to", LARGE, refused=5), "nobody has said yes"
    assert not command(bench, "migrate-space", "status")
    *plans, first, second = shapes(command(bench, "migrate-space", "--to", LARGE, "--yes", "--json"))
    assert [one["collection"] for one in plans] == ["default", "rivers"]
    assert [first["state"], second["state"]] == ["FILLED", "FILLED"]
    (bill,) = shapes(command(bench, "bill", second["run_id"], "--json"))
    assert bill["simulated_nano_usd"] == plans[1]["nano_usd"] > 0
    command(bench, "migrate-space", "switch", "--collection", "sea", refused=4)

    asked = [
        {"question": "which sluice is at the weirside", "documents": ["weir.md"]},
        {"question": "weirside number 7 opens", "phrases": ["number 7 OPENS"]},
        {"question": "weirside number 8 opens", "documents": ["nowhere.md"]},
    ]
    lines = [*map(json.dumps, asked), "which one opens first"]
    questions = bench.file("questions.jsonl", "\n".join(lines).encode())
    arguments = ("migrate-space", "evaluate", "--questions", str(questions), "--collection", "rivers")
    (report,) = shapes(command(bench, *arguments, "--json"))
    assert (report["questions"], report["questions_with_expectations"]) == (4, 3)
    assert (report["searched"]["model"], report["beside"]["model"]) == (SMALL, LARGE)
    assert report["searched"]["hybrid"]["recall_at_10"] == pytest.approx(2 / 3)
    assert report["searched"]["index_recall"] == 1.0
    assert "recall@10" in command(bench, *arguments)

    switched = shapes(command(bench, "migrate-space", "switch", "--json"))
    assert [(one["state"], one["searched"]["model"]) for one in switched] == [("SWITCHED", LARGE)] * 2
    command(bench, "migrate-space", "rollback", "--collection", "rivers")
    state = {
        one["collection"]: one["state"] for one in shapes(command(bench, "migrate-space", "status", "--json"))
    }
    assert state == {"default": "SWITCHED", "rivers": "ROLLED_BACK"}
    actions = ("space.fill", "space.switch", "space.moved", "space.roll_back")
    eventually(
        lambda: all(action in told for told in [command(bench, "audit", "--json")] for action in actions),
        "all is audited",
        pause_seconds=0.5,
    )
    command(bench, "migrate-space", "finish", "--yes")
    eventually(lambda: vectors(bench).keys() == {SMALL, LARGE}, "one space a collection", pause_seconds=0.2)
    command(bench, "migrate-space", "--to", "no-such-model", refused=5)
