"""What runs wait for, without the stack: rows of a real database, and kinds that a test holds."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from services.orchestrator.runs.outcomes import Ending, RunWaits
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.stepping import Step
from services.orchestrator.runs.store import MOST_REFUSED, Runs
from services.orchestrator.runs.waiting import WaitPoller
from services.orchestrator.runs.waits import PARSE, SERVICE, VENDOR, Wait, Waits
from services.orchestrator.service_waits import Services, ServiceWaits
from services.orchestrator.vendor_waits import Vendors, VendorWaits
from tests.conftest import MigratedPostgres
from tests.contract.test_vector_index import another_database
from tests.pipeline.test_durable import House, Planned
from tests.waiting import PATIENCE_SECONDS, until
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.backend_service_pb2 import GetBackendResponse
from waybill.runtime.clock import Now
from waybill.runtime.errors import Deadline, ServiceError, Unavailable
from waybill.runtime.places import MIGRATIONS
from waybill.runtime.postgres import Database
from waybill.stack.migrate import migrate
from waybill.vendors.patience import MOST_IN_VAIN

SOON, LATER = datetime.timedelta(seconds=5), datetime.timedelta(minutes=5)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Waiting(Planned):
    """An ingestion of a run that waits for one thing."""

    ref: str = ""
    look_at: datetime.datetime = field(default_factory=now)

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        async def wait(_: Row) -> int:
            raise RunWaits(PARSE, self.ref, self.look_at)

        await step("parse", int, wait)
        return Ending()


@dataclass
class Things:
    """A kind whose things a test answers for, each by its ref; unknown ones are to be looked at later."""

    looks: Mapping[str, Callable[[], Awaitable[datetime.datetime | None]]] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        self.looked.append(wait.ref)
        return await self.looks[wait.ref]() if wait.ref in self.looks else now() + LATER

    async def end(self, wait: Wait, row: Row) -> datetime.datetime | None:
        self.ended.append(wait.ref)
        return None


async def wakes() -> None:
    """It is done."""


async def never() -> None:
    await asyncio.Event().wait()


@dataclass
class Place(House):
    """The same, and what its runs wait for."""

    owner: Database
    admin_url: str

    def waits(self, lease_seconds: float = 15.0) -> Waits:
        return Waits(self.database, self.owner, f"orchestrator/{uuid.uuid4()}", lease_seconds)

    def poller(self, things: Things, clock: Now = now) -> WaitPoller:
        return WaitPoller(self.runs, self.waits(), {PARSE: things}, clock)

    async def waiting(self, ref: str, **columns: object) -> RunRef:
        """A run that waits."""
        run = await self.run(f"{ref}.md", **columns)
        await (await self.begin(self.orchestrator(), run, Waiting({}, ref=ref)))
        return run

    async def state(self, run: RunRef) -> str:
        return str((await self.row(run))["state"])

    async def look_at(self, run: RunRef) -> datetime.datetime | None:
        """When what a run waits for is looked at next; None where there is no row."""
        query = "select look_at from waybill_runs.waits where run_id = %s"
        async with self.database.transaction(self.tenant) as connection:
            row = await (await connection.execute(query, [run.run_id])).fetchone()
        return None if row is None else row["look_at"]

    async def time_passes(self, run: RunRef) -> None:
        """The lease on what a run waits for runs out."""
        past = "update waybill_runs.waits set leased_until = now() - interval '1 second' where run_id = %s"
        async with self.database.transaction(self.tenant) as connection:
            await connection.execute(past, [run.run_id])


@pytest.fixture
async def place(database: MigratedPostgres) -> AsyncIterator[Place]:
    async with (
        Database.opened(database.url("orchestrator")) as opened,
        Database.opened(database.owner_url("orchestrator")) as owner,
    ):
        async with owner.transaction(None) as connection:
            await connection.execute("delete from waybill_runs.waits")
        tenant = f"t{uuid.uuid4().hex[:12]}"
        yield Place(opened, Runs(opened, "test", 1000), StepLog(opened), tenant, owner, database.admin_url)


async def test_a_run_that_waits_is_woken_once_by_one_of_two_orchestrators(place: Place) -> None:
    run, things = await place.waiting("p"), Things({"p": wakes})
    assert await place.state(run) == "WAITING_ON_VENDOR"
    pollers = [place.poller(things), place.poller(things)]
    await asyncio.gather(*(poller.poll() for poller in pollers))

    async def woken() -> bool:
        return await place.state(run) == "QUEUED"

    await until(woken)
    await asyncio.gather(*(poller.poll() for poller in pollers))
    row = await place.row(run)
    assert (things.looked, row["wakes"], row["starts"]) == (["p"], 1, 0)


async def test_what_a_dead_orchestrator_looked_at_is_looked_at_by_another_once_its_lease_ran_out(
    place: Place,
) -> None:
    run = await place.waiting("p")
    assert len(await place.waits().claim_due(now(), 9, ())) == 1
    other = place.waits()
    assert await other.claim_due(now(), 9, ()) == []
    await place.time_passes(run)
    assert [wait.ref for wait, _ in await other.claim_due(now(), 9, ())] == ["p"]


async def test_what_a_drained_orchestrator_looked_at_is_another_ones_at_once(place: Place) -> None:
    await place.waiting("p")
    things = Things({"p": never})
    async with place.poller(things).running():
        await until(lambda: things.looked == ["p"])
        assert await place.waits().claim_due(now(), 9, ()) == []
    assert len(await place.waits().claim_due(now(), 9, ())) == 1


async def test_a_look_that_takes_long_keeps_its_lease_and_one_that_is_lost_changes_nothing(
    place: Place,
) -> None:
    run = await place.waiting("p")
    mine, other = place.waits(), place.waits()
    ((wait, _),) = await mine.claim_due(now(), 9, ())
    await place.time_passes(run)
    await mine.claim_due(now(), 9, [wait.wait_id])
    assert await other.claim_due(now(), 9, ()) == []
    await place.time_passes(run)
    assert len(await other.claim_due(now(), 9, ())) == 1
    before = await place.look_at(run)
    await mine.let_go(wait, now() + LATER)
    await mine.let_go(wait, None)
    assert await place.look_at(run) == before


async def test_a_look_that_fails_or_hangs_stops_no_other_and_is_repeated_later(place: Place) -> None:
    async def away() -> None:
        raise Unavailable("PARSER_AWAY", "Start it.")

    async def odd() -> None:
        raise ValueError("odd")

    refs = {"hangs": never, "is away": away, "is odd": odd, "done": wakes}
    runs = {ref: await place.waiting(ref) for ref in refs}
    things, began = Things(refs), now()

    async def done() -> bool:
        looks = [await place.look_at(runs[ref]) for ref in ("is away", "is odd")]
        return all(look and look >= began + SOON for look in looks) and (
            await place.state(runs["done"]) == "QUEUED"
        )

    with capture_logs() as logs:
        async with place.poller(things, lambda: began).running():
            await until(done)
    assert sorted(things.looked) == sorted(refs), "one that failed is not looked at again at once"
    assert [log["message"] for log in logs if log.get("ref") == "is away"] == ["Start it."]
    assert await place.state(runs["hangs"]) == "WAITING_ON_VENDOR"


async def test_more_than_are_looked_at_at_a_time_are_all_looked_at_without_a_pause(place: Place) -> None:
    runs = [await place.waiting(f"p{number}") for number in range(40)]
    things = Things()
    async with place.poller(things).running(), asyncio.timeout(PATIENCE_SECONDS):
        await until(lambda: len(things.looked) == len(runs))


async def test_a_tenant_with_many_runs_that_wait_stands_before_no_other(place: Place) -> None:
    for number in range(6):
        await place.waiting(f"p{number}")
    await replace(place, tenant=f"t{uuid.uuid4().hex[:12]}").waiting("another's")
    due = await place.waits().claim_due(now(), 2, ())
    assert sorted(wait.ref for wait, _ in due) == ["another's", "p0"]


async def test_a_run_with_a_complete_by_is_looked_at_then_at_the_latest_and_woken_to_expire(
    place: Place,
) -> None:
    complete_by = now() + LATER
    run, things = await place.waiting("p", complete_by=complete_by), Things()

    async def is_looked_at_then() -> bool:
        return await place.look_at(run) == complete_by

    async def woken() -> bool:
        return await place.state(run) == "QUEUED"

    async with place.poller(things).running():
        await until(is_looked_at_then)
    async with place.poller(things, lambda: complete_by).running():
        await until(woken)
    assert things.looked == ["p"]
    query = "update waybill_runs.runs set complete_by = now() where run_id = %s"
    async with place.database.transaction(place.tenant) as connection:
        await connection.execute(query, [run.run_id])
    ingestion = Planned({"parse": partial(asyncio.sleep, 0, 1)})  # type: ignore[dict-item]
    await (await place.begin(place.orchestrator(), run, ingestion))
    assert (await place.state(run), ingestion.stopped) == ("EXPIRED", [run])


async def test_what_a_cancelled_run_waited_for_is_ended_and_forgotten(place: Place) -> None:
    run, things = await place.waiting("p"), Things()
    await place.orchestrator().cancel(run, Planned({}))
    async with place.poller(things).running():

        async def forgotten() -> bool:
            return await place.look_at(run) is None

        await until(forgotten)
    assert (things.looked, things.ended) == ([], ["p"])


async def test_a_run_that_is_retried_while_its_wait_is_ended_and_waits_again_is_woken(place: Place) -> None:
    run, waits = await place.waiting("p"), place.waits()
    await place.orchestrator().cancel(run, Planned({}))
    ((wait, _),) = await waits.claim_due(now(), 9, ())
    await place.runs.retry(run, None)
    await (await place.begin(place.orchestrator(), run, Waiting({}, ref="p")))
    await waits.let_go(wait, None)
    assert await place.state(run) == "WAITING_ON_VENDOR"
    assert await place.look_at(run) is not None


async def test_what_a_run_waits_for_is_left_alone_while_a_step_is_at_it(place: Place) -> None:
    run, things = await place.waiting("p"), Things()
    await place.runs.wake(run)
    await place.poller(things).poll()
    assert await place.state(run) == "QUEUED"
    assert (things.looked, things.ended) == ([], [])


OLD_RUN = """
insert into waybill_runs.runs (run_id, tenant, correlation_id, collection, document_key, filename,
    source_sha256, size_bytes, source_key, state, step, created_at)
