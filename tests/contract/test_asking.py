"""Doubts that nobody is left to ask about: the vendor's simulator is asked, and the ledger is its invoice."""

from __future__ import annotations

import datetime
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.embedder.backends.openai import OpenAIEmbedder
from services.embedder.backends.openai_batches import OpenAIBatches
from services.embedder.backends.openai_client import opened as openai_opened
from services.embedder.batch_doubts import BatchDoubts, job_key
from services.embedder.batch_lines import JobName
from services.embedder.batches import VendorBatches
from services.parser.backends.llamaparse.engine import LlamaParse
from services.parser.backends.llamaparse.sdk import opened
from services.parser.backends.port import Charge, Order, Source
from services.parser.charging import Charges
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.doubts import ParseDoubts
from services.parser.jobs import Jobs
from services.parser.pages import Artifact
from services.parser.work import order_of
from tests.conftest import MigratedPostgres
from tests.contract import makers_embedder
from tests.contract.makers_ledger import hold
from tests.contract.makers_llamacloud import SOON, at, quick
from tests.contract.makers_parser import (
    HTML,
    Neighbours,
    RemoteEngine,
    claimed,
    created,
    jobs_of,
    neighbours,
    no_pause,
)
from tests.contract.test_doubts import alone, in_doubt, listed, parse, time_passes
from tests.inprocess import Recorder
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, SettleRequest
from waybill.metering import Meter
from waybill.runtime import identity
from waybill.runtime.errors import NotFound
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.sim.llamacloud.simulator import simulator as llamacloud
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator
from waybill.sim.openai.simulator import simulator as openai_simulator
from waybill.vendors.asking import Asking
from waybill.vendors.calls import Calls
from waybill.vendors.limiter import Limiter

A_MINUTE = datetime.timedelta(minutes=1)
OLD = datetime.timedelta(days=8)


def utc(later: datetime.timedelta = datetime.timedelta(0)) -> Callable[[], datetime.datetime]:
    """A clock that is ahead."""
    return lambda: datetime.datetime.now(datetime.UTC) + later


@dataclass(frozen=True)
class Parses:
    """A parser's engine over a simulator, the ledger, and who asks the one for the other."""

    near: Neighbours
    sim: LlamaCloudSimulator
    engine: LlamaParse
    jobs: Jobs
    database: MigratedPostgres
    who: identity.Caller

    async def lost(self, *, begun: bool = True, job: bool = False) -> str:
        """An attempt whose process died after the vendor had its parse, or before."""
        request = parse(f"parse:{'a' * 64}:cost_effective:1")
        with identity.acting_as(self.who):
            if job:
                row = await created(self.jobs, self.near, self.who, HTML)
                row = await claimed(self.jobs, self.who, row.job_id)
                await self.jobs.attach_entry(row, request.entry_id, 2)
                request.spend_key = row.spend_key
            if begun:
                order = Order(request.entry_id, "cost_effective", utc()(), 2)
                with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
                    file.write(HTML)
                    await self.engine.begin(Source(file, "a.html"), order, artifact)
        await in_doubt(self.near.ledger, self.who, request)
        await time_passes(self.database, A_MINUTE, [request.entry_id])
        return request.entry_id

    async def asked(self, later: datetime.timedelta = datetime.timedelta(0)) -> Entry:
        """The last entry, once the vendor was asked."""
        meter = Meter(self.near.ledger, Recorder().telemetry("parser").tracer, "parser")
        doubts = ParseDoubts(self.jobs, self.engine, meter, utc(later))
        await Asking(meter, "llamaparse", doubts.ask, lambda entry: entry.entry_id).turn()
        return (await listed(self.near.ledger, self.who))[-1]


@asynccontextmanager
async def parses(database: MigratedPostgres, folder: Path, **settings: Any) -> AsyncIterator[Parses]:
    who = makers_embedder.new_run()
    async with (
        alone(database),
        neighbours(database, folder) as near,
        jobs_of(database, "parser/1") as jobs,
        Sandbox.open(DEFAULT_LIMITS, 1) as sandbox,
        llamacloud(quick(**settings)) as sim,
        opened(at(sim), Limiter("llamaparse", 8), Calls("llamaparse", SOON)) as cloud,
    ):
        engine = LlamaParse(at(sim), cloud, sandbox, DEFAULT_LIMITS, sleep=no_pause)
        yield Parses(near, sim, engine, jobs, database, who)


