"""Whoever watches a run costs the ledger nothing while it is under way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from services.orchestrator.servicer import OrchestratorServicer
from tests.inprocess import someone
from tests.pipeline.test_durable import House, house
from waybill.ledger.v1.entry_pb2 import RunTotal
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListEntriesResponse
from waybill.orchestrator.v1.orchestrator_service_pb2 import WatchRunRequest
from waybill.runtime import identity

__all__ = ["house"]


class Ledger:
    """Each time it is asked, the run has cost one more."""

    def __init__(self) -> None:
        self.asked = 0

    async def ListEntries(self, request: ListEntriesRequest) -> ListEntriesResponse:  # noqa: N802
        self.asked += 1
        totals = [RunTotal(run_id=run_id, cost_nano_usd=self.asked) for run_id in request.run_ids]
        return ListEntriesResponse(totals=totals)


async def test_a_watched_run_is_priced_where_it_waits_and_at_its_end(house: House) -> None:
    run, ledger = await house.run(), Ledger()
    parts = dict.fromkeys(
        ("admission", "plans", "listing", "inventory", "control", "traces", "searches", "modes")
    )
    peers: Any = SimpleNamespace(ledger=ledger)
    servicer = OrchestratorServicer(runs=house.runs, peers=peers, **parts)  # type: ignore[arg-type]
    seen = []
    states = iter(["RUNNING", "WAITING_ON_VENDOR", "RUNNING", "READY"])
    with identity.acting_as(someone(house.tenant)):
        async for answer in servicer.WatchRun(WatchRunRequest(run_id=run.run_id), None):
            seen.append(answer.run.cost_nano_usd)
            if (state := next(states, None)) is not None:
                await house.runs.change(run, state=state)
    assert (seen, ledger.asked) == ([0, 0, 1, 0, 2], 2)
