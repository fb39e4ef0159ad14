"""Fault by fault: what the caller gets, what goes over the wire, and whose money it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import KEY, Bench, at, embedder, new_run
from tests.contract.makers_ledger import no_run
from tests.contract.openai_faults import (
    BATCH_ROWS,
    REQUEST_DEADLINE_SECONDS,
    ROWS,
    Row,
    attempt_seconds,
    page,
)
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime import identity
from waybill.runtime.errors import from_status
from waybill.sim.openai.embeddings import vectors
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

TEXTS = ["a text about boats", "a text about tax law", "a text about bread"]


@pytest.mark.parametrize("row", ROWS, ids=[row.fault for row in ROWS])
async def test_each_fault_ends_as_the_table_says_and_the_bill_holds(
    database: MigratedPostgres, row: Row
) -> None:
    keys = [KEY, "sk-spare"] if row.spare_key else [KEY]
    async with (
        simulator(OpenAISettings(seed=1, latency_seconds=0.0)) as sim,
        embedder(database, at(sim, *keys, attempt_seconds=attempt_seconds(row))) as bench,
    ):
        sim.faults.add(row.fault)
        with identity.acting_as(who := new_run() if row.in_run else no_run()):
            answers = [await _ask(bench, row) for _ in range(row.calls)]
            entries = await bench.entries(who.run_id)
        assert set(answers) == {row.answer}
        assert not [one for one in sim.journal if one.operation == "foreign"]
        _hold_to(row, sim, entries)


def _hold_to(row: Row, sim: OpenAISimulator, entries: Sequence[Entry]) -> None:
    wire = [one.client_request_id for one in sim.journal if one.operation == "embeddings"]
    ends = Counter(Entry.State.Name(entry.state).removeprefix("STATE_") for entry in entries)
    assert row.wire in (None, len(wire))
    assert (ends["SETTLED"], ends["IN_DOUBT"]) == (row.settled, row.doubt)
    assert row.released in (None, ends["RELEASED"])
    assert len(entries) == sum(ends[name] for name in ("SETTLED", "IN_DOUBT", "RELEASED"))
    assert set(wire) <= {entry.entry_id for entry in entries}
    settled = sum(entry.reported_nano_usd for entry in entries if entry.state == Entry.STATE_SETTLED)
    doubt = sum(entry.expected_nano_usd for entry in entries if entry.state == Entry.STATE_IN_DOUBT)
    assert settled <= sim.invoice.total_nano_usd <= settled + doubt


async def _ask(bench: Bench, row: Row) -> str:
    """Code and reason, or nothing where the vectors came and are right."""
    try:
        got, answers = await bench.vectors(TEXTS, timeout=REQUEST_DEADLINE_SECONDS)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {from_status(error).reason}"
    space = answers[0].space
    right = vectors(space.model, TEXTS, space.dimension)
    assert row.name == "O22" or np.allclose(got, right)
    return ""


def test_every_fault_of_the_catalogue_has_a_row() -> None:
    named = {row.name for row in ROWS} | {row.name for row in BATCH_ROWS if row.fault}
    assert {f"O{number:02}" for number in range(1, 36)} <= named


def test_the_page_about_faults_says_what_the_table_does() -> None:
    path = Path(__file__).parents[2] / "docs" / "faults.md"
    assert path.read_text() == page(), (
        "make it again: python -m tests.contract.openai_faults > docs/faults.md"
    )