values (gen_random_uuid(), 'old', '', 'default', 'a', 'a', '', 0, '', 'WAITING_ON_VENDOR', 'batch', now())
returning run_id
"""
OLD_JOB = """
insert into waybill_runs.batch_jobs (job_key, tenant, run_id, number, state, created_at, look_at)
values (gen_random_uuid(), 'old', %s, %s, %s, now(), '2026-01-01')
"""


async def test_runs_that_waited_under_the_release_before_have_their_rows(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    """One waits for its second batch, the first one's files being left; and one has lost its batch."""
    this = "20261127000011_waits.sql"
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < this:
            shutil.copy(path, tmp_path)
    with another_database(database) as old:
        migrate(old.admin_url, {}, tmp_path)
        with psycopg.connect(old.admin_url, autocommit=True) as connection:
            runs = [row[0] for _ in range(2) for row in connection.execute(OLD_RUN)]
            for number, state in enumerate(("CLOSED", "COLLECTED", "SENT")):
                connection.execute(OLD_JOB, [runs[0], number, state])
            assert this in migrate(old.admin_url, {})
            found = connection.execute("select run_id, left_behind, ref <> '' from waybill_runs.waits")
            rows = found.fetchall()
    assert sorted(rows) == sorted([(runs[0], True, True), (runs[0], False, True), (runs[1], False, False)])


