"""What a cancel says that it gave back."""

from __future__ import annotations

import datetime
from typing import Any, cast

import pytest

from services.orchestrator.control import Cancelled, Control
from services.orchestrator.runs.rows import Row, RunRef
from tests.inprocess import AsSet
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListEntriesResponse
from waybill.runtime.audit import Audit, log_alone

ENDED_AT = datetime.datetime(2026, 11, 27, 12, 0, 0, 500_000, datetime.UTC)
BEFORE, AFTER = ENDED_AT - datetime.timedelta(microseconds=1), ENDED_AT + datetime.timedelta(seconds=1)
REAL, SIMULATED = CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED


def an_entry(state: Entry.State, ended_at: datetime.datetime, expected: int, kind: CostKind = REAL) -> Entry:
    entry = Entry(state=state, expected_nano_usd=expected, kind=kind)
    entry.end_time.FromDatetime(ended_at)
    return entry


ENTRIES = [
    an_entry(Entry.STATE_RELEASED, BEFORE, 1),
    an_entry(Entry.STATE_RELEASED, BEFORE, 2, SIMULATED),
    an_entry(Entry.STATE_RELEASED, AFTER, 4),
    an_entry(Entry.STATE_RELEASED, ENDED_AT, 8, SIMULATED),
    an_entry(Entry.STATE_IN_DOUBT, AFTER, 16),
    an_entry(Entry.STATE_SETTLED, AFTER, 32),
]


class Stopped:
    """A durable whose run is in a state."""

    def __init__(self, state: str) -> None:
        self._row: Row = {"state": state, "ended_at": ENDED_AT}

    async def cancel(self, run: RunRef, ingestion: Any) -> Row:
        return self._row


class Peers:
    """The ledger alone."""

    def __init__(self) -> None:
        self.ledger = self

    async def ListEntries(self, request: ListEntriesRequest) -> ListEntriesResponse:  # noqa: N802
        return ListEntriesResponse(entries=ENTRIES)


async def cancel(state: str) -> Cancelled:
    control = Control(
        cast("Any", None),
        cast("Any", Stopped(state)),
        cast("Any", None),
        cast("Any", Peers()),
        cast("Any", None),
        Audit(log_alone),
        cast("Any", AsSet()),
    )
    return await control.cancel(RunRef("t", "r"))


async def test_a_cancel_counts_what_was_given_back_since_it_began_and_no_earlier_refusal() -> None:
    answer = await cancel("CANCELLED")
    assert (answer.released_nano_usd, answer.released_simulated_nano_usd) == (4, 8)


@pytest.mark.parametrize("state", ["READY", "FAILED"])
async def test_a_cancel_that_comes_too_late_gives_nothing_back(state: str) -> None:
    answer = await cancel(state)
    assert (answer.released_nano_usd, answer.released_simulated_nano_usd) == (0, 0)
