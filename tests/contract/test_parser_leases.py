"""Two parsers on one database: a job belongs to one of them, and changes hands only by lease."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.parser.backends.port import Order, Parse, Source
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs, Superseded
from services.parser.pages import Artifact, Reading
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    SteadyEngine,
    a_run,
    being_parsed,
    claimed,
    created,
    ended,
    halted,
    job_request,
    jobs_of,
    neighbours,
    parse_children,
    parsed,
    parser,
    parser_and_jobs,
    runner_of,
    slow_pdf,
    time_passes,
)
from tests.waiting import PATIENCE_SECONDS, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    GetParseJobRequest,
    WatchParseJobRequest,
)
from waybill.runtime import identity

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub


async def test_reading_a_job_at_another_parser_leaves_it_where_it_is(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, content = a_run(), slow_pdf()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/looking") as store,
        parser(database, near) as one,
        parser(database, near) as other,
    ):
        with identity.acting_as(who):
            request = job_request(await near.store(content), "a.pdf", content)
            job_id = (await one.CreateParseJob(request)).job.job_id
            await halted(near)
            for _ in range(4):
                read = await other.GetParseJob(GetParseJobRequest(job_id=job_id))
                assert read.job.state == ParseJob.STATE_RUNNING
                assert (await other.CreateParseJob(request)).job.job_id == job_id
            watching = other.WatchParseJob(WatchParseJobRequest(job_id=job_id))
            async for first in watching:
                assert first.job.state == ParseJob.STATE_RUNNING
                break
            watching.cancel()
            # Whatever the other one would have begun has come about by the end of a job of its own.
            assert (await parsed(other, near, "a.md", MARKDOWN)).state == ParseJob.STATE_SUCCEEDED
            assert (await store.get(who.tenant, uuid.UUID(job_id))).deaths == 0
            assert [entry.attempt for entry in await near.entries()] == [1, 1]
            assert len(parse_children()) == 1
            await stopped(one, job_id)


async def stopped(stub: ParserServiceAsyncStub, job_id: str) -> None:
    (job,) = (await stub.CancelParseJob(CancelParseJobRequest(job_id=job_id))).jobs
    assert job.state == ParseJob.STATE_CANCELLED


async def test_a_parser_that_starts_leaves_a_running_job_to_who_runs_it(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with parser_and_jobs(database, tmp_path, "parser/looking") as (near, store, one):
        with identity.acting_as(who):
            job_id = await being_parsed(one, near)
            for _ in range(3):
                async with parser(database, near) as starting:
                    await parsed(starting, near, "a.md", uuid.uuid4().hex.encode())
            job = await store.get(who.tenant, uuid.UUID(job_id))
            assert (job.state, job.deaths, len(parse_children())) == (JobState.RUNNING, 0, 1)
            await stopped(one, job_id)


async def test_a_cancel_at_another_parser_ends_the_work_where_it_is_done(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        parser(database, near) as one,
        parser(database, near) as other,
    ):
        with identity.acting_as(a_run()):
            await stopped(other, await being_parsed(one, near))
            assert parse_children() == []
            assert await near.entry_states() == [Entry.STATE_RELEASED]


async def test_who_waits_at_another_parser_sees_the_end(database: MigratedPostgres, tmp_path: Path) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        parser(database, near) as one,
        parser(database, near) as other,
    ):
        with identity.acting_as(a_run()):
            job_id = await being_parsed(one, near)
            waiting = asyncio.ensure_future(ended(other, ParseJob(job_id=job_id)))
            await stopped(one, job_id)
            assert (await waiting).state == ParseJob.STATE_CANCELLED


async def test_a_job_whose_lease_ran_out_is_taken_over_unasked_and_is_one_death(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/dead") as dead:
        job = await claimed(dead, who, (await created(dead, near, who, MARKDOWN)).job_id)
        async with parser(database, near) as stub:
            with identity.acting_as(who):
                await parsed(stub, near, "b.md", b"# Meanwhile")
            now = await dead.get(who.tenant, job.job_id)
            assert (now.state, now.deaths) == (JobState.RUNNING, 0), "its lease may yet be renewed"
            await time_passes(database, job)
            await until_parsed(dead, job)
            assert (await dead.get(who.tenant, job.job_id)).deaths == 1


async def test_a_job_that_its_parser_died_over_before_it_began_is_begun_by_another_which_is_no_death(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/dead") as dead,
        parser(database, near),
    ):
        job = await created(dead, near, who, MARKDOWN)
        await until_parsed(dead, job)
        assert (await dead.get(who.tenant, job.job_id)).deaths == 0


async def until_parsed(store: Jobs, job: Job) -> None:
    async def done() -> bool:
        return (await store.get(job.caller.tenant, job.job_id)).state is JobState.SUCCEEDED

    await until(done)


async def test_three_restarts_in_turn_are_no_death(database: MigratedPostgres, tmp_path: Path) -> None:
    who, content = a_run(), slow_pdf()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/looking") as store:
        job = await created(store, near, who, content)
        with identity.acting_as(who):
            for _ in range(3):
                async with parser(database, near):
                    await halted(near)
                now = await store.get(who.tenant, job.job_id)
                assert (now.state, now.deaths, now.leased) == (JobState.QUEUED, 0, False)
            async with parser(database, near) as stub:
                await stopped(stub, str(job.job_id))


async def test_a_process_that_was_too_slow_changes_nothing_any_more(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/slow") as slow,
        jobs_of(database, "parser/next") as next_one,
    ):
        job = await claimed(slow, who, (await created(slow, near, who, b"x")).job_id)
        assert await next_one.claim(who.tenant, job.job_id) is None, "its lease has not run out"
        await time_passes(database, job)
        assert (await claimed(next_one, who, job.job_id)).deaths == 1
        for late in (
            slow.attach_entry(job, str(uuid.uuid4()), 1),
            slow.result_stored(job, Reading("text", pages=1)),
            slow.fail(job, "LATE", "It came too late."),
            slow.succeed(job, Reading("text", pages=1)),
        ):
            with pytest.raises(Superseded):
                await late
        kept, _ = await slow.keep([job.job_id])
        await slow.hand_back()
        assert (kept, (await slow.get(who.tenant, job.job_id)).state) == ({}, JobState.RUNNING)
        await next_one.hand_back()


class Endless(SteadyEngine):
    """An engine that parses until it is stopped."""

    def __init__(self) -> None:
        self.at_work = asyncio.Event()
        self.stopped = asyncio.Event()

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        self.at_work.set()
        try:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        finally:
            self.stopped.set()


async def test_work_ends_when_another_process_has_taken_it(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Endless()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/slow") as slow,
        jobs_of(database, "parser/next") as next_one,
    ):
        job = await created(slow, near, who, b"x")
        async with runner_of(slow, near, engine).running(1):
            await engine.at_work.wait()

            async def taken() -> bool:
                await time_passes(database, job)  # again, should it have been renewed in between
                return await next_one.claim(who.tenant, job.job_id) is not None

            await until(taken)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await engine.stopped.wait()
        now = await next_one.get(who.tenant, job.job_id)
        assert (now.state, now.leased) == (JobState.RUNNING, True), "it is the other one's still"
        await next_one.cancel(who.tenant, job.job_id, of_run=False)