@dataclass
class Refused(Planned):
    """An ingestion whose one step meets a vendor that refuses it."""

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        async def wait(_: Row) -> int:
            raise RunWaits(VENDOR, "storage", now(), reason="VENDOR_ERROR", message="It said no.")

        await step("parse", int, wait)
        return Ending()


async def met(place: Place, run: RunRef, in_vain: int) -> None:
    """A run that has met its vendor refusing so often begins again."""
    query = "update waybill_runs.waits set in_vain = %s where run_id = %s"
    async with place.owner.transaction(None) as connection:
        await connection.execute(query, [in_vain, run.run_id])
    await place.runs.wake(run)
    await (await place.begin(place.orchestrator(), run, Refused({})))


async def test_a_vendor_that_serves_and_refuses_is_not_waited_for_without_end(place: Place) -> None:
    run = await place.run("p.md")
    await (await place.begin(place.orchestrator(), run, Refused({})))
    assert await place.state(run) == "WAITING_ON_VENDOR"
    await met(place, run, MOST_IN_VAIN - 1)
    assert await place.state(run) == "WAITING_ON_VENDOR"
    await met(place, run, MOST_IN_VAIN)
    row = await place.row(run)
    assert (row["state"], row["reason"]) == ("FAILED", "VENDOR_KEEPS_REFUSING")
    assert "It said no." in row["message"]
    assert "waybill retry" in row["message"]