async def test_a_parse_whose_job_is_gone_is_found_paid_and_forgotten_at_the_vendor(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path) as one:
        await one.lost()
        await until(lambda: one.sim.invoice.total_nano_usd > 0)
        entry = await one.asked()
        assert entry.state == Entry.STATE_SETTLED
        assert entry.vendor_reference.startswith("pjb-")
        assert entry.reported_nano_usd + entry.adjusted_nano_usd == one.sim.invoice.total_nano_usd
        assert [line.operation for line in one.sim.journal][-1] == "parse.delete"


async def test_a_parse_that_nobody_waits_for_any_more_is_cancelled(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path, queued_seconds=3600.0) as one:
        await one.lost()
        entry = await one.asked()
        assert entry.state == Entry.STATE_SETTLED
        assert entry.reported_nano_usd + entry.adjusted_nano_usd == one.sim.invoice.total_nano_usd == 0


async def test_a_parse_that_a_job_still_wants_is_left_to_it(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path, queued_seconds=3600.0) as one:
        await one.lost(job=True)
        entry = await one.asked()
        assert (entry.state, entry.asking.answer) == (Entry.STATE_IN_DOUBT, "PARSE_RUNS")
        assert "parse.cancel" not in [line.operation for line in one.sim.journal]


async def test_a_parse_that_the_vendor_never_had_is_released_while_that_is_sure(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path) as one:
        await one.lost(begun=False)
        entry = await one.asked(OLD)
        assert (entry.state, entry.asking.answer) == (Entry.STATE_IN_DOUBT, "PARSE_NOT_LISTED")
        assert not entry.asking.possible
        await in_doubt(one.near.ledger, one.who, again := parse("parse:b"))
        await time_passes(database, A_MINUTE, [again.entry_id])
        entry = await one.asked()
        assert (entry.state, entry.end_reason) == (Entry.STATE_RELEASED, "the engine has no such parse")


