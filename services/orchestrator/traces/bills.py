"""What runs have cost, asked of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.orchestrator.peers import Peers
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest


async def totals(peers: Peers, run_ids: Sequence[str]) -> Mapping[str, RunTotal]:
    """Sums by run; a run that has spent nothing is missing."""
    if not run_ids:
        return {}
    page = await peers.ledger.ListEntries(ListEntriesRequest(run_ids=run_ids, page_size=1))
    return {total.run_id: total for total in page.totals}


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
