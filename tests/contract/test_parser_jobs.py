"""A parse job is watched until its end, and forgotten with its result."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from tests import hostile_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    a_run,
    being_parsed,
    exists,
    halted,
    job_request,
    jobs_of,
    neighbours,
    parsed,
    parser,
    refused,
    slow_pdf,
    started,
    time_passes,
)
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob, ParseOptions
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    DeleteParseJobsRequest,
    GetParseJobRequest,
    WatchParseJobRequest,
)
from waybill.runtime import identity

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub

NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")


async def watched(stub: ParserServiceAsyncStub, job_id: str) -> AsyncIterator[ParseJob]:
    async for response in stub.WatchParseJob(WatchParseJobRequest(job_id=job_id)):
        yield response.job


async def cancel(stub: ParserServiceAsyncStub, job_id: str) -> None:
    await stub.CancelParseJob(CancelParseJobRequest(job_id=job_id))


async def test_a_watcher_is_told_of_each_state_until_the_last(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            blocker = await being_parsed(stub, near)
            job_id = await started(stub, near, slow_pdf())
            watch = watched(stub, job_id)
            assert (await anext(watch)).state == ParseJob.STATE_QUEUED
            await cancel(stub, blocker)
            assert (await anext(watch)).state == ParseJob.STATE_RUNNING
            await halted(near)
            await cancel(stub, job_id)
            assert [job.state async for job in watch] == [ParseJob.STATE_CANCELLED]


async def test_a_watch_of_a_parse_ends_with_its_result_and_of_a_final_job_at_once(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job_id = await started(stub, near, MARKDOWN, "a.md")
            *_, last = [job async for job in watched(stub, job_id)]
            assert (last.state, last.page_count) == (ParseJob.STATE_SUCCEEDED, 2)
            assert [job async for job in watched(stub, job_id)] == [last]
        with identity.acting_as(a_run()):
            assert await refused(anext(watched(stub, job_id))) == NOT_FOUND


async def forgotten(stub: ParserServiceAsyncStub, content: bytes) -> tuple[int, int]:
    request = DeleteParseJobsRequest(source_sha256=hashlib.sha256(content).hexdigest())
    response = await stub.DeleteParseJobs(request)
    return response.jobs, response.results


async def test_deleting_removes_the_tenants_jobs_of_a_content_with_their_results(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        # Plain text has no price, and so no tier that fails for want of one.
        stranger, document = a_run(), hostile_pdfs.simple("The tide turns.")
        with identity.acting_as(stranger):
            theirs = await parsed(stub, near, "a.pdf", document)
        with identity.acting_as(a_run()):
            first = await parsed(stub, near, "a.pdf", document)
            other_tier = await parsed(stub, near, "a.pdf", document, options=ParseOptions(tier="agentic"))
            await parsed(stub, near, "a.pdf", document, options=ParseOptions(tier="unpriced"))
            kept = await parsed(stub, near, "b.md", b"# kept")
            assert await forgotten(stub, document) == (3, 2)
            for job in (first, other_tier):
                assert await refused(stub.GetParseJob(GetParseJobRequest(job_id=job.job_id))) == NOT_FOUND
                assert not await exists(near, job.result_key)
            assert await exists(near, kept.result_key)
            assert await forgotten(stub, document) == (0, 0)
            again = await parsed(stub, near, "a.pdf", document)
            assert (again.job_id == first.job_id, again.state) == (False, ParseJob.STATE_SUCCEEDED)
        with identity.acting_as(stranger):
            assert await parsed(stub, near, "a.pdf", document) == theirs
            assert await exists(near, theirs.result_key)


async def test_an_unfinished_job_is_not_forgotten_until_it_is_cancelled(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            blocker = await being_parsed(stub, near)
            content = slow_pdf()
            queued = await started(stub, near, content)
            expected = (grpc.StatusCode.FAILED_PRECONDITION, "JOB_UNFINISHED")
            assert await refused(forgotten(stub, content)) == expected
            await cancel(stub, queued)
            assert await forgotten(stub, content) == (1, 0)
            await cancel(stub, blocker)


async def test_a_deletion_that_was_cut_off_leaves_no_result_after_a_restart_and_can_be_repeated(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/dead") as dead:
        with identity.acting_as(who):
            async with parser(database, near) as stub:
                job = await parsed(stub, near, "a.md", MARKDOWN)
            for discarded in await dead.discard(who.tenant, job.source_sha256):
                await time_passes(database, discarded)
            async with parser(database, near) as stub:

                async def gone() -> bool:
                    return not await exists(near, job.result_key)

                await until(gone)
                assert await forgotten(stub, MARKDOWN) == (1, 0)
                assert [entry.state for entry in await near.entries()] == [Entry.STATE_SETTLED]


async def test_a_caller_that_waits_gets_a_small_document_parsed_in_one_call(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            request = job_request(await near.store(MARKDOWN), "a.md", MARKDOWN, wait=Duration(seconds=20))
            job = (await stub.CreateParseJob(request)).job
            assert job.state == ParseJob.STATE_SUCCEEDED
            assert (await stub.CreateParseJob(request)).job == job
            request.wait.FromSeconds(-1)
            assert await refused(stub.CreateParseJob(request)) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
            )
