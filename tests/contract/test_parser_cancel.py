"""A cancelled parse stops before the answer, costs nothing and leaves nothing."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from services.parser.pages import Reading
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    a_run,
    being_parsed,
    dead_attempt,
    ended,
    exists,
    jobs_of,
    neighbours,
    parse_children,
    parsed,
    parser,
    parser_and_jobs,
    refused,
    slow_pdf,
    started,
)
from tests.inprocess import someone
from tests.waiting import PATIENCE_SECONDS, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CancelParseJobRequest, GetParseJobRequest
from waybill.runtime import identity

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub

RELEASED = [Entry.STATE_RELEASED]


async def cancelled(stub: ParserServiceAsyncStub, **target: str) -> list[ParseJob]:
    return list((await stub.CancelParseJob(CancelParseJobRequest(**target))).jobs)


def without_choice(job: ParseJob) -> ParseJob:
    """A job as CancelParseJob answers it."""
    job.ClearField("choice")
    return job


async def state_of(stub: ParserServiceAsyncStub, job_id: str) -> ParseJob.State:
    return (await stub.GetParseJob(GetParseJobRequest(job_id=job_id))).job.state


async def test_cancelling_a_running_job_kills_its_child_and_releases_its_entry_before_the_answer(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with parser_and_jobs(database, tmp_path, "parser/other") as (near, store, stub):
        with identity.acting_as(who):
            job_id = await being_parsed(stub, near)
            waiting = GetParseJobRequest(job_id=job_id, wait=Duration(seconds=30))
            poll = asyncio.ensure_future(stub.GetParseJob(waiting))
            (job,) = await cancelled(stub, job_id=job_id)
            assert (parse_children(), await near.entry_states()) == ([], RELEASED)
            assert (job.job_id, job.state) == (job_id, ParseJob.STATE_CANCELLED)
            assert job.HasField("end_time")
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert without_choice((await poll).job) == job, "who waits for the job is told"
            row = await store.get(who.tenant, uuid.UUID(job_id))
            assert not await exists(near, row.artifact_key)


async def test_a_queued_job_is_cancelled_without_a_cost_and_the_running_one_goes_on(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        first, second = a_run(), a_run()
        with identity.acting_as(first):
            running = await being_parsed(stub, near)
        with identity.acting_as(second):
            queued = await started(stub, near, slow_pdf())
            (job,) = await cancelled(stub, job_id=queued)
            assert (job.state, await near.entry_states()) == (ParseJob.STATE_CANCELLED, [])
        with identity.acting_as(first):
            assert await state_of(stub, running) == ParseJob.STATE_RUNNING
            assert len(parse_children()) == 1
            await cancelled(stub, job_id=running)


async def test_a_final_job_stays_as_it_is_and_an_unknown_one_is_not_found(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, "a.md", MARKDOWN)
            assert await cancelled(stub, job_id=job.job_id) == [without_choice(job)]
            assert len(await near.result(job.result_key)) == 2
            assert await near.entry_states() == [Entry.STATE_SETTLED]
        with identity.acting_as(a_run()):
            stranger = CancelParseJobRequest(job_id=job.job_id)
            not_found = (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
            assert await refused(stub.CancelParseJob(stranger)) == not_found
            invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            for request in [CancelParseJobRequest(), CancelParseJobRequest(run_id="x")]:
                assert await refused(stub.CancelParseJob(request)) == invalid


async def test_cancelling_a_run_stops_its_jobs_and_no_other_run_s(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        mine = a_run()
        theirs = someone(mine.tenant, str(uuid.uuid4()))
        with identity.acting_as(mine):
            mine_ids = {await being_parsed(stub, near), await started(stub, near, slow_pdf())}
        with identity.acting_as(theirs):
            their_id = await started(stub, near, b"# theirs", "a.md")
            stopped = await cancelled(stub, run_id=mine.run_id)
            assert {job.job_id for job in stopped} == mine_ids
            assert {job.state for job in stopped} == {ParseJob.STATE_CANCELLED}
            assert await cancelled(stub, run_id=mine.run_id) == [], "there is nothing left to stop"
            assert (await ended(stub, ParseJob(job_id=their_id))).state == ParseJob.STATE_SUCCEEDED


async def test_the_same_content_is_a_new_job_after_a_cancel(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            blocker = await being_parsed(stub, near)
            first = await started(stub, near, MARKDOWN)
            await cancelled(stub, job_id=first)
            await cancelled(stub, job_id=blocker)
            again = await parsed(stub, near, "a.pdf", MARKDOWN)
            assert (again.job_id == first, again.state) == (False, ParseJob.STATE_SUCCEEDED)


async def test_a_job_whose_process_is_dead_is_cancelled_like_any_other(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with parser_and_jobs(database, tmp_path, "parser/dead") as (near, dead, stub):
        job = await dead_attempt(database, dead, near, who, MARKDOWN)
        with identity.acting_as(who):
            (answer,) = await cancelled(stub, run_id=who.run_id)
            assert (answer.job_id, answer.state) == (str(job.job_id), ParseJob.STATE_CANCELLED)
            assert (await near.entry_states(), await exists(near, job.artifact_key)) == (RELEASED, False)


async def test_a_cancel_that_was_cut_off_is_finished_by_the_next_process(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/dead") as dead:
        job = await dead_attempt(database, dead, near, who, MARKDOWN)
        await dead.cancel(who.tenant, job.job_id, of_run=False)
        async with parser(database, near):
            with identity.acting_as(who):

                async def cleared() -> bool:
                    return await near.entry_states() == RELEASED and not await exists(near, job.artifact_key)

                await until(cleared)


async def test_a_job_that_is_about_to_be_paid_is_not_cancelled_but_waited_for(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with parser_and_jobs(database, tmp_path, "parser/dead") as (near, dead, stub):
        job = await dead_attempt(database, dead, near, who, MARKDOWN)
        await dead.result_stored(job, Reading("markdown", pages=2))
        with identity.acting_as(who):
            (answer,) = await cancelled(stub, job_id=str(job.job_id))
            assert (answer.state, answer.page_count) == (ParseJob.STATE_SUCCEEDED, 2)
            assert await near.entry_states() == [Entry.STATE_SETTLED]
