"""A run that has spent its retry budget stops, says so, and goes on when its owner allows more."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.pipeline.test_simulated_vendor import asked, slow
from tests.pipeline.workbench import Workbench, simulated, started
from tests.waiting import eventually
from waybill.cli.limits import limit
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import RetryRunRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

pytestmark = pytest.mark.slow

STATES = Entry.STATE_IN_DOUBT, Entry.STATE_SETTLED


def test_a_lost_answer_is_bought_again_only_where_the_retry_budget_allows_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home = Home(open_folder(tmp_path_factory) / "a stack")
    with (
        started(home, "simulator", WAYBILL_RETRY_LEAST_NANO_USD="0"),
        Workbench.of(home, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench,
    ):
        vendor = simulated(home, OPENAI)
        seen = asked(vendor)
        text = "# Pump\n\n" + "The pump runs dry at noon. " * 40
        with slow(vendor):
            run_id = bench.client.ingest(bench.file("pump.md", text.encode())).run_id
            # The vendor writes a request down when it comes.
            eventually(lambda: asked(vendor) > seen, "the request is under way")
            bench.kill("embedder")
        stopped = bench.finish(run_id)
        assert (stopped.state, stopped.reason) == (Run.STATE_FAILED, "RETRY_BUDGET_EXCEEDED")
        assert asked(vendor) == seen + 1

        command = re.search(
            r"`waybill budget set (\S+) --run (\S+) --simulated( --tenant \S+)?`", stopped.message
        )
        assert command is not None, stopped.message
        budget = Budget(
            run_id=command[2],
            kind=CostKind.COST_KIND_SIMULATED,
            unit=Budget.UNIT_NANO_USD,
            period=Budget.PERIOD_RUN,
            limit=limit(command[1]).amount,
        )
        bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget))
        bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id))
        assert bench.finish(run_id).state == Run.STATE_READY
        attempts = sorted(
            (one.attempt, one.state) for one in bench.entries(run_id) if one.operation == "embed"
        )
        assert attempts == list(enumerate(STATES, start=1))