async def test_a_vendor_that_cannot_be_asked_is_asked_later_again(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with parses(database, tmp_path) as one:
        entry_id = await one.lost()
        one.sim.faults.add("F05:op=parse.list")
        entry = await one.asked()
        assert (entry.state, entry.asking.times) == (Entry.STATE_IN_DOUBT, 1)
        assert entry.asking.answer.startswith("VENDOR_")
        one.sim.faults.heal()
        await time_passes(database, 5 * A_MINUTE, [entry_id])
        assert (await one.asked()).state == Entry.STATE_SETTLED


class NeverTells(RemoteEngine):
    """A vendor that tells no charge."""

    async def charge(self, parse_id: str) -> Charge | None:
        return None


async def test_a_doubt_whose_parse_is_forgotten_before_its_charge_is_told_is_asked_about_no_more(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = makers_embedder.new_run(), NeverTells()
    async with (
        alone(database),
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/1") as jobs,
    ):
        job = await created(jobs, near, who, HTML)
        job = await claimed(jobs, who, job.job_id)
        request = parse(job.spend_key)
        job = await jobs.attach_entry(job, request.entry_id, 2)
        with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
            file.write(HTML)
            file.flush()
            await engine.begin(Source(file, "a.html"), order_of(job), artifact)
        await in_doubt(near.ledger, who, request)
        job = await jobs.fail(job, "VENDOR_TIMEOUT", "The reply was lost.", in_doubt=True)
        meter = Meter(near.ledger, Recorder().telemetry("parser").tracer, "parser")
        # Its document is deleted: nothing of it may stay at the vendor.
        await Charges(jobs, engine, meter).close(job)
        (entry,) = await listed(near.ledger, who)
        assert (entry.state, entry.asking.answer) == (Entry.STATE_IN_DOUBT, "CHARGE_NOT_TOLD")
        assert not entry.asking.possible
        with pytest.raises(NotFound):
            engine.kept("pjb-0")


@dataclass(frozen=True)
class Batches:
    """Batch jobs over a simulator, the ledger, and who asks the one for the other."""

    bench: makers_embedder.Bench
    sim: OpenAISimulator
    jobs: VendorBatches
    database: MigratedPostgres
    who: identity.Caller

    async def lost(self) -> None:
        """A job of two lines that nobody collects."""
        with identity.acting_as(self.who):
            await self.bench.create_job({0: ["a text"], 7: ["another text"]}, makers_embedder.new_job())
            for entry in await self.entries():
                doubt = SettleRequest(entry_id=entry.entry_id, doubt_reason="EXPIRED")
                await self.bench.ledger.Settle(doubt)
        await time_passes(self.database, A_MINUTE, [entry.entry_id for entry in await self.entries()])

    async def entries(self) -> list[Entry]:
        with identity.acting_as(self.who):
            asked = ListEntriesRequest(run_ids=[self.who.run_id])
            return list((await self.bench.ledger.ListEntries(asked)).entries)

    async def asked(self) -> set[tuple[Entry.State, str]]:
        """States and answers, once the vendor was asked."""
        meter = Meter(self.bench.ledger, Recorder().telemetry("embedder").tracer, "embedder")
        await Asking(meter, "openai", BatchDoubts(self.jobs).ask, job_key).turn()
        return {(entry.state, entry.asking.answer) for entry in await self.entries()}


@asynccontextmanager
async def batches(database: MigratedPostgres) -> AsyncIterator[Batches]:
    settings = OpenAISettings(seed=uuid.uuid4().int % 2**32, latency_seconds=0.0)
    calls, limiter = Calls("openai", SOON), Limiter("openai", 8)
    async with (
        alone(database),
        openai_simulator(settings) as sim,
        makers_embedder.embedder(database, makers_embedder.at(sim)) as bench,
        openai_opened(makers_embedder.at(sim)) as client,
    ):
        backend = OpenAIEmbedder(makers_embedder.at(sim), limiter, client)
        meter = Meter(bench.ledger, Recorder().telemetry("embedder").tracer, "embedder")
        tier = OpenAIBatches(makers_embedder.at(sim), client)
        jobs = VendorBatches(tier, backend.space, backend.capabilities, meter, calls)
        yield Batches(bench, sim, jobs, database, makers_embedder.new_run())


async def test_lines_of_a_batch_that_nobody_collects_are_settled_as_its_files_tell(
    database: MigratedPostgres,
) -> None:
    async with batches(database) as one:
        await one.lost()
        assert await one.asked() == {(Entry.STATE_IN_DOUBT, "BATCH_RUNS")}
        one.sim.clock.advance(700)
        await time_passes(database, 5 * A_MINUTE, [entry.entry_id for entry in await one.entries()])
        assert await one.asked() == {(Entry.STATE_SETTLED, "")}
        settled = sum(entry.reported_nano_usd for entry in await one.entries())
        assert settled == one.sim.invoice.total_nano_usd > 0


async def test_lines_of_a_batch_whose_files_are_deleted_are_asked_about_once(
    database: MigratedPostgres,
) -> None:
    async with batches(database) as one:
        await one.lost()
        one.sim.clock.advance(700)
        (line, *_) = await one.entries()
        with identity.acting_as(one.who):
            await one.jobs.delete(JobName(job_key(line), since=line.hold_time.ToNanoseconds() / 1e9))
        assert await one.asked() == {(Entry.STATE_IN_DOUBT, "BATCH_FILES_DELETED")}
        assert not any(entry.asking.possible for entry in await one.entries())


async def test_lines_of_a_batch_that_the_vendor_never_had_are_released(database: MigratedPostgres) -> None:
    async with batches(database) as one:
        with identity.acting_as(one.who):
            lines = [
                hold(f"embed:s:{number}", 1000, f"embedder/{uuid.UUID(int=1)}",
                     model="text-embedding-3-small batch")
                for number in range(2)
            ]  # fmt: skip
        for line in lines:
            await in_doubt(one.bench.ledger, one.who, line)
        await time_passes(database, A_MINUTE, [line.entry_id for line in lines])
        assert await one.asked() == {(Entry.STATE_RELEASED, "")}


async def test_a_synchronous_embedding_is_never_asked_about(database: MigratedPostgres) -> None:
    async with batches(database) as one:
        await in_doubt(one.bench.ledger, one.who, line := hold("embed:s:1"))
        await time_passes(database, A_MINUTE, [line.entry_id])
        asked = len(one.sim.journal)
        assert await one.asked() == {(Entry.STATE_IN_DOUBT, "")}
        assert len(one.sim.journal) == asked
