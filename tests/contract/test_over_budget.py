"""WAYBILL_OVER_BUDGET=local: what a budget refuses is done without, said, and healed later."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import failure
from tests.contract.test_hybrid import LONG, PDF, TEXT, Bench, chosen, hybrid
from tests.waiting import until
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.channel import send
from waybill.runtime.clock import utc_now
from waybill.runtime.wire import timestamp

pytestmark = pytest.mark.slow

PLENTY = 10**9
WAITS = "select count(*) from waybill_runs.waits where run_id = %s"


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    async with hybrid(database, tmp_path / "objects", local_over_budget=True) as bench:
        yield bench


async def limit(bench: Bench, nano_usd: int, *, service: str = "", run_id: str = "") -> Budget:
    """Sets a day's budget, or a run's own; answers it as it stands."""
    budget = Budget(
        service=service,
        run_id=run_id,
        kind=CostKind.COST_KIND_SIMULATED,
        unit=Budget.UNIT_NANO_USD,
        period=Budget.PERIOD_RUN if run_id else Budget.PERIOD_DAY,
        limit=nano_usd,
    )
    request = SetBudgetRequest(budget=budget)
    return (await bench.ledger.SetBudget(request, metadata=bench.headers)).budget


async def accepted_with_limit(bench: Bench, content: str, nano_usd: int) -> str:
    """Ingests a document whose run may spend so much; answers its id."""
    return await accepted(bench, content, max_nano_usd=nano_usd)


async def accepted(bench: Bench, content: str, **header_fields: Any) -> str:
    """Ingests a document with these fields in its header; answers its run's id."""
    data = content.encode()
    header = pb.IngestRequest.Header(
        document_key="pumps.md",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        **header_fields,
    )

    async def messages() -> AsyncIterator[pb.IngestRequest]:
        yield pb.IngestRequest(header=header)
        yield pb.IngestRequest(data=data)

    answer = await send(bench.orchestrator.Ingest(metadata=bench.headers), messages())
    return str(answer.run.run_id)


async def now(bench: Bench, run_id: str) -> Run:
    """A run as it stands."""
    request = pb.GetRunRequest(run_id=run_id)
    return (await bench.orchestrator.GetRun(request, metadata=bench.headers)).run


async def nothing_waits(database: MigratedPostgres, run_id: str) -> bool:
    """Whether nobody looks at a run again by himself."""
    async with await psycopg.AsyncConnection.connect(database.owner_url("orchestrator")) as connection:
        row = await (await connection.execute(WAITS, [run_id])).fetchone()
    return row == (0,)


def asked(bench: Bench) -> int:
    """Requests for vectors that the vendor has got."""
    return sum(line.operation == "embeddings" for line in bench.openai.journal)


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["one request", "several requests"])
async def test_vectors_that_a_budget_refuses_come_by_themselves_once_it_is_raised(
    bench: Bench, text: str
) -> None:
    await limit(bench, 0)
    run = await bench.ingest(text)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert chosen(run, "embedder") == ("", "BUDGET_EXCEEDED")
    assert "waybill budget set" in run.message
    assert "waybill heal" in run.message
    before = await bench.chunks()
    found = await bench.search("pump runs dry at noon")
    assert found.hits
    assert "budget" in found.without_vector
    assert (found.coverage.chunks, found.coverage.vectors) == (run.chunks, 0)
    reason, message = await failure(bench.heal(run.run_id))
    assert reason == "BUDGET_EXCEEDED"
    assert "waybill budget set" in message
    # Nobody was asked, nothing was held, and no try was begun in vain.
    assert (asked(bench), await bench.embeddings(run.run_id)) == (0, [])
    assert (await now(bench, run.run_id)).tries == 1

    await limit(bench, PLENTY)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    healed = await now(bench, run.run_id)
    assert (healed.reason, healed.message, healed.tries) == ("", "", 2)
    assert chosen(healed, "embedder") == ("openai", "MODE_HYBRID")
    assert healed.embedded_chunks == healed.chunks
    assert await bench.chunks() == before
    found = await bench.search("pump runs dry at noon")
    assert not found.without_vector
    assert found.coverage.vectors == found.coverage.chunks


