"""The RPCs of plans: request → plans → response."""

from __future__ import annotations

from typing import Any

from services.ledger.budget_rpcs import as_uuid
from services.ledger.plans import Plans
from services.ledger.report_rpcs import read_day
from services.ledger.rows import Row
from waybill.ledger.v1 import ledger_service_pb2_grpc, plan_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import timestamp

MAX_RUNS = 200


class PlanRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about plans."""

    _plans: Plans

    async def ApprovePlan(self, request: plan_pb2.ApprovePlanRequest, context: Any) -> Any:
        """Writes a plan down."""
        plan = request.plan
        if min(plan.nano_usd, plan.simulated_nano_usd) < 0:
            raise InvalidRequest("INVALID_REQUEST", "nano_usd and simulated_nano_usd are at least 0.")
        row = await self._plans.approve(
            identity.caller().tenant,
            as_uuid("run_id", plan.run_id),
            read_day("price_day", plan.price_day),
            plan.nano_usd,
            plan.simulated_nano_usd,
        )
        return plan_pb2.ApprovePlanResponse(plan=_plan(row))

    async def ListPlans(self, request: plan_pb2.ListPlansRequest, context: Any) -> Any:
        """Lists the plans of runs."""
        if len(request.run_ids) > MAX_RUNS:
            raise InvalidRequest("INVALID_REQUEST", f"run_ids are at most {MAX_RUNS}: ask in parts.")
        run_ids = [as_uuid("run_ids", one) for one in request.run_ids]
        rows = await self._plans.of_runs(identity.caller().tenant, run_ids)
        return plan_pb2.ListPlansResponse(plans=map(_plan, rows))


def _plan(row: Row) -> plan_pb2.Plan:
    return plan_pb2.Plan(
        run_id=str(row["run_id"]),
        price_day=row["price_day"].isoformat(),
        nano_usd=row["real_nano_usd"],
        simulated_nano_usd=row["simulated_nano_usd"],
        approve_time=timestamp(row["approved_at"]),
    )
