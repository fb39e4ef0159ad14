"""The RPCs of budgets: request → budgets → response."""

from __future__ import annotations

import uuid
from typing import Any

from services.ledger.budgets import Budgets, Wanted
from services.ledger.rows import ALL_TENANTS, NO_RUN, Row
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import budget_pb2, ledger_service_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.identity import MAX_COLLECTION_BYTES
from waybill.runtime.wire import (
    page_place,
    page_size,
    timestamp,
    token_behind,
    token_moment,
    token_number,
    token_uuid,
)

DEFAULT_PAGE, MAX_PAGE = 100, 500
MAX_THRESHOLDS = 10
# Who can spend: a budget for a misspelt service would never limit anything.
SPENDING_SERVICES = ("parser", "embedder", "storage")


class BudgetRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about budgets."""

    _budgets: Budgets

    async def SetBudget(self, request: ledger_service_pb2.SetBudgetRequest, context: Any) -> Any:
        """Sets a budget."""
        row = await self._budgets.set(identity.caller(), read_budget(request.budget))
        return ledger_service_pb2.SetBudgetResponse(budget=_budget(row))

    async def GetBudget(self, request: ledger_service_pb2.GetBudgetRequest, context: Any) -> Any:
        """Reads a budget."""
        row = await self._budgets.get(identity.caller(), as_uuid("budget_id", request.budget_id))
        return ledger_service_pb2.GetBudgetResponse(budget=_budget(row))

    async def ListBudgets(self, request: ledger_service_pb2.ListBudgetsRequest, context: Any) -> Any:
        """Lists budgets."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        run_id = as_uuid("run_id", request.run_id) if request.run_id else ""
        place = page_place(request.page_token, 2)
        after = (token_moment(place[0]), token_uuid(place[1])) if place else None
        rows = await self._budgets.page(identity.caller(), run_id, size + 1, after)
        return ledger_service_pb2.ListBudgetsResponse(
            budgets=map(_budget, rows[:size]),
            next_page_token=token_behind(rows, size, "created_at", "budget_id"),
        )

    async def DeleteBudget(self, request: ledger_service_pb2.DeleteBudgetRequest, context: Any) -> Any:
        """Deletes a budget."""
        await self._budgets.delete(identity.caller(), as_uuid("budget_id", request.budget_id))
        return ledger_service_pb2.DeleteBudgetResponse()

    async def CheckBudget(self, request: ledger_service_pb2.CheckBudgetRequest, context: Any) -> Any:
        """Says whether a purchase would pass."""
        if min(request.amount, request.promised) < 0:
            raise InvalidRequest("INVALID_REQUEST", "amount and promised are at least 0.")
        has_room, by_run = await self._budgets.room(
            identity.caller().tenant,
            as_uuid("budget_id", request.budget_id),
            request.amount,
            as_uuid("run_id", request.run_id) if request.run_id else "",
            request.promised,
        )
        return ledger_service_pb2.CheckBudgetResponse(has_room=has_room, by_run=by_run)

    async def ListBudgetChanges(
        self, request: ledger_service_pb2.ListBudgetChangesRequest, context: Any
    ) -> Any:
        """Lists who changed budgets."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        budget_id = as_uuid("budget_id", request.budget_id) if request.budget_id else None
        place = page_place(request.page_token, 2)
        before = (token_moment(place[0]), token_number(place[1])) if place else None
        rows = await self._budgets.changes(identity.caller(), budget_id, size + 1, before)
        return ledger_service_pb2.ListBudgetChangesResponse(
            changes=map(_change, rows[:size]),
            next_page_token=token_behind(rows, size, "happened_at", "audit_id"),
        )

    async def ListBudgetAlerts(
        self, request: ledger_service_pb2.ListBudgetAlertsRequest, context: Any
    ) -> Any:
        """Lists thresholds that were reached."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        budget_id = as_uuid("budget_id", request.budget_id) if request.budget_id else None
        place = page_place(request.page_token, 3)
        before = (token_moment(place[0]), token_uuid(place[1]), token_number(place[2])) if place else None
        rows = await self._budgets.alerts(identity.caller(), budget_id, size + 1, before)
        return ledger_service_pb2.ListBudgetAlertsResponse(
            alerts=map(_alert, rows[:size]),
            next_page_token=token_behind(rows, size, "alerted_at", "window_id", "threshold"),
        )


