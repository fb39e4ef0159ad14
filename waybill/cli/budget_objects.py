"""The JSON objects of `waybill budget`. Their keys are a promise, as those of `objects`."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from waybill.cli.objects import KINDS, Shape
from waybill.ledger.v1.budget_pb2 import Budget, BudgetAlert, BudgetChange, BudgetWindow


def budget_object(budget: Budget) -> Shape:
    """A budget, with its window; amounts are in its unit: nano_usd, requests or bytes."""
    return {
        "budget_id": budget.budget_id,
        "all_tenants": budget.all_tenants,
        "collection": budget.collection or None,
        "service": budget.service or None,
        "run_id": budget.run_id or None,
        "kind": KINDS.get(budget.kind),
        "unit": Budget.Unit.Name(budget.unit).removeprefix("UNIT_").lower(),
        "period": Budget.Period.Name(budget.period).removeprefix("PERIOD_").lower(),
        "limit": budget.limit,
        "alert_at_percent": list(budget.thresholds),
        "window": _window(budget.window) if budget.HasField("window") else None,
    }


def change_object(change: BudgetChange) -> Shape:
    """Who changed a budget; a limit is null where there was none."""
    return {
        "time": _time(change.change_time),
        "changed_by": change.changed_by,
        "subject": change.subject or None,
        "credential_id": change.credential_id or None,
        "correlation_id": change.correlation_id,
        "old_limit": change.old_limit if change.HasField("old_limit") else None,
        "new_limit": change.new_limit if change.HasField("new_limit") else None,
    }


def alert_object(alert: BudgetAlert) -> Shape:
    """A threshold that was reached."""
    return {
        "time": _time(alert.alert_time),
        "threshold_percent": alert.threshold,
        "limit": alert.limit,
        "window": _window(alert.window),
        "attempts": alert.attempts,
        "deliver_time": _time(alert.deliver_time) if alert.HasField("deliver_time") else None,
        "give_up_time": _time(alert.give_up_time) if alert.HasField("give_up_time") else None,
        "last_error": alert.last_error or None,
    }


def _window(window: BudgetWindow) -> Shape:
    return {
        "start_time": _time(window.start_time) if window.HasField("start_time") else None,
        "reset_time": _time(window.reset_time) if window.HasField("reset_time") else None,
        "used": window.used,
        "held": window.held,
        "in_doubt": window.in_doubt,
        "over_limit": window.over_limit,
    }


def _time(moment: Timestamp) -> str:
    return moment.ToJsonString()
