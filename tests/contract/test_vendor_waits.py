"""A run whose step meets a vendor that does not serve waits, goes on by itself, and pays nothing twice."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import KEY, SOON
from tests.contract.makers_llamacloud import quick
from tests.contract.makers_objects import simulated
from tests.contract.test_hybrid import LONG, PDF, TEXT, Bench, hybrid
from tests.waiting import until
from waybill.common.v1.backend_pb2 import Mode
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.vendors.retrying import Policy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Of a parse, until it is let come.
A_WHILE = 600.0
WAITING, READY = Run.STATE_WAITING_ON_VENDOR, Run.STATE_READY


@dataclass
class Place:
    """Services whose vendors do all the work, and the vendor that keeps the files."""

    bench: Bench
    supabase: SupabaseSimulator

    async def look(self, run_id: str) -> Run:
        """A run as it stands."""
        request = pb.GetRunRequest(run_id=run_id)
        return (await self.bench.orchestrator.GetRun(request, metadata=self.bench.headers)).run

    async def comes_to(self, run_id: str, state: Run.State, step: str = "") -> Run:
        """A run once it is in a state, and at a step where one is named."""

        run = Run()

        async def there() -> bool:
            nonlocal run
            run = await self.look(run_id)
            assert run.state != Run.STATE_FAILED, run
            return run.state == state and step in ("", run.step)

        await until(there)
        return run

    async def check_paid_once(self, run: Run) -> None:
        """Each thing was bought once, nothing is held, and the run's bill is what was settled."""
        entries = [one for kind in ("parse", "embed") for one in await self.bench.entries(run.run_id, kind)]
        settled = [one for one in entries if one.state == Entry.STATE_SETTLED]
        assert {one.state for one in entries} <= {Entry.STATE_SETTLED, Entry.STATE_RELEASED}
        assert len({one.spend_key for one in settled}) == len(settled)
        assert sum(one.reported_nano_usd for one in settled) == run.simulated_nano_usd


@asynccontextmanager
async def placed(
    database: MigratedPostgres,
    folder: Path,
    mode: Mode,
    parse_seconds: float = 0.05,
    policy: Policy = SOON,
) -> AsyncIterator[Place]:
    async with (
        simulated(database) as (supabase, project),
        hybrid(
            database, folder, mode, cloud=quick(parse_seconds), files=project.config, policy=policy
        ) as bench,
    ):
        yield Place(bench, supabase)


@pytest.fixture(params=[Mode.MODE_REAL, Mode.MODE_HYBRID], ids=["real", "hybrid"])
async def either(
    database: MigratedPostgres, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Place]:
    async with placed(database, tmp_path, request.param, A_WHILE) as place:
        yield place


@pytest.fixture
async def real(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Place]:
    async with placed(database, tmp_path, Mode.MODE_REAL) as place:
        yield place


async def test_a_result_waits_for_the_vendor_that_keeps_the_files(either: Place) -> None:
    bench = either.bench
    run_id = await bench.accepted(PDF, "pumps.pdf")
    await either.comes_to(run_id, WAITING, "parse")
    either.supabase.server.down()
    bench.llamacloud.clock.advance(A_WHILE)
    await until(lambda: any(line.operation == "parse.get" for line in bench.llamacloud.journal))
    either.supabase.server.up()
    run = await either.comes_to(run_id, READY)
    await either.check_paid_once(run)


async def test_a_chunk_step_waits_for_the_vendor_that_keeps_the_pages(either: Place) -> None:
    bench, first = either.bench, await either.bench.ingest(TEXT, "first.md")
    assert first.state == READY
    # The parse is known, so that the next to read there is the step that cuts.
    either.supabase.faults.add("503:op=object.read")
    run_id = await bench.accepted(TEXT, "second.md")
    run = await either.comes_to(run_id, WAITING, "chunk")
    assert run.reason.startswith("VENDOR_")
    assert "Supabase" in run.message
    either.supabase.faults.heal()
    run = await either.comes_to(run_id, READY)
    assert (run.reason, run.message, run.starts) == ("", "", 1)
    await either.check_paid_once(run)


