"""A parse that goes on at a vendor takes up nothing here, and is asked about no more than is wise."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import psycopg
import pytest

from services.parser.backends.llamaparse.answers import Status, VendorJob
from services.parser.backends.llamaparse.looks import MOST, Looks
from services.parser.backends.port import Order, Parse, Source, Stage
from services.parser.charging import GIVEN_UP_AFTER, Charges
from services.parser.job import Job, JobState
from services.parser.jobs import LEAST_SECONDS, Jobs
from services.parser.objects import Objects
from services.parser.pages import Artifact
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    Neighbours,
    RemoteEngine,
    a_run,
    brought_to_end,
    claimed,
    created,
    jobs_of,
    neighbours,
    put_off,
    runner_of,
)
from tests.inprocess import Recorder
from tests.waiting import turns, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.runtime import identity, semconv
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import NotFound, Unavailable
from waybill.vendors.patience import MOST_IN_VAIN

WAITING = 1_000
# As rows of 1,000 parses that were begun long ago and are looked at in an hour.
_INSERT = """
insert into waybill_parser.jobs (job_id, tenant, source_key, source_sha256, filename, tier, state, backend,
    revision, cost_kind, correlation_id, run_id, step_span_id, traceparent, entry_id, parse_id, look_at,
    ends_by)
select gen_random_uuid(), %(tenant)s, 'k', encode(sha256(n::text::bytea), 'hex'), 'a.pdf', 'fast', 'RUNNING',
    'remote', 'r', 'SIMULATED', 'c', '', '', '', gen_random_uuid(), 'pjb-' || n,
    now() + interval '1 hour', now() + interval '2 hours'
