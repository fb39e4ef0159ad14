"""A run's own budgets: what somebody has agreed that it may spend, real and simulated money apart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from services.orchestrator.peers import Peers, steady
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import ListBudgetsRequest, SetBudgetRequest
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan

KINDS = (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED)


def limits(plan: ApprovedPlan) -> Mapping[CostKind, int]:
    """What a plan allows of each kind of money, nano-USD."""
    return dict(zip(KINDS, (plan.nano_usd, plan.simulated_nano_usd), strict=True))


async def put(peers: Peers, run_id: str, kind: CostKind, nano_usd: int) -> None:
    """Sets what a run may spend of a kind of money."""
    budget = Budget(
        run_id=run_id, kind=kind, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_RUN, limit=nano_usd
    )
    await steady(partial(peers.ledger.SetBudget, SetBudgetRequest(budget=budget)))


async def set_missing(peers: Peers, run_id: str, plan: ApprovedPlan) -> None:
    """Lets a run spend on its heal what a plan allows, from now on; a limit that it has had before stays."""
    request = ListBudgetsRequest(run_id=run_id, page_size=500)
    listed = await steady(partial(peers.ledger.ListBudgets, request))
    limited = {one.kind for one in listed.budgets if one.unit == Budget.UNIT_NANO_USD}
    for kind, nano_usd in limits(plan).items():
        if kind not in limited:
            await put(peers, run_id, kind, nano_usd)
