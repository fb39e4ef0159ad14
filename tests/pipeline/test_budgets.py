"""A run's spending has a limit, on a stack whose vendor keeps books of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_simulated_vendor import asked
from tests.pipeline.workbench import Workbench, own_stack, simulated
from tests.waiting import eventually
from waybill.client import FINAL_STATES
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    GetBudgetRequest,
    ListBudgetsRequest,
    SetBudgetRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2 import CancelRunRequest, GetRunRequest, ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

pytestmark = pytest.mark.slow

# The ledger's clock is Postgres's, which nobody moves: instead the day that was spent moves a day back.
A_DAY_PASSES = """
delete from waybill_ledger.budget_alerts where tenant = '{tenant}';
update waybill_ledger.budget_windows set started_at = started_at - interval '1 day', window_id =
    md5(budget_id::text || extract(epoch from started_at - interval '1 day')::bigint::text)::uuid
where tenant = '{tenant}';
update waybill_ledger.entries set held_at = held_at - interval '1 day', window_ids = array(
    select window_id from waybill_ledger.budget_windows where tenant = '{tenant}')
where tenant = '{tenant}' and window_ids <> array[]::uuid[];
"""
KINDS = (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with own_stack(tmp_path_factory, "simulator") as home:
        yield home


@pytest.fixture
def vendor(home: Home) -> Remote:
    return simulated(home, OPENAI)


def of_run(run_id: str, limit: int) -> SetBudgetRequest:
    budget = Budget(
        run_id=run_id,
        kind=CostKind.COST_KIND_SIMULATED,
        unit=Budget.UNIT_NANO_USD,
        period=Budget.PERIOD_RUN,
        limit=limit,
    )
    return SetBudgetRequest(budget=budget)


def of_embedder(limit: int, collection: str = "") -> SetBudgetRequest:
    budget = Budget(
        service="embedder",
        collection=collection,
        kind=CostKind.COST_KIND_SIMULATED,
        unit=Budget.UNIT_REQUESTS,
        period=Budget.PERIOD_DAY,
        limit=limit,
    )
    return SetBudgetRequest(budget=budget)


def blocked(bench: Workbench, run_id: str) -> Run:
    """The run, once it waits for a budget."""
    ask = GetRunRequest(run_id=run_id)
    states = (Run.STATE_BLOCKED_ON_BUDGET, *FINAL_STATES)
    eventually(
        lambda: bench.client.orchestrator.GetRun(ask).run.state in states, "the run waits for a budget"
    )
    run = bench.client.orchestrator.GetRun(ask).run
    assert run.state == Run.STATE_BLOCKED_ON_BUDGET, run
    return run


def text(name: str, words: int = 40) -> bytes:
    return f"# Pump {name}\n\n".encode() + f"The pump {name} runs dry at noon. ".encode() * words


def test_a_run_spends_no_more_than_it_may_and_goes_on_by_itself_once_it_may(
    bench: Workbench, vendor: Remote
) -> None:
    seen = asked(vendor)
    run_id = bench.client.ingest(bench.file("pump.md", text("a")), max_nano_usd=1).run_id
    run = blocked(bench, run_id)
    assert run.reason == "BUDGET_EXCEEDED"
    assert "waybill budget set" in run.message
    assert asked(vendor) == seen
    budgets = bench.client.ledger.ListBudgets(ListBudgetsRequest(run_id=run_id)).budgets
    assert {(one.kind, one.limit) for one in budgets} == {(kind, 1) for kind in KINDS}
    bench.client.ledger.SetBudget(of_run(run_id, 10**9))
    run = bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_READY, "")
    bought = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert {(entry.collection, entry.document_key) for entry in bought} == {("default", "pump.md")}


def test_a_blocked_run_keeps_what_is_done_and_others_go_on(bench: Workbench, vendor: Remote) -> None:
    bench.client.ledger.SetBudget(of_embedder(0, "parked"))
    waits = bench.client.ingest(bench.file("a.md", text("a")), collection="parked").run_id
    other = bench.client.ingest(bench.file("b.md", text("b")), collection="free").run_id
    blocked(bench, waits)
    assert bench.finish(other).state == Run.STATE_READY
    parses = [entry.entry_id for entry in bench.entries(waits)]
    seen = asked(vendor)
    # Woken by nothing, it asks no vendor.
    bench.client.ledger.SetBudget(of_embedder(1, "parked"))
    assert bench.finish(waits).state == Run.STATE_READY
    entries = bench.entries(waits)
    assert [entry.entry_id for entry in entries if entry.operation == "parse"] == parses
    assert len(entries) == len(parses) + 1
    assert asked(vendor) == seen + 1


def test_a_long_document_goes_on_behind_the_requests_that_its_budget_allowed(bench: Workbench) -> None:
    bench.client.ledger.SetBudget(of_embedder(2))
    lines = "".join(f"Pump {number} of {number * 7} runs dry at noon.\n\n" for number in range(9_000))
    run_id = bench.client.ingest(bench.file("long.md", lines.encode())).run_id
    blocked(bench, run_id)
    first = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert [entry.state for entry in first] == [Entry.STATE_SETTLED] * 2
    bench.client.ledger.SetBudget(of_embedder(100))
    assert bench.finish(run_id).state == Run.STATE_READY
    entries = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert len({entry.spend_key for entry in entries}) == len(entries)
    assert len(entries) > 2
    check_whole(bench, run_id)


def test_what_a_killed_embedder_held_counts_until_it_is_known(bench: Workbench) -> None:
    budget = Budget(
        service="embedder", kind=KINDS[1], unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY, limit=10**12
    )
    budget_id = bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget)).budget.budget_id
    # The vendor has answered, and the embedder dies with the answer.
    bench.arm("embedder.call.embed.after", "kill")
    run_id = bench.client.ingest(bench.file("k.md", text("k"))).run_id
    assert bench.finish(run_id).state == Run.STATE_READY
    eventually(
        lambda: Entry.STATE_HELD not in {entry.state for entry in bench.entries(run_id)}, "no attempt is open"
    )
    entries = bench.entries(run_id)
    doubts = [entry for entry in entries if entry.state == Entry.STATE_IN_DOUBT]
    assert doubts, "the kill cut off no request"
    window = bench.client.ledger.GetBudget(GetBudgetRequest(budget_id=budget_id)).budget.window
    assert window.used == sum(entry.reported_nano_usd + entry.adjusted_nano_usd for entry in entries)
    assert (window.held, window.in_doubt) == (0, sum(entry.expected_nano_usd for entry in doubts))


def test_a_run_goes_on_by_itself_once_the_day_is_over_that_spent_its_budget(bench: Workbench) -> None:
    bench.client.ledger.SetBudget(of_embedder(1))
    assert bench.ingest(bench.file("a.md", text("first"))).state == Run.STATE_READY
    run_id = bench.client.ingest(bench.file("b.md", text("second"))).run_id
    run = blocked(bench, run_id)
    assert "It resets at" in run.message
    bench.change(A_DAY_PASSES.format(tenant=bench.tenant))
    assert bench.finish(run_id).state == Run.STATE_READY
    (embedded,) = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert embedded.state == Entry.STATE_SETTLED


def test_a_raise_by_a_little_sets_no_more_runs_to_work_than_it_has_room_for(bench: Workbench) -> None:
    bench.client.ledger.SetBudget(of_embedder(0))
    runs = [bench.client.ingest(bench.file(f"{n}.md", text(f"h{n}"))).run_id for n in range(6)]
    for run_id in runs:
        blocked(bench, run_id)
    log = bench.home.log("orchestrator")
    refused = log.read_text().count("run waits for a budget")
    bench.client.ledger.SetBudget(of_embedder(2))
    ask = ListRunsRequest()
    eventually(
        lambda: (
            [run.state for run in bench.client.orchestrator.ListRuns(ask).runs].count(Run.STATE_READY) == 2
        ),
        "two of them go on",
    )
    # Where a run that was woken takes long to buy, another one is woken for its room.
    assert log.read_text().count("run waits for a budget") - refused < 4
    bench.client.ledger.SetBudget(of_embedder(100))
    assert {bench.finish(run_id).state for run_id in runs} == {Run.STATE_READY}


def test_a_blocked_run_can_be_cancelled(bench: Workbench) -> None:
    bench.client.ledger.SetBudget(of_embedder(0))
    run_id = bench.client.ingest(bench.file("c.md", text("c"))).run_id
    blocked(bench, run_id)
    cancelled = bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id)).run
    assert cancelled.state == Run.STATE_CANCELLED
