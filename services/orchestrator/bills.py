"""What runs have cost, asked of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.orchestrator.peers import Peers
from services.orchestrator.run_rows import FINAL_STATES, Row
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest


async def totals(peers: Peers, run_ids: Sequence[str]) -> Mapping[str, RunTotal]:
    """Sums by run; a run that has spent nothing is missing."""
    if not run_ids:
        return {}
    page = await peers.ledger.ListEntries(ListEntriesRequest(run_ids=run_ids, page_size=1))
    return {total.run_id: total for total in page.totals}


class RunningTotal:
    """What a watched run has cost, asked of the ledger only where it may have grown."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._total = RunTotal()
        # Nothing has been spent by a run that has not begun its first step.
        self._priced_at: tuple[Any, ...] = (1, "store", 0)

    async def of(self, row: Row) -> RunTotal:
        """The total, as of the last step that finished; of a final run as of now."""
        place = (row["tries"], row["step"], row["embedded_chunks"])
        if place != self._priced_at or row["state"] in FINAL_STATES:
            run_id = str(row["run_id"])
            self._total = (await totals(self._peers, [run_id])).get(run_id, RunTotal())
            self._priced_at = place
        return self._total


async def entries(peers: Peers, run_ids: Sequence[str]) -> list[Entry]:
    """Every entry of the runs, oldest first."""
    request = ListEntriesRequest(run_ids=run_ids, page_size=1000)
    found: list[Entry] = []
    while True:
        page = await peers.ledger.ListEntries(request)
        found += page.entries
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
