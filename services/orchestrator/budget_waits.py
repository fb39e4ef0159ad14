"""A budget that a run waits for: the run goes on once there is room, by a raised limit or a new window."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial

from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, seldom
from waybill.ledger.v1.ledger_service_pb2 import CheckBudgetRequest
from waybill.runtime.retry import insist

SOONEST_SECONDS, LATEST_SECONDS = 1.0, 60.0
ASK_SECONDS = 5.0


class BudgetWaits:
    """Budgets, as the poller looks at them: asked whether there is room, and nothing is held for that.

    Args:
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, now: Callable[[], datetime.datetime]) -> None:
        self._peers = peers
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once what was refused would pass this budget."""
        budget_id, _, wanted = wait.ref.partition(":")
        request = CheckBudgetRequest(budget_id=budget_id, amount=int(wanted), run_id=wait.run.run_id)
        check = partial(self._peers.ledger.CheckBudget, request, timeout=ASK_SECONDS)
        if (await insist(check, seconds=ASK_SECONDS)).has_room:
            return None
        return seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)

    async def end(self, wait: Wait, row: Row) -> None:
        """Nothing is left of it anywhere."""
