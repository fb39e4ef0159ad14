"""What `heal` prints, and how `heal --plan` asks."""

from __future__ import annotations

import json

from tests.cli.conftest import Waybill
from tests.cli.fakes import Orchestrator, make_run
from tests.cli.test_commands import documented
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import NotFound, Precondition, Quota, VendorContract


def degraded(number: int) -> Run:
    return make_run(number, state=Run.STATE_READY_DEGRADED, reason="VECTORS_PENDING")


def test_a_heal_of_one_run_does_not_ask_unless_its_plan_is_wanted(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    run = degraded(1)
    orchestrator.has(run)
    assert waybill("heal", run.run_id).exit_code == 0
    (request,) = orchestrator.requests
    assert not request.HasField("plan")
    shown = waybill("heal", run.run_id, "--plan", "--yes")
    assert shown.exit_code == 0, shown.stderr
    assert "total of 1 document, prices of 2026-11-27" in shown.stdout
    assert orchestrator.requests[-1].plan.simulated_nano_usd == 7_500_840


def test_a_plan_that_nobody_agrees_to_heals_nothing(waybill: Waybill, orchestrator: Orchestrator) -> None:
    run = degraded(1)
    orchestrator.has(run)
    result = waybill("heal", run.run_id, "--plan")
    assert result.exit_code == 5
    assert "PLAN_NOT_APPROVED" in result.stderr
    assert not orchestrator.requests


def test_of_all_runs_those_that_a_budget_refuses_are_named(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    first, second, third = degraded(1), degraded(2), degraded(3)
    orchestrator.has(first, second, third)
    orchestrator.refusals[second.run_id] = Quota("BUDGET_EXCEEDED", "Raise it: `waybill budget set`.")
    orchestrator.refusals[third.run_id] = Precondition("VERSION_REPLACED", "It has another version.")
    result = waybill("heal", "--all", "--plan", "--yes", "--json")
    assert result.exit_code == 0, result.stderr
    *plans, healed = map(json.loads, result.stdout.splitlines())
    keys = ["run_id" if key == "path" else key for key in documented("plan")]
    assert [list(plan) for plan in plans] == [keys] * 3
    assert [run["run_id"] for run in healed["runs"]] == [first.run_id]
    assert f"{second.run_id}: Raise it: `waybill budget set`." in result.stderr
    assert third.run_id not in result.stderr
    assert "1 run passed over: the document has another version by now (VERSION_REPLACED)" in result.stderr


def test_runs_that_are_passed_over_are_counted_by_why(waybill: Waybill, orchestrator: Orchestrator) -> None:
    runs = [degraded(number) for number in range(1, 5)]
    orchestrator.has(*runs)
    refusals = [
        Precondition("VERSION_REPLACED", "It has another version."),
        Precondition("VERSION_REPLACED", "It has another version."),
        NotFound("DOCUMENT_NOT_FOUND", "It was deleted."),
        Precondition("NOTHING_TO_HEAL", "It lacks nothing that a vendor could give."),
    ]
    orchestrator.refusals |= {run.run_id: refusal for run, refusal in zip(runs, refusals, strict=True)}
    result = waybill("heal", "--all")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == [
        "2 runs passed over: the document has another version by now (VERSION_REPLACED)",
        "1 run passed over: no vendor can give what the document lacks (NOTHING_TO_HEAL)",
        "1 run passed over: the document was deleted (DOCUMENT_NOT_FOUND)",
        "0 runs taken up; waybill runs follows them",
    ]
    alone = waybill("heal", runs[0].run_id)
    assert alone.exit_code == 5
    assert "VERSION_REPLACED: It has another version." in alone.stderr
    assert "Nothing is left to do" in alone.stderr


def test_who_heals_all_and_is_stopped_is_told_which_runs_are_taken_up(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    older, newer = degraded(1), degraded(2)
    orchestrator.has(older, newer)
    orchestrator.refusals[older.run_id] = VendorContract("BROKEN", "It breaks here.")
    result = waybill("heal", "--all")
    assert result.exit_code == 9
    assert newer.run_id in result.stdout
    assert "1 run taken up; waybill runs follows them" in result.stderr
