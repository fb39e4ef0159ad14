"""A document that kills its parser is given up after the third time, and takes nobody with it."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import pytest

from services.parser.backends.port import Order, Parse, Source
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.pages import Artifact
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    Neighbours,
    SteadyEngine,
    a_run,
    being_parsed,
    claimed,
    dead_attempt,
    ended,
    jobs_of,
    neighbours,
    new_job,
    parser,
    runner_of,
    time_passes,
)
from tests.waiting import PATIENCE_SECONDS, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.runtime import identity


async def after_deaths(
    database: MigratedPostgres, near: Neighbours, who: identity.Caller, content: bytes, deaths: int
) -> Job:
    """A job that so many processes, all dead, have worked on."""
    async with jobs_of(database, "parser/dead/0") as store:
        with identity.acting_as(who):
            new = new_job(who, content, await near.store(content), light=content == b"light")
            job = await store.create(new)
    for number in range(deaths):
        async with jobs_of(database, f"parser/dead/{number}") as store:
            await time_passes(database, await claimed(store, who, job.job_id))
    return job


@pytest.mark.parametrize(
    ("deaths", "state", "reason"),
    [(2, ParseJob.STATE_SUCCEEDED, ""), (3, ParseJob.STATE_FAILED, "POISON")],
)
async def test_a_job_is_poison_after_its_third_death_and_its_neighbour_is_parsed(
    database: MigratedPostgres, tmp_path: Path, deaths: int, state: ParseJob.State, reason: str
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near:
        suspect = await after_deaths(database, near, who, MARKDOWN, deaths)
        neighbour = await after_deaths(database, near, who, b"# good", 1)
        async with parser(database, near) as stub:
            with identity.acting_as(who):
                job = await ended(stub, ParseJob(job_id=str(suspect.job_id)))
                beside = await ended(stub, ParseJob(job_id=str(neighbour.job_id)))
        assert (job.state, job.reason, beside.state) == (state, reason, ParseJob.STATE_SUCCEEDED)


async def test_what_a_killing_job_had_held_is_released(database: MigratedPostgres, tmp_path: Path) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/dead/0") as dead:
        job = await dead_attempt(database, dead, near, who, MARKDOWN)
        with identity.acting_as(who):
            await Objects(near.storage).delete(job.artifact_key)
        for number in (1, 2):
            async with jobs_of(database, f"parser/dead/{number}") as next_one:
                await time_passes(database, await claimed(next_one, who, job.job_id))
        async with parser(database, near) as stub:
            with identity.acting_as(who):
                assert (await ended(stub, ParseJob(job_id=str(job.job_id)))).reason == "POISON"
                assert await near.entry_states() == [Entry.STATE_RELEASED]


async def test_a_parser_that_is_told_to_stop_hands_its_job_back_which_is_no_death(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/next") as store:
        async with parser(database, near) as stub:
            with identity.acting_as(who):
                job_id = uuid.UUID(await being_parsed(stub, near))
        job = await store.get(who.tenant, job_id)
        assert (job.state, job.deaths) == (JobState.QUEUED, 0)
        await store.cancel(who.tenant, job_id, of_run=False)


class Beside(SteadyEngine):
    """An engine that notes which documents were being parsed as each began; some are parsed together only."""

    def __init__(self, store: Jobs, who: identity.Caller, job_id: uuid.UUID) -> None:
        self._looking = (store, who.tenant, job_id)
        self._now: set[str] = set()
        self._pair = asyncio.Barrier(2)
        self.seen: list[frozenset[str]] = []

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        name = os.pread(source.file.fileno(), 64, 0).decode()
        self._now.add(name)
        self.seen.append(frozenset(self._now))
        if name in ("a", "b"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._pair.wait()
        store, tenant, job_id = self._looking
        for _ in range(20):  # time enough for a neighbour to begin, if it may
            await store.get(tenant, job_id)
        self._now.remove(name)
        return await super().begin(source, order, artifact)


async def test_a_job_that_one_more_death_would_condemn_is_parsed_alone(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        deaths = {b"a": 1, b"b": 0, b"suspect": 2, b"other": 2, b"light": 0, b"c": 0, b"d": 0}
        jobs = [await after_deaths(database, near, who, name, number) for name, number in deaths.items()]
        engine = Beside(store, who, jobs[0].job_id)
        runner = runner_of(store, near, engine)
        async with runner.running(2):
            for job in jobs:

                async def final(job: Job = job) -> bool:
                    return (await store.get(who.tenant, job.job_id)).state is JobState.SUCCEEDED

                await until(final)
        assert any({"a", "b"} <= together for together in engine.seen), "two of the others go together"
        for name in ("suspect", "other"):
            assert [together for together in engine.seen if name in together] == [frozenset((name,))]