from generate_series(1, %(count)s) n
"""


class Counting(RemoteEngine):
    """A vendor that counts how often it is asked."""

    asked = 0

    async def look(self, parse_id: str) -> Parse:
        self.asked += 1
        return await super().look(parse_id)


@pytest.mark.slow
async def test_a_document_is_parsed_beside_a_thousand_that_wait_for_a_vendor(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Counting()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
            await connection.execute(_INSERT, {"tenant": who.tenant, "count": WAITING})
        tasks = len(asyncio.all_tasks())
        runner = runner_of(store, near, engine)
        with identity.acting_as(who):
            job = await created(store, near, who, b"# one")
            async with runner.running(1):

                async def done() -> bool:
                    return (await store.get(who.tenant, job.job_id)).state is JobState.SUCCEEDED

                await until(done)
                assert len(asyncio.all_tasks()) < tasks + 20
            assert engine.asked <= 5, "of its own parse alone"
        async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
            await connection.execute("delete from waybill_parser.jobs where source_key = 'k'")


async def test_a_job_that_waits_has_no_owner_and_goes_on_in_whichever_process_looks(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), RemoteEngine()
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/1") as first,
        jobs_of(database, "parser/2") as second,
    ):
        with identity.acting_as(who):
            job = await created(first, near, who, b"# two\fp")
            runner = runner_of(first, near, engine)
            await runner.begin(await claimed(first, who, job.job_id)).task
            waiting = await first.get(who.tenant, job.job_id)
            assert waiting.look_at is not None
            left = waiting.look_at - waiting.created_at
            assert left.total_seconds() >= LEAST_SECONDS, "though the engine says 0"
            assert (waiting.state, waiting.leased, waiting.deaths) == (JobState.RUNNING, False, 0)
            assert (waiting.parse_id, waiting.expected_pages) == ("pjb-0", 2)
            assert await near.entry_states() == [Entry.STATE_HELD]
            other = runner_of(second, near, engine)
            ended = await brought_to_end(other, second, who, job.job_id)
            assert (ended.state, ended.deaths, ended.look_at) == (JobState.SUCCEEDED, 0, None)
            assert await near.ends() == [(Entry.STATE_SETTLED, 2)]


class Ends(RemoteEngine):
    """A vendor that ends each parse as it begins it, and has no list to look into.

    Attributes:
        seen: What stands on the row as the result is asked for.
    """

    def __init__(self, seen: Callable[[], Awaitable[str]]) -> None:
        super().__init__()
        self._row = seen
        self.seen = ""

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        begun = await super().begin(source, order, artifact)
        return Parse(begun.id, Stage.ENDED, 1)

    async def find(self, order: Order) -> Parse | None:
        raise AssertionError("the row has its id")

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        self.seen = await self._row()
        await super().collect(parse_id, order, artifact)


async def test_the_engine_s_id_is_on_the_row_before_anything_else_is_done(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# at once")

            async def on_the_row() -> str:
                return (await store.get(who.tenant, job.job_id)).parse_id

            engine = Ends(on_the_row)
            ended = await brought_to_end(runner_of(store, near, engine), store, who, job.job_id)
            assert (ended.state, engine.seen) == (JobState.SUCCEEDED, "pjb-0")


class Late(RemoteEngine):
    """A vendor that ends nothing, and charges nothing for what is cancelled."""

    async def look(self, parse_id: str) -> Parse:
        return Parse(parse_id, Stage.RUNNING)

    def longest_seconds(self, order: Order) -> float:
        return 0.0

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        begun = await super().begin(source, order, artifact)
        return Parse(begun.id, Stage.RUNNING)


async def test_a_parse_that_is_stuck_is_cancelled_told_and_not_paid(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Late()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# three")
            runner = runner_of(store, near, engine)
            ended = await brought_to_end(runner, store, who, job.job_id)
            assert (ended.state, ended.reason) == (JobState.FAILED, "VENDOR_STUCK")
            assert await near.entry_states() == [Entry.STATE_RELEASED]


class Busy(RemoteEngine):
    """A vendor at which nothing that can wait has its turn."""

    async def leisure(self) -> None:
        await asyncio.Event().wait()

    async def forget(self, parse_id: str, order: Order) -> None:
        raise AssertionError("its turn has not come")


async def test_a_document_has_its_pages_though_nothing_can_be_deleted_at_the_vendor_yet(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        runner = runner_of(store, near, Busy())
        with identity.acting_as(who):
            job = await created(store, near, who, b"# four")
            async with runner.running(1):

                async def done() -> bool:
                    return (await store.get(who.tenant, job.job_id)).state is JobState.SUCCEEDED

                await until(done)
            assert (await store.get(who.tenant, job.job_id)).charge_of, "it is asked for later"


async def test_a_deletion_right_after_a_cancel_leaves_nothing_at_the_vendor(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), RemoteEngine()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# five\fp")
            runner = runner_of(store, near, engine)
            await runner.begin(await claimed(store, who, job.job_id)).task
            await store.cancel(who.tenant, job.job_id, of_run=False)
            async with runner.running(1):
                await runner.forget(who.tenant, job.source_sha256)
        with pytest.raises(NotFound):
            await engine.look("pjb-0")


class Away(RemoteEngine):
    """A vendor that is away, until it is back."""

    away = True

    async def forget(self, parse_id: str, order: Order) -> None:
        if self.away:
            raise Unavailable("VENDOR_UNREACHABLE", "The vendor does not answer.")
        await super().forget(parse_id, order)


async def test_a_deletion_while_the_vendor_is_away_is_refused_and_its_repeat_leaves_nothing_there(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Away()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# six\fp")
            runner = runner_of(store, near, engine)
            assert (await brought_to_end(runner, store, who, job.job_id)).state is JobState.SUCCEEDED
            async with runner.running(1):
                with pytest.raises(Unavailable):
                    await runner.forget(who.tenant, job.source_sha256)
                assert await engine.look("pjb-0"), "it is there still"
                engine.away = False
                assert (await runner.forget(who.tenant, job.source_sha256))[0] == 1
        with pytest.raises(NotFound):
            await engine.look("pjb-0")


async def leisure() -> None:
    """There is nothing else to do."""


async def test_many_looks_are_one_request() -> None:
    requests: list[int] = []
    door = asyncio.Lock()

    async def listed(wanted: Callable[[], Sequence[str]]) -> dict[str, VendorJob]:
        async with door:  # its turn
            ids = wanted()
            requests.append(len(ids))
            return {one: VendorJob(one, Status.GOES_ON, 0.0, "", None, {}) for one in ids}

    looks = Looks(listed, leisure)
    await door.acquire()
    ids = [str(uuid.uuid4()) for _ in range(MOST + 20)]
    asking = [asyncio.create_task(looks.at(one)) for one in ids]
    await turns()
    asking[0].cancel()
    door.release()
    found = await asyncio.gather(*asking[1:])
    assert [one.id for one in found if one] == ids[1:]
    assert len(requests) == 2


async def test_looks_that_are_refused_before_they_are_sent_all_hear_of_it() -> None:
    refusals = 0

    async def listed(wanted: Callable[[], Sequence[str]]) -> dict[str, VendorJob]:
        nonlocal refusals
        refusals += 1
        if refusals > 2:
            raise AssertionError("asked again and again")
        raise Unavailable("VENDOR_UNREACHABLE", "The breaker is open.")

    looks = Looks(listed, leisure)
    heard = await asyncio.gather(looks.at("a"), looks.at("b"), return_exceptions=True)
    assert [type(one) for one in heard] == [Unavailable, Unavailable]


class FarObjects(Objects):
    """Objects at a vendor that is down."""

    is_down = True

    async def fetch(self, key: str, sha256: str, into: BinaryIO, limit_bytes: int) -> None:
        if self.is_down:
            facts = {semconv.VENDOR: "supabase"}
            raise Unavailable("VENDOR_UNREACHABLE", "No connection to Supabase could be made.", facts)
        await super().fetch(key, sha256, into, limit_bytes)


async def test_a_parse_waits_for_the_vendor_that_keeps_the_file_and_takes_no_place_meanwhile(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        far = FarObjects(near.storage)
        with identity.acting_as(who):
            job = await created(store, near, who, b"# far away")
            runner = runner_of(store, near, RemoteEngine(), objects=far)
            await runner.begin(await claimed(store, who, job.job_id)).task
            waiting = await store.get(who.tenant, job.job_id)
            assert waiting.look_at is not None
            assert (waiting.state.final, waiting.leased, waiting.entry_id) == (False, False, "")
            far.is_down = False
            ended = await brought_to_end(runner, store, who, job.job_id)
    assert ended.state is JobState.SUCCEEDED


class Restless(RemoteEngine):
    """A vendor that is down until it is back."""

    is_down = True
    returns = 0

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        if self.is_down:
            facts = {semconv.VENDOR: self.capabilities.vendor}
            raise Unavailable("VENDOR_UNREACHABLE", "No connection could be made.", facts)
        return await super().begin(source, order, artifact)


async def test_what_a_vendor_has_put_off_is_taken_up_when_it_is_back(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Restless()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# far away")
            runner = runner_of(store, near, engine, returns=lambda: engine.returns)
            await runner.begin(await claimed(store, who, job.job_id)).task
            waiting = await store.get(who.tenant, job.job_id)
            assert (waiting.state.final, waiting.leased, waiting.in_vain) == (False, False, 1)
            assert (waiting.failed_vendor, waiting.reason) == ("llamaparse", "VENDOR_UNREACHABLE")
            await put_off(database, job.job_id)
            async with runner.running(1):
                engine.is_down, engine.returns = False, 1

                async def begun() -> bool:
                    return bool((await store.get(who.tenant, job.job_id)).parse_id)

                await until(begun)
            ended = await brought_to_end(runner, store, who, job.job_id)
    assert (ended.state, ended.failed_vendor, ended.reason) == (JobState.SUCCEEDED, "", "")


async def test_a_document_that_a_vendor_refuses_though_it_serves_is_not_waited_for_without_end(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Restless()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# refused")
            runner = runner_of(store, near, engine)
            await put_off(database, job.job_id, MOST_IN_VAIN)
            await runner.begin(await claimed(store, who, job.job_id)).task
            ended = await store.get(who.tenant, job.job_id)
    assert (ended.state, ended.reason) == (JobState.FAILED, "VENDOR_KEEPS_REFUSING")
    assert "waybill retry" in ended.message
    assert "No connection could be made." in ended.message


async def test_tries_count_no_more_once_the_vendor_does_not_serve(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine = a_run(), Restless()
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, b"# down")
            runner = runner_of(store, near, engine, lack=lambda: "VENDOR_UNREACHABLE")
            await put_off(database, job.job_id, MOST_IN_VAIN)
            await runner.begin(await claimed(store, who, job.job_id)).task
            waiting = await store.get(who.tenant, job.job_id)
    assert (waiting.state.final, waiting.in_vain) == (False, 0)


async def run_out(engine: RemoteEngine) -> None:
    """Looks at the engine's first parse until that has ended."""
    while (await engine.look("pjb-0")).stage is Stage.RUNNING:
        pass


