"""Who watches a run hears of its changes at a bearable pace, of its end at once, and of its cost."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from services.orchestrator.bills import RunningTotal
from services.orchestrator.peers import Peers
from services.orchestrator.run_rows import Row
from services.orchestrator.watches import Watches
from waybill.ledger.v1.entry_pb2 import RunTotal
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListEntriesResponse

NEVER_SECONDS = 60.0
SOON_SECONDS = 10.0


def a_row(**columns: Any) -> Row:
    return {"run_id": "r", "state": "RUNNING", "step": "store", "tries": 1, "embedded_chunks": 0, **columns}


class Run:
    """A row that changes, and tells so."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.row = a_row(revision=1)

    async def find(self) -> Row:
        return self.row

    def become(self, state: str, *, ended: bool = False) -> None:
        self.row = {**self.row, "state": state, "revision": self.row["revision"] + 1}
        self._watches.tell("r", ended=ended)


class Ledger:
    """Each time it is asked, the run has cost one more."""

    def __init__(self) -> None:
        self.asked = 0

    async def ListEntries(self, request: ListEntriesRequest) -> ListEntriesResponse:  # noqa: N802
        self.asked += 1
        return ListEntriesResponse(
            totals=[RunTotal(run_id=run_id, cost_nano_usd=self.asked) for run_id in request.run_ids]
        )


class Neighbours:
    """The ledger alone."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger


async def test_changes_close_together_are_one_answer_and_the_end_does_not_wait() -> None:
    watches = Watches(pace_seconds=NEVER_SECONDS)
    run = Run(watches)
    answers = watches.follow("r", run.find, 0)
    assert (await anext(answers))["revision"] == 1
    following = asyncio.ensure_future(anext(answers))
    for _ in range(3):
        run.become("RUNNING")
        done, _ = await asyncio.wait({following}, timeout=0.02)
        assert not done
    run.become("READY", ended=True)
    async with asyncio.timeout(SOON_SECONDS):
        assert (await following)["revision"] == 5
        assert [row async for row in answers] == []


async def test_a_change_while_the_last_answer_is_taken_is_not_missed() -> None:
    watches = Watches(pace_seconds=0.01)
    run = Run(watches)
    answers = watches.follow("r", run.find, 0)
    await anext(answers)
    run.become("RUNNING")
    async with asyncio.timeout(1.0):  # well before the row would be looked at again anyway
        assert (await anext(answers))["revision"] == 2


async def test_who_has_seen_a_revision_is_not_sent_it_again() -> None:
    watches = Watches(pace_seconds=0.01)
    run = Run(watches)
    following = asyncio.ensure_future(anext(watches.follow("r", run.find, 1)))
    done, _ = await asyncio.wait({following}, timeout=0.05)
    assert not done
    run.become("READY", ended=True)
    async with asyncio.timeout(SOON_SECONDS):
        assert (await following)["revision"] == 2


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        ([a_row(), a_row(state="RUNNING")], 0),
        ([a_row(step="chunk"), a_row(step="chunk", revision=7)], 1),
        ([a_row(step="embed"), a_row(step="embed", embedded_chunks=9)], 2),
        ([a_row(tries=2)], 1),
        ([a_row(step="publish"), a_row(step="publish", state="READY")], 2),
        ([a_row(state="CANCELLED")], 1),
    ],
)
async def test_a_watched_run_is_priced_when_a_step_has_finished_and_at_its_end(
    rows: list[Row], asked: int
) -> None:
    ledger = Ledger()
    total = RunningTotal(cast(Peers, Neighbours(ledger)))
    costs = [(await total.of(row)).cost_nano_usd for row in rows]
    assert (ledger.asked, costs[-1]) == (asked, asked)