def read_budget(budget: budget_pb2.Budget) -> Wanted:
    """What a request wants to set. Raises InvalidRequest."""
    named = {"kind": budget.kind, "unit": budget.unit, "period": budget.period}
    if empty := [name for name, value in named.items() if not value]:
        raise InvalidRequest("INVALID_REQUEST", f"A budget needs {', '.join(empty)}.")
    thresholds = sorted(set(budget.thresholds))
    if len(thresholds) > MAX_THRESHOLDS or not all(1 <= one <= 100 for one in thresholds):
        raise InvalidRequest(
            "INVALID_REQUEST", f"thresholds are percentages of 1 to 100, at most {MAX_THRESHOLDS} of them."
        )
    if budget.limit < 0:
        raise InvalidRequest("INVALID_REQUEST", "limit is at least 0.")
    if budget.service and budget.service not in SPENDING_SERVICES:
        known = ", ".join(SPENDING_SERVICES)
        raise InvalidRequest("INVALID_REQUEST", f"service is one that spends: {known}; or empty for any.")
    if budget.service == "storage" and not _counts_egress(budget):
        raise InvalidRequest(
            "INVALID_REQUEST",
            "storage spends on egress, which counts by the day: its budget is of money, a day or a month, and"
            " names no collection.",
        )
    if len(budget.collection.encode()) > MAX_COLLECTION_BYTES:
        raise InvalidRequest("INVALID_REQUEST", f"collection has at most {MAX_COLLECTION_BYTES} bytes.")
    if budget.kind == CostKind.COST_KIND_LOCAL:
        raise InvalidRequest("INVALID_REQUEST", "kind is real or simulated: local work costs nothing.")
    if budget.run_id and budget.period != budget_pb2.Budget.PERIOD_RUN:
        raise InvalidRequest("INVALID_REQUEST", "run_id goes with PERIOD_RUN only. Leave one of them out.")
    return Wanted(
        all_tenants=budget.all_tenants,
        collection=budget.collection,
        service=budget.service,
        run_id=as_uuid("run_id", budget.run_id) if budget.run_id else NO_RUN,
        kind=CostKind.Name(budget.kind).removeprefix("COST_KIND_"),
        unit=budget_pb2.Budget.Unit.Name(budget.unit).removeprefix("UNIT_"),
        period=budget_pb2.Budget.Period.Name(budget.period).removeprefix("PERIOD_"),
        limit_amount=budget.limit,
        thresholds=thresholds,
    )


def _counts_egress(budget: budget_pb2.Budget) -> bool:
    """Whether egress counts in it: one where it never does would never tell anything."""
    by_day = budget.period in (budget_pb2.Budget.PERIOD_DAY, budget_pb2.Budget.PERIOD_MONTH)
    return budget.unit == budget_pb2.Budget.UNIT_NANO_USD and by_day and not budget.collection


def as_uuid(name: str, text: str) -> str:
    """Raises InvalidRequest where it is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", f"{name} must be a UUID.") from None


def _budget(row: Row) -> budget_pb2.Budget:
    run_id = str(row["run_id"])
    budget = budget_pb2.Budget(
        budget_id=str(row["budget_id"]),
        all_tenants=row["tenant"] == ALL_TENANTS,
        collection=row["collection"],
        service=row["service"],
        run_id="" if run_id == NO_RUN else run_id,
        kind=f"COST_KIND_{row['kind']}",
        unit=f"UNIT_{row['unit']}",
        period=f"PERIOD_{row['period']}",
        limit=row["limit_amount"],
        thresholds=row["thresholds"],
        create_time=timestamp(row["created_at"]),
        update_time=timestamp(row["updated_at"]),
    )
    if budget.period != budget_pb2.Budget.PERIOD_RUN or budget.run_id:
        budget.window.CopyFrom(_window(row))
    return budget


def _window(row: Row) -> budget_pb2.BudgetWindow:
    sums = {name: row[name] for name in ("used", "held", "in_doubt")}
    window = budget_pb2.BudgetWindow(over_limit=sum(sums.values()) > row["limit_amount"], **sums)
    if row["started_at"] is not None:
        window.start_time.CopyFrom(timestamp(row["started_at"]))
    if row.get("resets_at") is not None:
        window.reset_time.CopyFrom(timestamp(row["resets_at"]))
    return window


def _change(row: Row) -> budget_pb2.BudgetChange:
    change = budget_pb2.BudgetChange(
        budget_id=row["target"],
        change_time=timestamp(row["happened_at"]),
        changed_by=row["caller"],
        subject=row["subject"],
        credential_id=row["credential_id"],
        correlation_id=row["correlation_id"],
    )
    detail = row["detail"]
    if "old_limit" in detail:
        change.old_limit = int(detail["old_limit"])
        change.old_thresholds.extend(map(int, detail["old_thresholds"].split(",")))
    if "new_limit" in detail:
        change.new_limit = int(detail["new_limit"])
        change.new_thresholds.extend(map(int, detail["new_thresholds"].split(",")))
    return change


def _alert(row: Row) -> budget_pb2.BudgetAlert:
    alert = budget_pb2.BudgetAlert(
        budget_id=str(row["budget_id"]),
        threshold=row["threshold"],
        alert_time=timestamp(row["alerted_at"]),
        limit=row["limit_amount"],
        window=_window(row),
        attempts=row["attempts"],
        last_error=row["last_error"],
    )
    for name, column in (("deliver_time", "delivered_at"), ("give_up_time", "given_up_at")):
        if row[column] is not None:
            getattr(alert, name).CopyFrom(timestamp(row[column]))
    return alert
