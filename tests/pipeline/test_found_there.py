"""What a run finds there is on its bill as avoided, at the price of the vendor that would have been paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.pipeline.workbench import Workbench, own_stack
from tests.raw_pdfs import document, shown, stream
from waybill.ledger.v1.avoided_pb2 import ListAvoidedRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack.home import Home

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with own_stack(tmp_path_factory, "simulator") as home:
        yield home


def bought(bench: Workbench, run: Run) -> Mapping[str, tuple[int, int]]:
    """Units and nano-USD by operation."""
    entries = [one for one in bench.entries(run.run_id) if one.state == Entry.STATE_SETTLED]
    return {one.operation: (one.quantity, one.reported_nano_usd) for one in entries}


def avoided(bench: Workbench, run: Run) -> Mapping[str, tuple[int, int]]:
    listed = bench.client.ledger.ListAvoided(ListAvoidedRequest(run_ids=[run.run_id])).avoided
    return {one.operation: (one.quantity, one.nano_usd) for one in listed}


def test_a_copy_a_repeat_and_an_edit_avoid_what_the_first_bought(bench: Workbench) -> None:
    lines = [f"The sluice of lock {number} opens at six, and shuts at seven." for number in range(3)]
    content = document([stream(shown(line, 72, 700)) for line in lines])
    first = bench.ingest(bench.file("first.pdf", content))
    paid = bought(bench, first)
    assert paid.keys() == {"parse", "embed"}
    assert paid["parse"] == (3, 3 * 3_750_000)
    assert avoided(bench, first) == {}
    copy = bench.ingest(bench.file("copy.pdf", content))
    assert (copy.state, bought(bench, copy), avoided(bench, copy)) == (Run.STATE_READY, {}, paid)
    again = bench.ingest(bench.file("copy.pdf", content))
    # At second hand: the run that made the copy had bought nothing itself.
    assert (again.state, bought(bench, again), avoided(bench, again)) == (Run.STATE_UNCHANGED, {}, paid)
    sections = [f"## Lock {one}\n\n" + f"The keeper of lock {one} waits. " * 60 for one in range(9)]
    text = "# Locks\n\n" + "\n\n".join(sections)
    before = bench.ingest(bench.file("locks.md", text.encode()))
    edited = bench.ingest(bench.file("locks.md", f"{text}\n\n## Lock 10\n\nNobody waits.".encode()))
    tokens, cost = bought(bench, edited)["embed"]
    kept, worth = avoided(bench, edited)["embed"]
    assert worth == 20 * kept
    assert 0 < kept <= bought(bench, before)["embed"][0]
    assert cost == 20 * tokens
