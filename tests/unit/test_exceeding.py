"""What a hold is told that a budget does not allow."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from services.ledger.exceeding import exceeded
from services.ledger.rows import ALL_TENANTS, NO_RUN

ENTRY: dict[str, Any] = {"tenant": "local", "expected_nano_usd": 5, "size_bytes": 0}
BUDGET: dict[str, Any] = {
    "budget_id": "b", "tenant": "local", "unit": "NANO_USD", "period": "DAY", "kind": "REAL", "service": "",
    "collection": "", "run_id": NO_RUN, "limit_amount": 7, "used": 4, "held": 0, "in_doubt": 0,
    "resets_at": datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC), "resets_in_seconds": 60.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        ({}, ""),
        ({"kind": "SIMULATED"}, " --simulated"),
        ({"service": "parser", "collection": "my docs"}, " --service parser --collection 'my docs'"),
        ({"tenant": ALL_TENANTS}, " --all-tenants"),
    ],
)
def test_the_command_that_raises_a_limit_has_the_budgets_whole_scope(
    scope: dict[str, Any], options: str
) -> None:
    message = exceeded(ENTRY, [BUDGET | scope]).message
    assert f"Raise the limit, `waybill budget set LIMIT/day{options}`, or await the next window." in message
