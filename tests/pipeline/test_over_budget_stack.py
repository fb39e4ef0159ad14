"""A stack in hybrid mode with WAYBILL_OVER_BUDGET=local: a day's budget runs out, is raised, and turns."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests import hostile_pdfs
from tests.conftest import open_folder
from tests.pipeline.hybrid import HASTE, Hybrid, hybrid_stack, simulators
from tests.pipeline.test_budgets import A_DAY_PASSES
from tests.pipeline.workbench import Workbench
from tests.waiting import eventually
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.orchestrator.v1.heal_plan_pb2 import PlanHealRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import HealRunRequest
from waybill.orchestrator.v1.plan_pb2 import PlanResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Quota
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI

pytestmark = pytest.mark.slow

SELDOM_SECONDS = 0.5


@pytest.fixture(scope="module")
def vendors() -> Iterator[Mapping[str, Remote]]:
    with simulators() as vendors:
        yield vendors


@pytest.fixture(scope="module")
def stack(vendors: Mapping[str, Remote], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(open_folder(tmp_path_factory) / "a stack")
    with hybrid_stack(home, vendors, WAYBILL_OVER_BUDGET="local"):
        yield home


@pytest.fixture
def hybrid(stack: Home, vendors: Mapping[str, Remote], tmp_path: Path) -> Iterator[Hybrid]:
    with Workbench.of(stack, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench:
        yield Hybrid(bench, vendors, random.Random(1))


def limit(hybrid: Hybrid, nano_usd: int) -> Budget:
    """Sets the day's budget; answers it with what is used."""
    budget = Budget(
        kind=CostKind.COST_KIND_REAL, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY, limit=nano_usd
    )
    return hybrid.bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget)).budget


def text(hybrid: Hybrid, name: str) -> str:
    """A document of several requests, accepted."""
    salt = uuid.uuid4().hex
    sections = [f"# Pump {n}\n\n" + f"Pump {n} of {salt} runs dry at noon. " * 12 for n in range(4)]
    return hybrid.bench.client.ingest(hybrid.bench.file(f"{name}.md", "\n\n".join(sections).encode())).run_id


def plan(hybrid: Hybrid, run_id: str) -> PlanResponse:
    """What a heal would cost."""
    return hybrid.bench.client.orchestrator.PlanHeal(PlanHealRequest(run_id=run_id)).plan


def billed(hybrid: Hybrid, run_id: str, operation: str) -> int:
    """What a run has paid for."""
    return sum(
        entry.reported_nano_usd
        for entry in hybrid.bench.entries(run_id)
        if entry.operation == operation and entry.state == Entry.STATE_SETTLED
    )


def healed_within(hybrid: Hybrid, runs: Sequence[str], nano_usd: int) -> None:
    """Waits until runs are whole, with an eye on the budget all the while."""

    def done() -> bool:
        window = limit(hybrid, nano_usd).window
        assert window.used + window.held + window.in_doubt <= nano_usd
        hybrid.bench.change(HASTE)
        return hybrid.healed(runs)

    eventually(done, "all are healed", pause_seconds=SELDOM_SECONDS)


def test_what_a_day_s_budget_does_not_pay_is_found_by_words_and_healed_for_its_plan_once_it_does(
    hybrid: Hybrid,
) -> None:
    openai, llamacloud = hybrid.vendors[OPENAI.name], hybrid.vendors[LLAMAPARSE.name]
    first = hybrid.bench.finish(text(hybrid, "while there is money"))
    assert first.state == Run.STATE_READY
    limit(hybrid, 0)
    seen = len(openai.journal), len(llamacloud.journal)
    texts = [text(hybrid, f"pump-{n}") for n in range(3)]
    pages = hostile_pdfs.simple(f"Pump {uuid.uuid4()} runs dry at noon.", pages=2)
    pdf = hybrid.bench.client.ingest(hybrid.bench.file("pump.pdf", pages)).run_id
    runs = [*texts, pdf]
    ended = [hybrid.bench.finish(run_id) for run_id in runs]
    told = [(run.state, run.reason, run.embedded_chunks, run.cost_nano_usd) for run in ended]
    degraded = Run.STATE_READY_DEGRADED
    assert told == [*[(degraded, "VECTORS_PENDING", 0, 0)] * 3, (degraded, "PARSED_LOCALLY", 0, 0)]
    before = [hybrid.chunks(run) for run in ended]
    found = hybrid.search()
    assert {hit.document_key for hit in found.hits} >= {run.document_key for run in ended}
    assert "waybill budget set" in found.without_vector
    with pytest.raises(Quota) as refused:
        hybrid.bench.client.orchestrator.HealRun(HealRunRequest(run_id=texts[0]))
    assert refused.value.reason == "BUDGET_EXCEEDED"
    # Neither was asked for anything: what they got are health probes.
    asked = [*openai.journal[seen[0] :], *llamacloud.journal[seen[1] :]]
    assert {line.method for line in asked} <= {"GET"}

    plans = [plan(hybrid, run_id) for run_id in runs]
    assert all(one.lines[0].exact for one in plans[:3])
    enough = sum(one.approval.nano_usd for one in plans)
    healed_within(hybrid, runs, enough)
    whole = [hybrid.run(run_id) for run_id in runs]
    assert {(run.reason, run.message, run.tries) for run in whole} == {("", "", 2)}
    assert [hybrid.chunks(run) for run in whole[:3]] == before[:3]
    assert set(hybrid.chunks(whole[3])).isdisjoint(before[3])
    for run_id, planned in zip(texts, plans, strict=False):
        assert billed(hybrid, run_id, "embed") == planned.approval.nano_usd
    assert billed(hybrid, pdf, "parse") == plans[3].lines[0].parse_nano_usd > 0
    assert billed(hybrid, pdf, "embed") <= plans[3].lines[0].most_embed_nano_usd
    limit(hybrid, 10**9)
    found = hybrid.search()
    assert not found.without_vector
    assert found.coverage.vectors == found.coverage.chunks


def test_a_new_day_heals_what_the_day_before_did_not_pay(hybrid: Hybrid) -> None:
    price = hybrid.bench.finish(text(hybrid, "as an example")).cost_nano_usd
    limit(hybrid, 2 * price)
    runs = [text(hybrid, f"pump-{n}") for n in range(3)]
    ended = [hybrid.bench.finish(run_id) for run_id in runs]
    lacking = [run.run_id for run in ended if run.state == Run.STATE_READY_DEGRADED]
    assert lacking
    hybrid.bench.change(A_DAY_PASSES.format(tenant=hybrid.bench.tenant))
    healed_within(hybrid, lacking, 2 * price)