class Peer:
    """A service whose vendor serves or not, and whose mode is this."""

    def __init__(self) -> None:
        self.serves, self.mode = False, Mode.MODE_REAL

    async def Check(self, request: object, timeout: float) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        answers = health_pb2.HealthCheckResponse
        return answers(status=answers.SERVING if self.serves else answers.NOT_SERVING)

    async def GetBackend(self, request: object, timeout: float) -> GetBackendResponse:  # noqa: N802 - gRPC's name
        return GetBackendResponse(choice=BackendChoice(mode=self.mode))

    async def of(self, service: str) -> Mode:
        return self.mode


async def test_what_waits_for_a_vendor_is_due_when_that_is_back_or_the_mode_changes(place: Place) -> None:
    """Whoever waits, and however long it was to be until the next look."""
    run, waits, peer = await place.run("p.md"), place.waits(), Peer()
    await (await place.begin(place.orchestrator(), run, Refused({})))
    peers: Any = SimpleNamespace(healths={"storage": peer}, backends={"storage": peer})
    modes: Any = peer
    vendors = Vendors(peers, modes, waits, now)

    async def put_off(in_vain: int = 0) -> None:
        query = "update waybill_runs.waits set look_at = %s, in_vain = %s where run_id = %s"
        async with place.owner.transaction(None) as connection:
            await connection.execute(query, [now() + LATER, in_vain, run.run_id])

    async def is_due() -> bool:
        look_at = await place.look_at(run)
        assert look_at is not None
        return look_at <= now()

    await put_off(7)
    ((wait, row),) = await waits.claim_due(now() + 2 * LATER, 9, ())
    assert wait.in_vain == 7
    look_at = await VendorWaits(vendors, waits, now).look(wait, row)
    assert look_at is not None
    await waits.let_go(wait, now() + LATER)
    await vendors.look()
    assert not await is_due(), "it does not serve"
    peer.mode = Mode.MODE_HYBRID
    await vendors.look()
    assert await is_due(), "the mode is another"
    assert await VendorWaits(vendors, waits, now).look(wait, row) is not None, "storage has no stand-in"
    await put_off()
    peer.serves = True
    await vendors.look()
    assert await is_due(), "the vendor is back"
    assert await VendorWaits(vendors, waits, now).look(wait, row) is None


@dataclass
class Misses(Planned):
    """An ingestion whose one step fails so, as long as there is an error."""

    error: ServiceError | None = None

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        async def body(_: Row) -> int:
            if self.error:
                raise self.error
            return 1

        await step("parse", int, body)
        return Ending()


SILENT = Deadline("DEADLINE_EXCEEDED", "Deadline Exceeded")
RESTARTING = Unavailable("UNAVAILABLE", "Socket closed")
# As that of gRPC for a service that is not there.
NOBODY = grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata())


class Service:
    """One that answers or not, and says how often it was asked."""

    def __init__(self, *, there: bool = False) -> None:
        self.there, self.asked = there, 0

    async def Check(self, request: object, timeout: float) -> None:  # noqa: N802 - gRPC's name
        self.asked += 1
        if not self.there:
            raise NOBODY


