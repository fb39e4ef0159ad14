"""Fault by fault, a batch job: what it comes to, what goes over the wire, and whose money it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import grpc
import numpy as np
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import Bench, at, embedder, new_job, new_run
from tests.contract.openai_faults import BATCH_ROWS, BatchRow, attempt_seconds
from waybill.embedder.v1.batch_job_pb2 import BatchOutcome
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime import identity
from waybill.runtime.errors import from_status
from waybill.sim.openai.embeddings import vectors
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

# Each third number is one: no two texts are neighbours, so each is a line.
TEXTS = {3 * number: [f"a text about {number}"] for number in range(10)}


@pytest.mark.parametrize("row", BATCH_ROWS, ids=[f"{row.fault} {row.what}" for row in BATCH_ROWS])
async def test_each_fault_of_a_batch_ends_as_the_table_says_and_the_bill_holds(
    database: MigratedPostgres, row: BatchRow
) -> None:
    async with (
        simulator(OpenAISettings(seed=1, latency_seconds=0.0)) as sim,
        embedder(database, at(sim, attempt_seconds=attempt_seconds(row))) as bench,
    ):
        if row.fault:
            sim.faults.add(row.fault)
        with identity.acting_as(who := new_run()):
            answer, found, outcome = await _run(bench, sim, row)
            entries = await bench.entries(who.run_id)
        assert (answer, outcome.code) == (row.answer, row.code)
        assert len([one for one in sim.journal if one.operation == "batches.create"]) == row.wire
        assert len(found) == row.vectors
        for number, vector in found.items():
            assert np.allclose(vector, vectors("text-embedding-3-small", TEXTS[number], 1536)[0])
        _hold_to(row, sim, entries, outcome)


async def _run(
    bench: Bench, sim: OpenAISimulator, row: BatchRow
) -> tuple[str, dict[int, np.ndarray], BatchOutcome]:
    name = new_job()
    try:
        job = await bench.create_job(TEXTS, name)
    except grpc.aio.AioRpcError as error:
        cancelled = await bench.cancel(name)
        assert (cancelled.vendor_status, cancelled.requests) == ("none", len(TEXTS))
        return f"{error.code().name} {from_status(error).reason}", {}, BatchOutcome()
    if row.cancel_after is not None:
        sim.clock.advance(row.cancel_after)
        await bench.cancel(job.name)
    sim.clock.advance(row.seconds)
    return "", *await bench.collect(job.name)


def _hold_to(row: BatchRow, sim: OpenAISimulator, entries: Sequence[Entry], outcome: BatchOutcome) -> None:
    ends = Counter(Entry.State.Name(entry.state).removeprefix("STATE_") for entry in entries)
    assert (ends["SETTLED"], ends["RELEASED"], ends["IN_DOUBT"]) == (row.settled, row.released, row.doubt)
    assert len(entries) == sum(ends.values()) == len(TEXTS)
    if not row.answer:
        told = (outcome.charged, outcome.released, outcome.in_doubt)
        assert told == (row.settled, row.released, row.doubt)
    settled = sum(entry.reported_nano_usd for entry in entries if entry.state == Entry.STATE_SETTLED)
    doubt = sum(entry.expected_nano_usd for entry in entries if entry.state == Entry.STATE_IN_DOUBT)
    assert settled <= sim.invoice.total_nano_usd <= settled + doubt
