"""The plan of a heal is its bill, to the nano-dollar, and what it buys counts in its run's budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.ledger.retries import RetryBudget
from tests import hostile_pdfs
from tests.conftest import MigratedPostgres
from tests.contract import makers_llamacloud
from tests.contract.makers_embedder import KEY, failure
from tests.contract.test_hybrid import LONG, TEXT, Bench, hybrid
from tests.contract.test_over_budget import accepted, accepted_with_limit, limit, nothing_waits
from tests.waiting import until
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListBudgetsRequest
from waybill.orchestrator.v1 import heal_plan_pb2, plan_pb2
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.clock import utc_today

pytestmark = pytest.mark.slow

# A repeat is refused whatever it costs, unless a tenth of the run's own limit pays for it.
NO_REPEATS = RetryBudget(percent=10, least_nano_usd=0)


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    async with hybrid(database, tmp_path / "objects", local_over_budget=True) as bench:
        yield bench


async def planned(bench: Bench, run_id: str) -> plan_pb2.PlanResponse:
    """What a heal of a run would cost."""
    request = heal_plan_pb2.PlanHealRequest(run_id=run_id)
    return (await bench.orchestrator.PlanHeal(request, metadata=bench.headers)).plan


async def approved(bench: Bench, run_id: str, plan: plan_pb2.PlanResponse) -> None:
    """Agrees to a plan while the vendor is away, in a moment in which no heal is under way."""
    request = pb.HealRunRequest(run_id=run_id, plan=plan.approval)

    async def is_limited() -> bool:
        await bench.orchestrator.HealRun(request, metadata=bench.headers)
        return bool(await own_limits(bench, run_id))

    await until(is_limited)


async def own_limits(bench: Bench, run_id: str) -> Sequence[Budget]:
    """The budgets that a run has for itself."""
    request = ListBudgetsRequest(run_id=run_id)
    return (await bench.ledger.ListBudgets(request, metadata=bench.headers)).budgets


async def billed(bench: Bench, run_id: str, operation: str) -> int:
    """What a run has paid for, nano-USD; nothing else of it counts."""
    entries = await bench.entries(run_id, operation)
    assert {e.state for e in entries} <= {Entry.STATE_SETTLED, Entry.STATE_RELEASED}
    return sum(e.reported_nano_usd + e.adjusted_nano_usd for e in entries if e.state == Entry.STATE_SETTLED)


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["one request", "several requests"])
async def test_a_heal_of_vectors_costs_what_its_plan_says(bench: Bench, text: str) -> None:
    bench.openai.keys.revoke(KEY)
    run = await bench.ingest(text)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    plan = await planned(bench, run.run_id)
    (line,) = plan.lines
    assert (line.exact, line.pages, plan.chunks_new) == (True, 0, run.chunks)
    assert plan.approval.simulated_nano_usd == line.embed_nano_usd > 0
    await approved(bench, run.run_id, plan)
    bench.openai.keys.add(KEY)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    assert await billed(bench, run.run_id, "embed") == line.embed_nano_usd
    # What was approved is the run's limit, and is spent to the last of it.
    limits = await own_limits(bench, run.run_id)
    assert {one.limit: one.window.used for one in limits} == {0: 0, line.embed_nano_usd: line.embed_nano_usd}
    again = await planned(bench, run.run_id)
    assert (again.unchanged, list(again.lines)) == (True, [])


async def test_what_another_document_has_bought_meanwhile_changes_neither_plan_nor_bill(bench: Bench) -> None:
    """A version's chunks that are published get vectors of their own."""
    run = await bench.finish(await accepted_with_limit(bench, TEXT, 0))
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert (await bench.ingest(TEXT, "twin.md")).state == Run.STATE_READY
    plan = await planned(bench, run.run_id)
    assert (plan.chunks_new, plan.chunks_kept) == (run.chunks, 0)
    price = plan.approval.simulated_nano_usd
    # No plan raises a limit that the run has had before.
    request = pb.HealRunRequest(run_id=run.run_id, plan=plan.approval)
    reason, _ = await failure(bench.orchestrator.HealRun(request, metadata=bench.headers))
    assert reason == "BUDGET_EXCEEDED"
    await limit(bench, price - 1, run_id=run.run_id)
    assert (await failure(bench.heal(run.run_id)))[0] == "BUDGET_EXCEEDED"
    await limit(bench, price, run_id=run.run_id)
    await bench.heal(run.run_id)
    assert (await bench.finish(run.run_id)).state == Run.STATE_READY
    assert await billed(bench, run.run_id, "embed") == price


