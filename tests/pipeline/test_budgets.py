"""A run's spending has a limit, on a stack whose vendor keeps books of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.pipeline.workbench import Workbench, simulated, started
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import ListBudgetsRequest, SetBudgetRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import RetryRunRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

KINDS = (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)


@pytest.fixture(scope="module")
def simulating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(open_folder(tmp_path_factory) / "a stack")
    with started(home, "simulator"):
        yield home


@pytest.fixture
def bench(simulating: Home, tmp_path: Path) -> Iterator[Workbench]:
    with Workbench.of(simulating, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench:
        yield bench


@pytest.fixture
def vendor(simulating: Home) -> Remote:
    return simulated(simulating, OPENAI)


def of_run(run_id: str, limit: int) -> SetBudgetRequest:
    budget = Budget(
        run_id=run_id,
        kind=CostKind.COST_KIND_SIMULATED,
        unit=Budget.UNIT_NANO_USD,
        period=Budget.PERIOD_RUN,
        limit=limit,
    )
    return SetBudgetRequest(budget=budget)


def test_a_run_spends_no_more_than_it_may_and_goes_on_once_it_may(bench: Workbench, vendor: Remote) -> None:
    file = bench.file("pump.md", b"# Pump\n\n" + b"The pump runs dry at noon. " * 40)
    seen = len(vendor.journal)
    run_id = bench.client.ingest(file, max_nano_usd=1).run_id
    run = bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_FAILED, "BUDGET_EXCEEDED")
    assert "waybill budget set" in run.message
    assert len(vendor.journal) == seen
    budgets = bench.client.ledger.ListBudgets(ListBudgetsRequest(run_id=run_id)).budgets
    assert {(one.kind, one.limit) for one in budgets} == {(kind, 1) for kind in KINDS}
    bench.client.ledger.SetBudget(of_run(run_id, 10**9))
    bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id))
    assert bench.finish(run_id).state == Run.STATE_READY
    bought = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert {(entry.collection, entry.document_key) for entry in bought} == {("default", "pump.md")}
