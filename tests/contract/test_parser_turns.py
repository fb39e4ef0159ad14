"""Whose document is parsed next: tenants take turns, and small text waits for nobody."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

from services.parser.backends.port import Order, Parse, Source
from services.parser.job import Job, JobState
from services.parser.pages import Artifact
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    SteadyEngine,
    a_run,
    being_parsed,
    created,
    jobs_of,
    neighbours,
    parse_children,
    parsed,
    parser,
    parser_and_jobs,
    runner_of,
    slow_pdf,
    started,
)
from tests.waiting import until
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CancelParseJobRequest, GetParseJobRequest
from waybill.runtime import identity


class Gated(SteadyEngine):
    """An engine that notes what it begins, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.begins = asyncio.Event()
        self.open = asyncio.Event()

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        self.begun.append(os.pread(source.file.fileno(), 64, 0).decode())
        self.begins.set()
        await self.open.wait()
        return await super().begin(source, order, artifact)


async def test_another_tenants_document_is_next_however_many_one_tenant_has_waiting(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    many, few, engine = a_run(), a_run(), Gated()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:

        async def wait(who: identity.Caller, name: str) -> None:
            with identity.acting_as(who):
                content = name.encode()
                jobs.append(await created(store, near, who, content))

        jobs: list[Job] = []
        for number in range(4):
            await wait(many, f"many {number}")
        async with runner_of(store, near, engine).running(1):
            await engine.begins.wait()
            await wait(few, "few 0")
            await wait(few, "few 1")
            engine.open.set()

            async def all_done() -> bool:
                now = [await store.get(job.caller.tenant, job.job_id) for job in jobs]
                return all(job.state is JobState.SUCCEEDED for job in now)

            await until(all_done)
        ours = [name for name in engine.begun if name.startswith(("many", "few"))]
        assert ours == ["many 0", "few 0", "many 1", "few 1", "many 2", "many 3"]


async def test_a_small_text_is_parsed_while_every_place_is_taken(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    many = a_run()
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(many):
            job_id = await being_parsed(stub, near)
        with identity.acting_as(a_run()):
            assert (await parsed(stub, near, "a.md", MARKDOWN)).state == ParseJob.STATE_SUCCEEDED
        with identity.acting_as(many):
            read = await stub.GetParseJob(GetParseJobRequest(job_id=job_id))
            assert read.job.state == ParseJob.STATE_RUNNING
            await stub.CancelParseJob(CancelParseJobRequest(job_id=job_id))


async def test_a_pdf_that_is_named_as_a_text_waits_for_a_place_like_any_other(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    many, other = a_run(), a_run()
    async with parser_and_jobs(database, tmp_path, "parser/looking") as (near, store, stub):
        with identity.acting_as(many):
            blocker = await being_parsed(stub, near)
        with identity.acting_as(other):
            disguised = await started(stub, near, slow_pdf(), "a.txt")

            async def seen_through() -> bool:
                return not (await store.get(other.tenant, uuid.UUID(disguised))).light

            await until(seen_through)
            read = await stub.GetParseJob(GetParseJobRequest(job_id=disguised))
            assert (read.job.state, len(parse_children())) == (ParseJob.STATE_QUEUED, 1)
            await stub.CancelParseJob(CancelParseJobRequest(job_id=disguised))
        with identity.acting_as(many):
            await stub.CancelParseJob(CancelParseJobRequest(job_id=blocker))
