"""Who watches a run hears of its changes at a bearable pace, and of its end at once."""

from __future__ import annotations

import asyncio
from typing import Any

from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.watches import Watches
from tests.waiting import PATIENCE_SECONDS

NEVER_SECONDS = 10 * PATIENCE_SECONDS


def a_row(**columns: Any) -> Row:
    return {"run_id": "r", "state": "RUNNING", "step": "store", "tries": 1, "embedded_chunks": 0, **columns}


class Run:
    """A row that changes, and tells so."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.row = a_row(revision=1)
        self.read = 0

    async def find(self) -> Row:
        self.read += 1
        return self.row

    def become(self, state: str) -> None:
        self.row = {**self.row, "state": state, "revision": self.row["revision"] + 1}
        self._watches.tell(self.row)


async def test_changes_close_together_are_one_answer_and_the_end_does_not_wait() -> None:
    watches = Watches(pace_seconds=NEVER_SECONDS, recheck_seconds=NEVER_SECONDS)
    run = Run(watches)
    answers = watches.follow("r", run.find, 0)
    assert (await anext(answers))["revision"] == 1
    following = asyncio.ensure_future(anext(answers))
    for _ in range(3):
        run.become("RUNNING")
        done, _ = await asyncio.wait({following}, timeout=0.02)
        assert not done
    run.become("READY")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await following)["revision"] == 5
        assert [row async for row in answers] == []


async def test_a_change_while_the_last_answer_is_taken_is_not_missed() -> None:
    watches = Watches(pace_seconds=0.01, recheck_seconds=NEVER_SECONDS)
    run = Run(watches)
    answers = watches.follow("r", run.find, 0)
    await anext(answers)
    run.become("RUNNING")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await anext(answers))["revision"] == 2


async def test_who_has_seen_a_revision_is_not_sent_it_again() -> None:
    watches = Watches(pace_seconds=0.01)
    run = Run(watches)
    following = asyncio.ensure_future(anext(watches.follow("r", run.find, 1)))
    done, _ = await asyncio.wait({following}, timeout=0.05)
    assert not done
    run.become("READY")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await following)["revision"] == 2


async def test_what_this_process_changes_is_not_read_again_but_for_who_begins_to_watch() -> None:
    watches = Watches(pace_seconds=0.01, recheck_seconds=NEVER_SECONDS)
    run = Run(watches)
    answers = watches.follow("r", run.find, 0)
    await anext(answers)
    run.become("READY")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [row["revision"] async for row in answers] == [2]
        assert run.read == 1
        assert [row["revision"] async for row in watches.follow("r", run.find, 0)] == [2]
    assert run.read == 2