async def charges_asked(
    database: MigratedPostgres,
    near: Neighbours,
    store: Jobs,
    engine: RemoteEngine,
    job: Job,
    later: datetime.timedelta = datetime.timedelta(0),
) -> None:
    """Asks for the charge of a job, so much later."""
    async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
        # What other tests have left is another engine's.
        due = """
            update waybill_parser.jobs set charge_at = case job_id when %s then now() else 'infinity' end
            where charge_at is not null
        """
        await connection.execute(due, [job.job_id])
    meter = Meter(near.ledger, Recorder().telemetry("parser").tracer, "parser")
    await Charges(store, engine, meter, lambda: utc_now() + later).turn()


class Stingy(Objects):
    """Objects at a vendor that serves, and yet takes no result."""

    refuses = True

    async def put(self, key: str, file: BinaryIO, content_type: str) -> None:
        if self.refuses:
            raise Unavailable("VENDOR_ERROR", "Not this one.", {semconv.VENDOR: "supabase"})
        await super().put(key, file, content_type)


async def test_a_parse_whose_result_the_vendor_refuses_for_an_hour_is_kept_for_the_next_try(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine, content = a_run(), RemoteEngine(), b"# paid\fp"
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        stingy = Stingy(near.storage)
        with identity.acting_as(who):
            job = await created(store, near, who, content)
            runner = runner_of(store, near, engine, objects=stingy)
            await runner.begin(await claimed(store, who, job.job_id)).task
            await run_out(engine)
            await put_off(database, job.job_id, MOST_IN_VAIN)
            failed = await brought_to_end(runner, store, who, job.job_id)
            assert (failed.state, failed.kept) == (JobState.FAILED, True)
            await charges_asked(database, near, store, engine, failed)
            assert await engine.look(failed.parse_id), "its charge is known, and it is not forgotten"
            stingy.refuses = False
            again = await created(store, near, who, content)
            assert (again.job_id, again.state, again.kept) == (job.job_id, JobState.QUEUED, False)
            ended = await brought_to_end(runner, store, who, again.job_id)
            assert (ended.state, ended.page_count) == (JobState.SUCCEEDED, 2)
            assert await near.ends() == [(Entry.STATE_SETTLED, 2)]
        assert len(engine.begun) == 1


async def test_a_kept_parse_that_nobody_takes_up_is_forgotten_and_bought_anew(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who, engine, content = a_run(), RemoteEngine(), b"# left\fp"
    async with neighbours(database, tmp_path) as near, jobs_of(database, "parser/1") as store:
        with identity.acting_as(who):
            job = await created(store, near, who, content)
            runner = runner_of(store, near, engine)
            await runner.begin(await claimed(store, who, job.job_id)).task
            await run_out(engine)
            taken = await claimed(store, who, job.job_id)
            failed = await store.fail(taken, "RESULT_NOT_STORED", "Mend it.", kept=True)
            assert failed.kept
            await charges_asked(database, near, store, engine, failed, GIVEN_UP_AFTER)
            with pytest.raises(NotFound):
                await engine.look("pjb-0")
            assert (await created(store, near, who, content)).job_id != job.job_id
