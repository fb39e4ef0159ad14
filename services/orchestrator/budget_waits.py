"""A budget that a run waits for: the run goes on once there is room, by a raised limit or a new window.

No more runs are woken than there is room for. What those that were woken will buy counts for a while beside
what the budget counts, so that a raise by a little does not set all of them to work, to be refused again.
"""

from __future__ import annotations

import datetime
from functools import partial

from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, seldom
from waybill.ledger.v1.ledger_service_pb2 import CheckBudgetRequest, CheckBudgetResponse
from waybill.runtime.clock import Now
from waybill.runtime.retry import insist

SOONEST_SECONDS, LATEST_SECONDS = 1.0, 60.0
ASK_SECONDS = 5.0
# By then a run that was woken has bought, and its budget counts that.
PROMISE = datetime.timedelta(seconds=10)


class BudgetWaits:
    """Budgets, as the poller looks at them: asked whether there is room, and nothing is held for that.

    Args:
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, now: Now) -> None:
        self._peers = peers
        self._now = now
        # By budget and run: how much, and until when.
        self._promised: dict[tuple[str, str], tuple[int, datetime.datetime]] = {}

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once what was refused would pass this budget."""
        room = await self.room(wait.ref, wait.run.run_id)
        if room.has_room:
            return None
        return seldom(wait.created_at, self._now(), SOONEST_SECONDS, LATEST_SECONDS)

    async def room(self, blocked_on: str, run_id: str) -> CheckBudgetResponse:
        """Whether what a budget refused a run would pass, which is then promised to it.

        Args:
            blocked_on: As in BackendChoice.
            run_id: The run.
        """
        budget_id, _, wanted = blocked_on.partition(":")
        room = CheckBudgetResponse()
        try:
            promised = self._promise(budget_id, run_id, int(wanted))
            room = await check(self._peers, blocked_on, run_id, promised)
        finally:
            if not room.has_room:
                self._promised.pop((budget_id, run_id), None)
        return room

    async def end(self, wait: Wait, row: Row) -> None:
        """Nothing is left of it anywhere."""

    def _promise(self, budget_id: str, run_id: str, amount: int) -> int:
        """Promises a run so much, before another look asks; answers what is promised to others."""
        now = self._now()
        self._promised = {to: what for to, what in self._promised.items() if now < what[1]}
        self._promised[budget_id, run_id] = (amount, now + PROMISE)
        return sum(
            much
            for (budget, run), (much, _) in self._promised.items()
            if budget == budget_id and run != run_id
        )


async def check(peers: Peers, blocked_on: str, run_id: str, promised: int = 0) -> CheckBudgetResponse:
    """Whether what a budget refused a run would pass by now.

    Args:
        peers: The ledger.
        blocked_on: As in BackendChoice.
        run_id: The run.
        promised: To others.
    """
    budget_id, _, wanted = blocked_on.partition(":")
    request = CheckBudgetRequest(budget_id=budget_id, amount=int(wanted), run_id=run_id, promised=promised)
    return await insist(partial(peers.ledger.CheckBudget, request, timeout=ASK_SECONDS), seconds=ASK_SECONDS)