async def test_a_heal_of_a_parse_costs_what_its_plan_says(bench: Bench) -> None:
    bench.llamacloud.keys.revoke(makers_llamacloud.KEY)
    run = await bench.ingest(hostile_pdfs.simple("Pump 7 runs dry at noon.", pages=3), "manual.pdf")
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    spent = await billed(bench, run.run_id, "embed")
    plan = await planned(bench, run.run_id)
    (line,) = plan.lines
    assert (line.parse_vendor, line.pages, plan.text_known) == ("llamaparse", 3, False)
    await approved(bench, run.run_id, plan)
    bench.llamacloud.keys.add(makers_llamacloud.KEY)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    assert await billed(bench, run.run_id, "parse") == line.parse_nano_usd > 0
    embedded = await billed(bench, run.run_id, "embed") - spent
    assert embedded <= line.most_embed_nano_usd


async def test_a_run_that_was_planned_is_healed_within_its_plan(bench: Bench) -> None:
    bench.openai.keys.revoke(KEY)
    # What the plan of an ingest says, the run pays once: its first try bought nothing.
    first = await bench.ingest(TEXT, "first.md")
    price = (await planned(bench, first.run_id)).approval.simulated_nano_usd
    plan = plan_pb2.ApprovedPlan(price_day=str(utc_today()), simulated_nano_usd=price)
    run = await bench.finish(await accepted(bench, TEXT, plan=plan))
    assert run.state == Run.STATE_READY_DEGRADED
    assert (await planned(bench, run.run_id)).approval.simulated_nano_usd == price
    bench.openai.keys.add(KEY)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    (limited,) = [one for one in await own_limits(bench, run.run_id) if one.limit]
    assert (limited.limit, limited.window.used, limited.window.held) == (price, price, 0)


async def test_a_heal_is_no_repeat_where_nothing_was_charged_before(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with hybrid(database, tmp_path / "objects", retries=NO_REPEATS) as bench:
        bench.openai.keys.revoke(KEY)
        bench.llamacloud.keys.revoke(makers_llamacloud.KEY)
        run = await bench.ingest(hostile_pdfs.simple("Pump 7 runs dry at noon."), "manual.pdf")
        assert (run.state, run.reason, run.embedded_chunks) == (
            Run.STATE_READY_DEGRADED, "PARSED_LOCALLY", 0,
        )  # fmt: skip
        bench.openai.keys.add(KEY)
        bench.llamacloud.keys.add(makers_llamacloud.KEY)
        await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
        for operation in ("parse", "embed"):
            assert await billed(bench, run.run_id, operation) > 0


async def test_what_may_be_charged_already_is_not_bought_again_by_heals_that_nobody_asked_for(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with hybrid(database, tmp_path / "objects", local_over_budget=True, retries=NO_REPEATS) as bench:
        run = await bench.finish(await accepted_with_limit(bench, TEXT, 0))
        assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
        await until(lambda: nothing_waits(database, run.run_id))
        bench.openai.faults.add("O03:times=1")
        price = (await planned(bench, run.run_id)).lines[0].embed_nano_usd
        await limit(bench, 2 * price, run_id=run.run_id)
        await bench.heal(run.run_id)
        failed = await bench.finish(run.run_id)
        assert (failed.state, failed.reason, failed.tries) == (
            Run.STATE_READY_DEGRADED, "VECTORS_PENDING", 2,
        )  # fmt: skip
        assert "RETRY_BUDGET_EXCEEDED" in failed.message
        assert "`heal`" in failed.message
        assert await nothing_waits(database, run.run_id)
        # Its owner allows it: a tenth of that is the price of one repeat.
        await limit(bench, 10 * price, run_id=run.run_id)
        await bench.heal(run.run_id)
        assert (await bench.finish(run.run_id)).state == Run.STATE_READY
        states = sorted((e.attempt, e.state) for e in await bench.embeddings(run.run_id))
        assert states == [(1, Entry.STATE_IN_DOUBT), (2, Entry.STATE_SETTLED)]


async def test_what_needs_no_heal_has_no_plan(bench: Bench) -> None:
    run = await bench.ingest("   \n", "empty.md")
    request = heal_plan_pb2.PlanHealRequest(run_id=run.run_id)
    reason, _ = await failure(bench.orchestrator.PlanHeal(request, metadata=bench.headers))
    assert reason == "NOTHING_TO_HEAL"