async def test_a_refused_key_is_waited_for_where_the_files_are(either: Place) -> None:
    bench = either.bench
    assert (await bench.ingest(TEXT, "first.md")).state == READY
    either.supabase.faults.add("F14:op=object.read")
    run_id = await bench.accepted(TEXT, "second.md")
    run = await either.comes_to(run_id, WAITING, "chunk")
    assert run.reason == "VENDOR_KEY_REFUSED"
    assert "SUPABASE_KEY" in run.message
    either.supabase.faults.heal()
    await either.comes_to(run_id, READY)


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["one request", "several requests"])
async def test_in_real_mode_an_embedding_waits_for_its_vendor(real: Place, text: str) -> None:
    real.bench.openai.server.down()
    run_id = await real.bench.accepted(text)
    run = await real.comes_to(run_id, WAITING, "embed")
    assert (run.reason, run.starts) == ("VENDOR_UNREACHABLE", 1)
    assert "openai" in run.message.lower()
    real.bench.openai.server.up()
    run = await real.comes_to(run_id, READY)
    assert (run.reason, run.message, run.starts) == ("", "", 1)
    await real.check_paid_once(run)


async def test_in_real_mode_a_parse_waits_for_its_vendor(real: Place) -> None:
    real.bench.llamacloud.server.down()
    run_id = await real.bench.accepted(PDF, "pumps.pdf")
    run = await real.comes_to(run_id, WAITING, "parse")
    assert run.reason == "VENDOR_UNREACHABLE", "a run that waits says why"
    real.bench.llamacloud.server.up()
    run = await real.comes_to(run_id, READY)
    await real.check_paid_once(run)
    created = [line for line in real.bench.llamacloud.journal if line.operation == "parse.create"]
    assert len(created) == 1


async def test_a_rate_limit_that_lets_nothing_through_is_waited_for_without_a_place(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    policy = replace(SOON, limited_seconds=0.3)
    async with placed(database, tmp_path, Mode.MODE_REAL, policy=policy) as place:
        place.bench.openai.faults.add("O07/none")
        run_id = await place.bench.accepted(TEXT)
        run = await place.comes_to(run_id, WAITING)
        assert run.reason == "VENDOR_RATE_LIMITED"
        assert "rate limit" in run.message
        place.bench.openai.faults.heal()
        run = await place.comes_to(run_id, READY)
        assert (run.reason, run.message) == ("", "")
        await place.check_paid_once(run)


async def test_in_real_mode_a_refused_key_fails_the_run_so_that_somebody_mends_it(real: Place) -> None:
    real.bench.openai.keys.revoke(KEY)
    run = await real.bench.ingest(TEXT)
    assert (run.state, run.reason) == (Run.STATE_FAILED, "VENDOR_KEY_REFUSED")


async def test_a_run_that_waits_in_vain_expires_at_its_time_and_says_for_what(
    real: Place, database: MigratedPostgres
) -> None:
    real.bench.openai.server.down()
    complete_by = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    run_id = await real.bench.accepted(TEXT, complete_by=complete_by)
    await real.comes_to(run_id, WAITING)
    async with await psycopg.AsyncConnection.connect(database.owner_url("orchestrator")) as connection:
        await connection.execute(
            "update waybill_runs.runs set complete_by = now() where run_id = %s", [run_id]
        )
        await connection.execute("update waybill_runs.waits set look_at = now() where run_id = %s", [run_id])
    run = await real.comes_to(run_id, Run.STATE_EXPIRED)
    assert "It waited in vain: " in run.message
    assert "openai" in run.message.lower()


async def test_a_run_that_waits_is_cancelled_at_once(real: Place) -> None:
    real.bench.openai.server.down()
    run_id = await real.bench.accepted(TEXT)
    await real.comes_to(run_id, WAITING)
    request = pb.CancelRunRequest(run_id=run_id)
    answer = await real.bench.orchestrator.CancelRun(request, metadata=real.bench.headers)
    assert answer.run.state == Run.STATE_CANCELLED