async def test_a_budget_is_spent_to_its_limit_and_what_it_left_is_bought_later(bench: Bench) -> None:
    entire = await bench.ingest(LONG, "entire.md")
    prices = sorted(e.reported_nano_usd for e in await bench.embeddings(entire.run_id))
    assert len(prices) > 1
    used = entire.simulated_nano_usd
    # Room for the smallest request alone.
    budget = await limit(bench, prices[0])
    assert budget.window.used == 0, "a budget counts from when it is set"
    run = await bench.ingest(LONG.replace("Pump", "Winch"), "winch.md")
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert run.embedded_chunks < run.chunks
    assert run.simulated_nano_usd <= prices[0]
    budget = await limit(bench, 2 * used)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    settled = await bench.embeddings(run.run_id)
    assert {e.state for e in settled} == {Entry.STATE_SETTLED}
    assert len({e.spend_key for e in settled}) == len(settled)


async def test_a_batch_that_a_budget_refuses_is_not_bought_at_once_for_twice_the_price(bench: Bench) -> None:
    entire = await bench.ingest(LONG, "entire.md")
    prices = [e.reported_nano_usd for e in await bench.embeddings(entire.run_id)]
    assert max(prices) < sum(prices) / 2, "a budget has room for one request, and not for the batch"
    await limit(bench, max(prices))
    complete_by = timestamp(utc_now() + datetime.timedelta(hours=26))
    content = LONG.replace("Pump", "Winch")
    run = await bench.finish(await accepted(bench, content, complete_by=complete_by))
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert chosen(run, "embedder") == ("", "BUDGET_EXCEEDED")
    assert (run.embedded_chunks, run.simulated_nano_usd) == (0, 0)
    await limit(bench, PLENTY)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))


async def test_what_a_runs_own_budget_refuses_heals_by_hand_alone(
    bench: Bench, database: MigratedPostgres
) -> None:
    run = await bench.finish(await accepted_with_limit(bench, TEXT, 0))
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert f"--run {run.run_id}" in run.message
    reason, message = await failure(bench.heal(run.run_id))
    assert reason == "BUDGET_EXCEEDED"
    assert f"--run {run.run_id}" in message

    # It was looked at once, and is left alone.
    await until(lambda: nothing_waits(database, run.run_id))
    await limit(bench, PLENTY, run_id=run.run_id)
    assert (await bench.heal(run.run_id)).tries == 2
    assert (await bench.finish(run.run_id)).state == Run.STATE_READY


async def test_a_parse_that_a_budget_refuses_is_done_here_and_by_the_vendor_once_it_is_raised(
    bench: Bench,
) -> None:
    await limit(bench, 0, service="parser")
    run = await bench.ingest(PDF, "manual.pdf")
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    assert chosen(run, "parser") == ("local", "BUDGET_EXCEEDED")
    assert "waybill budget set" in run.message
    assert run.embedded_chunks == run.chunks
    before = await bench.chunks("manual.pdf")
    assert (await failure(bench.heal(run.run_id)))[0] == "BUDGET_EXCEEDED"
    await limit(bench, PLENTY, service="parser")
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    healed = await now(bench, run.run_id)
    assert chosen(healed, "parser") == ("llamaparse", "MODE_HYBRID")
    assert set(await bench.chunks("manual.pdf")).isdisjoint(before)


async def test_each_of_two_budgets_lets_its_part_be_healed(bench: Bench) -> None:
    await limit(bench, 0, service="parser")
    await limit(bench, 0, service="embedder")
    run = await bench.ingest(PDF, "manual.pdf")
    assert (run.state, run.reason, run.embedded_chunks) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY", 0)
    await limit(bench, PLENTY, service="embedder")

    async def has_vectors() -> bool:
        return (await now(bench, run.run_id)).embedded_chunks == run.chunks

    await until(has_vectors)
    half = await bench.finish(run.run_id)
    assert (half.state, half.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    await limit(bench, PLENTY, service="parser")
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))


@pytest.mark.parametrize(
    ("mode", "local_over_budget"), [(Mode.MODE_REAL, True), (Mode.MODE_HYBRID, False)], ids=["real", "wait"]
)
async def test_in_another_mode_and_without_the_policy_a_run_waits_for_its_budget(
    database: MigratedPostgres, tmp_path: Path, mode: Mode, local_over_budget: bool
) -> None:
    async with hybrid(
        database, tmp_path / "objects", mode=mode, local_over_budget=local_over_budget
    ) as bench:
        await limit(bench, 0)
        run_id = await bench.accepted(TEXT)
        await until(lambda: bench.ended(run_id, Run.STATE_BLOCKED_ON_BUDGET))
        assert (await failure(bench.search("pump")))[0] == "BUDGET_EXCEEDED"
        await limit(bench, PLENTY)
        assert (await bench.finish(run_id)).state == Run.STATE_READY