@pytest.mark.parametrize("error", [SILENT, RESTARTING], ids=lambda error: error.reason)
async def test_a_run_outlives_a_service_of_ours_however_long_it_is_away(
    place: Place, error: ServiceError
) -> None:
    run, ingestion, storage, ledger = (
        await place.run("p.md"), Misses({}, error=error), Service(), Service(there=True),
    )  # fmt: skip
    await (await place.begin(place.missing("storage"), run, ingestion))
    row = await place.row(run)
    assert (row["state"], row["reason"]) == ("WAITING_ON_VENDOR", "SERVICE_AWAY")
    assert "storage" in row["message"]
    waits, time = place.waits(), 0.0
    kind = ServiceWaits(Services({"storage": storage, "ledger": ledger}, lambda: time), waits, now)
    ((wait, found),) = await waits.claim_due(now() + LATER, 9, ())
    assert await kind.look(wait, found) is not None
    assert await kind.look(wait, found) is not None
    assert (storage.asked, ledger.asked) == (1, 1), "a thousand that wait ask no more"
    await waits.let_go(wait, now())
    storage.there, time = True, 3600.0
    async with WaitPoller(place.runs, waits, {SERVICE: kind}, now).running():

        async def woken() -> bool:
            return await place.state(run) == "QUEUED"

        await until(woken)
    ingestion.error = None
    await (await place.begin(place.missing(), run, ingestion))
    row = await place.row(run)
    assert (row["state"], row["reason"], row["message"], row["starts"]) == ("READY", "", "", 1)


async def test_a_run_waits_for_none_but_the_services_that_its_step_missed(place: Place) -> None:
    run, parser = await place.run("p.md"), Service()
    await (await place.begin(place.missing("embedder", "parser"), run, Misses({}, error=SILENT)))
    row = await place.row(run)
    assert row["message"].startswith("No answer from parser.")
    waits, time = place.waits(), 0.0
    kind = ServiceWaits(Services({"embedder": Service(), "parser": parser}, lambda: time), waits, now)
    ((wait, found),) = await waits.claim_due(now() + LATER, 9, ())
    assert await kind.look(wait, found) is not None
    parser.there, time = True, 3600.0
    assert await kind.look(wait, found) is None, "a parse needs no embedder"


async def test_a_service_that_answers_and_refuses_is_not_waited_for_without_end(place: Place) -> None:
    run, ingestion = await place.run("p.md"), Misses({}, error=Unavailable("DISK_UNUSABLE", "Make room."))
    for _ in range(MOST_REFUSED):
        await (await place.begin(place.missing(), run, ingestion))
        row = await place.row(run)
        assert (row["state"], row["reason"]) == ("WAITING_ON_VENDOR", "DISK_UNUSABLE")
        await place.runs.wake(run)
    await (await place.begin(place.missing(), run, ingestion))
    row = await place.row(run)
    assert (row["state"], row["reason"], row["message"]) == ("FAILED", "DISK_UNUSABLE", "Make room.")


async def test_a_call_that_is_too_slow_while_all_services_answer_fails_its_run(place: Place) -> None:
    run = await place.run("p.md")
    await (await place.begin(place.missing(), run, Misses({}, error=SILENT)))
    row = await place.row(run)
    assert (row["state"], row["reason"]) == ("FAILED", "DEADLINE_EXCEEDED")


async def test_a_run_that_waits_for_a_service_is_cancelled_and_one_that_is_late_is_woken_to_expire(
    place: Place,
) -> None:
    run, complete_by = await place.run("p.md"), now() + LATER
    await (await place.begin(place.missing("ledger"), run, Misses({}, error=SILENT)))
    await place.orchestrator().cancel(run, Planned({}))
    assert await place.state(run) == "CANCELLED"
    late = await place.run("q.md", complete_by=complete_by)
    await (await place.begin(place.missing("ledger"), late, Misses({}, error=SILENT)))
    waits = place.waits()
    kind = ServiceWaits(Services({"ledger": Service()}), waits, lambda: complete_by + SOON)
    async with WaitPoller(place.runs, waits, {SERVICE: kind}, lambda: complete_by + SOON).running():

        async def woken() -> bool:
            return await place.state(late) == "QUEUED"

        await until(woken)
