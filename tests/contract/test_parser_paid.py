"""Who refused decides about the money: the engine gives it back, a neighbour does not."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from services.parser.backends.port import Order, Parse, Source
from services.parser.job import JobState
from services.parser.objects import Objects
from services.parser.pages import Artifact
from services.parser.refusals import refusal
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    Neighbours,
    RemoteEngine,
    SteadyEngine,
    a_run,
    brought_to_end,
    claimed,
    created,
    exists,
    jobs_of,
    neighbours,
    no_pause,
    parsed,
    parser,
    put_off,
    runner_of,
    time_passes,
)
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.refusals import refusals_of
from waybill.runtime import identity, semconv
from waybill.runtime.errors import (
    Conflict,
    Deadline,
    InvalidRequest,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.vendors.patience import MOST_IN_VAIN


class Patchy(Objects):
    """The way to a storage that fails the first so many Puts."""

    def __init__(self, near: Neighbours, failures: int, error: ServiceError) -> None:
        super().__init__(near.storage)
        self.failures, self.error = failures, error

    async def put(self, key: str, file: BinaryIO, content_type: str) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error
        await super().put(key, file, content_type)


@pytest.mark.parametrize("kind", [InvalidRequest, Quota, Conflict])
async def test_a_parse_whose_result_storage_refuses_is_paid_for_all_the_same(
    database: MigratedPostgres, tmp_path: Path, kind: type[ServiceError]
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        way = Patchy(near, 1, kind("STORAGE_REFUSES", "Of no vendor."))
        runner = runner_of(store, near, SteadyEngine(), no_pause, way)
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            await runner.begin(await claimed(store, who, job.job_id)).task
            now = await store.get(who.tenant, job.job_id)
            assert (now.state, now.reason) == (JobState.FAILED, "RESULT_NOT_STORED")
            assert await near.ends() == [(Entry.STATE_SETTLED, 1)]


class Counting(SteadyEngine):
    """An engine that counts what it was asked."""

    parses = 0

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        self.parses += 1
        return await super().begin(source, order, artifact)


@pytest.mark.parametrize(
    ("failures", "state", "reason", "entry"),
    [
        (3, JobState.SUCCEEDED, "", Entry.STATE_SETTLED),
        (1_000, JobState.RUNNING, "AWAY", Entry.STATE_HELD),
    ],
    ids=["back", "away for long"],
)
async def test_storing_is_repeated_without_a_second_parse_and_the_parse_is_paid_once(
    database: MigratedPostgres,
    tmp_path: Path,
    failures: int,
    state: JobState,
    reason: str,
    entry: Entry.State,
) -> None:
    who, engine = a_run(), Counting()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        runner = runner_of(
            store, near, engine, no_pause, Patchy(near, failures, Unavailable("AWAY", "Repeat."))
        )
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            await runner.begin(await claimed(store, who, job.job_id)).task
            now = await store.get(who.tenant, job.job_id)
            assert (now.state, now.reason, engine.parses) == (state, reason, 1)
            assert await near.ends() == [(entry, 1)]
            assert (now.look_at is None) == now.state.final, "it is put off"


class LosesReplies(RemoteEngine):
    """A vendor whose first reply is lost, and whose result may then not be there."""

    def __init__(self, failure: ServiceError | None) -> None:
        super().__init__()
        self._failure = failure

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        await super().begin(source, order, artifact)
        raise Unavailable("VENDOR_UNREACHABLE", "Repeat.", {semconv.VENDOR: self.capabilities.vendor})

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        if self._failure:
            with refusals_of(self.capabilities.vendor):
                raise self._failure
        await super().collect(parse_id, order, artifact)


@pytest.mark.parametrize(
    ("failure", "state", "entry_state"),
    [
        (None, JobState.SUCCEEDED, Entry.STATE_SETTLED),
        (refusal("PDF_IS_BROKEN"), JobState.FAILED, Entry.STATE_RELEASED),
        (VendorContract("VENDOR_ANSWER_INVALID", "It is not JSON."), JobState.FAILED, Entry.STATE_IN_DOUBT),
    ],
)
async def test_a_parse_whose_begin_lost_its_reply_is_found_and_ends_its_one_entry(
    database: MigratedPostgres,
    tmp_path: Path,
    failure: ServiceError | None,
    state: JobState,
    entry_state: Entry.State,
) -> None:
    who, engine = a_run(), LosesReplies(failure)
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        runner = runner_of(store, near, engine, no_pause)
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            await brought_to_end(runner, store, who, job.job_id)
            assert (await store.get(who.tenant, job.job_id)).state is state
            assert await near.entry_states() == [entry_state]


class Closed(Objects):
    """The way to a storage that is away once there is something to read back."""

    away: ServiceError | None = Unavailable("AWAY", "Repeat.")

    async def last_line(self, key: str) -> bytes | None:
        if self.away:
            raise self.away
        return await super().last_line(key)


@pytest.mark.parametrize(
    ("away", "reason"),
    [
        (Unavailable("AWAY", "Repeat."), "AWAY"),
        (Deadline("DEADLINE_EXCEEDED", "Deadline Exceeded"), "SERVICE_AWAY"),
    ],
    ids=lambda value: getattr(value, "reason", value),
)
async def test_a_parse_outlives_a_storage_that_is_away_for_long_and_is_bought_once(
    database: MigratedPostgres, tmp_path: Path, away: ServiceError, reason: str
) -> None:
    who, engine = a_run(), RemoteEngine()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        closed = Closed(near.storage)
        closed.away = away
        runner = runner_of(store, near, engine, no_pause, closed)
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            for _ in range(2):
                await runner.begin(await claimed(store, who, job.job_id)).task
            waiting = await store.get(who.tenant, job.job_id)
            assert (waiting.state, waiting.reason, waiting.leased) == (JobState.RUNNING, reason, False)
            assert waiting.look_at is not None
            assert await near.entry_states() == [Entry.STATE_HELD]
            closed.away = None
            ended = await brought_to_end(runner, store, who, job.job_id)
            assert (ended.state, ended.reason) == (JobState.SUCCEEDED, "")
            assert await near.ends() == [(Entry.STATE_SETTLED, 2)]


async def test_a_parse_that_is_given_up_as_storage_refuses_it_for_long_leaves_its_entry_in_doubt_and_not_held(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), RemoteEngine()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        runner = runner_of(store, near, engine, no_pause, Closed(near.storage))
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            await runner.begin(await claimed(store, who, job.job_id)).task
            await put_off(database, job.job_id, MOST_IN_VAIN)
            failed = await brought_to_end(runner, store, who, job.job_id)
            assert (failed.state, failed.reason, failed.kept) == (JobState.FAILED, "AWAY", True)
            assert await near.entry_states() == [Entry.STATE_IN_DOUBT]
            assert failed.charge_of == failed.entry_id, "the engine is asked what it cost"


async def test_what_is_left_of_a_deletion_is_cleared_without_a_word_about_its_paid_entry(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), RemoteEngine()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/dies") as dies,
        jobs_of(database, "parser/1") as store,
    ):
        with identity.acting_as(who):
            job = await created(store, near, who, MARKDOWN)
            runner = runner_of(store, near, engine, no_pause)
            await brought_to_end(runner, store, who, job.job_id)
            (discarded,) = await dies.discard(who.tenant, job.source_sha256)
            await time_passes(database, discarded)
            paid, asked = await near.entries(), engine.kept(discarded.parse_id).looks
            await runner.begin(await claimed(store, who, job.job_id)).task
            left = await store.get(who.tenant, job.job_id)
            assert (left.state, left.open, left.charge_of) == (JobState.CANCELLED, False, discarded.entry_id)
            assert not await exists(near, discarded.artifact_key)
            assert (await near.entries(), engine.kept(discarded.parse_id).looks) == (paid, asked)


@pytest.mark.parametrize(("filename", "content"), [("a.md", b" \n"), ("a.pdf", b"%PDF-1.7 and no more")])
async def test_what_the_engine_refuses_is_not_paid(
    database: MigratedPostgres, tmp_path: Path, filename: str, content: bytes
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, filename, content)
            assert job.state == ParseJob.STATE_FAILED
            assert {entry.state for entry in await near.entries()} <= {Entry.STATE_RELEASED}
