"""What makes a run durable, without the stack: rows of a real database, and stories that a test holds."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from services.orchestrator.runs.changes import Begun
from services.orchestrator.runs.durable import STOP_SECONDS, Durable
from services.orchestrator.runs.outcomes import Ending, Noted
from services.orchestrator.runs.parts import part
from services.orchestrator.runs.queueing import workflow_id
from services.orchestrator.runs.rows import NewRun, Row, RunRef, new_run_id
from services.orchestrator.runs.side_by_side import side_by_side
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.stepping import Step
from services.orchestrator.runs.store import Runs
from services.orchestrator.steps.answers import Parsed
from services.orchestrator.steps.parsing import Parsing
from tests import waiting
from tests.conftest import MigratedPostgres
from tests.inprocess import AsSet
from tests.waiting import until
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest, CreateParseJobResponse
from waybill.runtime import deadline
from waybill.runtime.errors import InvalidRequest, Unavailable
from waybill.runtime.postgres import Database

Body = Callable[[Row], Awaitable[int | Noted[int]]]


async def nothing(_: str) -> None:
    """Nobody waits in the engine's queue."""


async def nobody() -> Sequence[str]:
    """All services answer."""
    return ()


async def done(_: Row) -> int:
    return 1


@dataclass
class Held:
    """A body that stands still until it is let go; notes when it began, and when it would buy."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    bought: int = 0

    async def __call__(self, _: Row) -> int:
        self.began.set()
        await self.let_go.wait()
        self.bought += 1
        return 1


@dataclass
class Planned:
    """An ingestion of steps that run side by side."""

    bodies: Mapping[str, Body]
    stopped: list[RunRef] = field(default_factory=list)

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        await side_by_side((partial(step, name, int, body) for name, body in self.bodies.items()), 9)
        return Ending()

    async def stop(self, run: RunRef) -> None:
        """Notes what goes on elsewhere no more."""
        self.stopped.append(run)


@dataclass
class Unstoppable(Planned):
    """Its work elsewhere is with a vendor that does not answer; notes how long it may be asked."""

    seconds: float | None = None

    async def stop(self, run: RunRef) -> None:
        self.seconds = deadline.remaining_seconds()
        raise Unavailable("CANCEL_UNFINISHED", "The vendor does not answer.")


@dataclass
class InTurn(Planned):
    """The same, one behind the other."""

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        for name, body in self.bodies.items():
            await step(name, int, body)
        return Ending()


@dataclass
class Parser:
    """Its first job is cancelled under way, and the next one is done."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    created: int = 0

    async def CreateParseJob(self, _: CreateParseJobRequest) -> CreateParseJobResponse:  # noqa: N802
        self.created += 1
        state = ParseJob.STATE_CANCELLED if self.created == 1 else ParseJob.STATE_SUCCEEDED
        self.began.set()
        await self.let_go.wait()
        return CreateParseJobResponse(job=ParseJob(state=state, result_key="pages", page_count=1))


@dataclass
class Parses(Planned):
    """An ingestion of the real parse step alone."""

    bodies: Mapping[str, Body] = field(default_factory=dict)
    parsing: Parsing | None = None

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        assert self.parsing is not None
        await step("parse", Parsed, self.parsing.parse)
        return Ending()


@dataclass
class House:
    """One database, and as many orchestrators on it as a test makes."""

    database: Database
    runs: Runs
    steps: StepLog
    tenant: str

    def orchestrator(
        self, unqueue: Callable[[str], Awaitable[None]] = nothing, log: type[StepLog] = StepLog
    ) -> Durable:
        return Durable(self.runs, log(self.database), unqueue, nobody)

    def missing(self, *away: str) -> Durable:
        """One that finds these services away, and has no patience."""

        async def found() -> Sequence[str]:
            return away

        return Durable(self.runs, self.steps, nothing, found, patience_seconds=0.001)

    async def run(self, key: str = "a.md", **columns: object) -> RunRef:
        now = datetime.datetime.now(datetime.UTC)
        run = NewRun(
            run_id=new_run_id(int(now.timestamp() * 1000), os.urandom(10)),
            tenant=self.tenant,
            correlation_id="test",
            request_id=None,
            caller_traceparent="",
            collection="default",
            document_key=key,
            filename=key,
            source_sha256=uuid.uuid4().hex * 2,
            size_bytes=1,
            source_key="sources/x",
            created_at=now,
            complete_by=None,
            metadata={},
        )
        await self.runs.accept(dataclasses.replace(run, **columns), now, partial(asyncio.sleep, 0, True))  # type: ignore[arg-type]
        return run.ref

    async def row(self, run: RunRef) -> Row:
        """Its row as it stands."""
        return await self.runs.find(run)

    async def settle(self) -> None:
        """Lets whatever can go on by itself go on, also where that takes some trips to the database."""
        for _ in range(12):
            await self.runs.named(self.tenant, [])

    async def begin(self, durable: Durable, run: RunRef, ingestion: Planned) -> asyncio.Task[None]:
        """Executes a run's newest try as the engine does."""
        return asyncio.create_task(durable.execute(run, ingestion, workflow_id(await self.row(run))))

    async def open_steps(self, run: RunRef) -> list[str]:
        rows = await self.steps.of_run(self.tenant, run.run_id)
        return [row["name"] for row in rows if row["ended_at"] is None]


@pytest.fixture
async def house(database: MigratedPostgres) -> AsyncIterator[House]:
    async with Database.opened(database.url("orchestrator")) as opened:
        yield House(opened, Runs(opened, "test", 1000), StepLog(opened), f"t{uuid.uuid4().hex[:12]}")


class Counted(Database):
    """Counts what is begun on it."""

    begun = 0

    def transaction(self, tenant: str | None, *, snapshot: bool = False) -> Any:
        self.begun += 1
        return super().transaction(tenant, snapshot=snapshot)


async def test_a_step_ends_in_the_transaction_in_which_the_next_begins_or_the_run_ends(
    database: MigratedPostgres,
) -> None:
    async with Counted.opened(database.url("orchestrator")) as opened:
        assert isinstance(opened, Counted)
        house = House(opened, Runs(opened, "test", 1000), StepLog(opened), f"t{uuid.uuid4().hex[:12]}")
        run, second = await house.run(), Held()

        async def first(_: Row) -> Noted[int]:
            return Noted(1, {"pages": 7})

        ingestion = InTurn({"parse": first, "chunk": second})
        before = opened.begun
        execution = await house.begin(house.orchestrator(), run, ingestion)
        await second.began.wait()
        seen = opened.begun
        rows = {row["name"]: row["status"] for row in await house.steps.of_run(house.tenant, run.run_id)}
        row = await house.row(run)
        looked = opened.begun - seen
        second.let_go.set()
        await execution
        assert rows["parse"] == "OK"
        assert rows["chunk"] == "UNSET"
        assert (row["state"], row["step"], row["pages"], row["starts"]) == ("RUNNING", "chunk", 7, 1)
        # Reading the row twice (here, and as it is told), and one for each of two begins and the end.
        assert opened.begun - before - looked == 2 + 3
        assert await house.open_steps(run) == []


async def test_the_end_of_a_step_is_kept_where_the_process_drains_before_the_next_begins(
    house: House,
) -> None:
    run, opening, again = await house.run(), asyncio.Event(), 0

    class Slow(StepLog):
        """Does not come to open the second step."""

        async def open(self, ref: RunRef, name: str, *arguments: object) -> object:  # type: ignore[override]
            if name == "chunk":
                opening.set()
                await asyncio.Event().wait()
            return await super().open(ref, name, *arguments)  # type: ignore[arg-type]

    async def once(_: Row) -> int:
        nonlocal again
        again += 1
        return 1

    durable = house.orchestrator(log=Slow)
    execution = await house.begin(durable, run, InTurn({"parse": once, "chunk": done}))
    await opening.wait()
    await durable.drain()
    with pytest.raises(asyncio.CancelledError):
        await execution
    assert (await house.row(run))["starts"] == 0
    await (await house.begin(house.orchestrator(), run, InTurn({"parse": once, "chunk": done})))
    assert ((await house.row(run))["state"], again) == ("READY", 1)


async def parted(held: Held, last: Body) -> int:
    """A body of two parts."""
    async with part("embed 1"):
        await held({})
    async with part("publish"):
        await last({})
    return 1


async def test_parts_of_a_step_stand_in_its_place_and_one_that_lasts_is_shown_before_it_ends(
    house: House,
) -> None:
    run, held = await house.run(), Held()

    async def failing(_: Row) -> int:
        return await refused()

    execution = await house.begin(
        house.orchestrator(), run, Planned({"chunk": lambda _: parted(held, failing)})
    )

    async def shown() -> bool:
        return bool((await house.row(run))["step"] == "embed")

    await until(shown)
    held.let_go.set()
    await execution
    row = await house.row(run)
    assert (row["state"], row["step"], row["reason"]) == ("FAILED", "publish", "TEXT_TOO_LONG")
    steps = await house.steps.of_run(house.tenant, run.run_id)
    told = [(one["name"], one["status"]) for one in steps]
    assert told[-3:] == [("chunk", "OK"), ("embed 1", "OK"), ("publish", "ERROR")]
    assert [one["outcome"] for one in steps[-3:]] == [None] * 3, "a later try would take it for done"
    assert all(one["started_at"] <= one["ended_at"] for one in steps)
    for before, after in itertools.pairwise(steps[-3:]):
        assert after["started_at"] >= before["ended_at"], "one began in the other's place"


async def test_a_part_that_lasts_is_not_open_behind_the_cancel_of_its_run(house: House) -> None:
    run, held, durable = await house.run(), Held(), house.orchestrator()
    execution = await house.begin(durable, run, Planned({"chunk": lambda _: parted(held, done)}))
    await held.began.wait()
    await durable.cancel(run, Planned({}))
    await execution
    assert await house.open_steps(run) == []
    await house.runs.change(run, begun=Begun("embed 1", 1))
    assert await house.open_steps(run) == []


async def refused() -> int:
    raise InvalidRequest("TEXT_TOO_LONG", "It is too long.")


async def test_a_step_that_fails_ends_its_siblings_before_its_run_has_failed(house: House) -> None:
    run, held = await house.run(), Held()

    async def failing(_: Row) -> int:
        await held.began.wait()
        return await refused()

    await (await house.begin(house.orchestrator(), run, Planned({"embed 1": held, "embed 2": failing})))
    row = await house.row(run)
    assert (row["state"], row["reason"]) == ("FAILED", "TEXT_TOO_LONG")
    held.let_go.set()
    await waiting.turns()
    assert held.bought == 0
    assert await house.open_steps(run) == [], "a step that was cut off stands open for ever"


async def test_a_retry_does_not_work_beside_a_try_that_another_process_cancelled(house: House) -> None:
    here, there = house.orchestrator(), house.orchestrator()
    run, first, second = await house.run(), Held(), Held()
    before = await house.begin(here, run, Planned({"embed 1": first}))
    await first.began.wait()
    await there.cancel(run, Planned({}))
    await house.runs.retry(run, None)
    after = await house.begin(here, run, Planned({"embed 1": second}))
    await second.began.wait()
    assert before.done(), "the first try is still at it"
    first.let_go.set()
    second.let_go.set()
    await after
    assert (first.bought, second.bought) == (0, 1)
    assert (await house.row(run))["state"] == "READY"


async def test_what_another_process_cancelled_is_cut_off_at_the_next_look(house: House) -> None:
    here, there = house.orchestrator(), house.orchestrator()
    cancelled, other = await house.run(), await house.run("b.md")
    bodies = Held(), Held()
    executions = [
        await house.begin(here, run, Planned({"embed 1": body}))
        for run, body in zip((cancelled, other), bodies, strict=True)
    ]
    for body in bodies:
        await body.began.wait()
    await there.cancel(cancelled, Planned({}))
    await here.look()
    for body in bodies:
        body.let_go.set()
    await asyncio.gather(*executions)
    assert [body.bought for body in bodies] == [0, 1]
    assert [(await house.row(run))["state"] for run in (cancelled, other)] == ["CANCELLED", "READY"]


async def test_what_another_process_cancelled_is_stopped_again_once_it_is_cut_off(house: House) -> None:
    here, there = house.orchestrator(), house.orchestrator()
    run, body = await house.run(), Held()
    ingestion = Planned({"parse": body})
    execution = await house.begin(here, run, ingestion)
    await body.began.wait()
    await there.cancel(run, Planned({}))
    # What the step here has begun elsewhere since then ends with it.
    await here.look()
    await execution
    assert ingestion.stopped == [run]


async def test_a_late_run_ends_soon_also_where_its_work_elsewhere_cannot_be_stopped(house: House) -> None:
    run, ingestion = (
        await house.run(complete_by=datetime.datetime.now(datetime.UTC)),
        Unstoppable({"parse": done}),
    )
    await (await house.begin(house.orchestrator(), run, ingestion))
    assert (await house.row(run))["state"] == "EXPIRED"
    assert ingestion.seconds is not None
    assert ingestion.seconds <= STOP_SECONDS


@pytest.mark.parametrize(("whose", "jobs", "state"), [("its own", 1, "CANCELLED"), ("another", 2, "READY")])
async def test_a_parse_job_that_was_cancelled_is_made_again_only_for_a_run_that_was_not(
    house: House, whose: str, jobs: int, state: str
) -> None:
    here, there = house.orchestrator(), house.orchestrator()
    run, parser = await house.run(), Parser()
    # Stand-ins have only what is called of them.
    parsing = Parsing(SimpleNamespace(parser=parser), SimpleNamespace(), AsSet())  # type: ignore[arg-type]
    execution = await house.begin(here, run, Parses(parsing=parsing))
    await parser.began.wait()
    if whose == "its own":
        await there.cancel(run, Planned({}))
    parser.let_go.set()
    await execution
    assert parser.created == jobs
    assert (await house.row(run))["state"] == state


async def test_a_try_that_was_left_behind_neither_begins_a_step_nor_ends_the_run(house: House) -> None:
    here, there = house.orchestrator(), house.orchestrator()
    run, first, late = await house.run(), Held(), Held()

    before = await house.begin(here, run, InTurn({"parse": first, "embed 1": late}))
    await first.began.wait()
    await there.cancel(run, Planned({}))
    await house.runs.retry(run, None)
    first.let_go.set()
    await before
    assert not late.began.is_set()
    row = await house.row(run)
    assert (row["state"], row["tries"], row["starts"]) == ("QUEUED", 2, 0)


@pytest.mark.parametrize("turns", range(0, 600, 30))
async def test_nothing_begins_or_buys_once_a_cancel_has_answered(house: House, turns: int) -> None:
    run, durable = await house.run(), house.orchestrator()
    begun: list[str] = []

    async def begin(_: Row) -> int:
        begun.append("step")
        return 1

    execution = await house.begin(durable, run, Planned({f"embed {number}": begin for number in range(5)}))
    # However far the run has come in so many turns of the loop.
    await waiting.turns(turns)
    row = await durable.cancel(run, Planned({}))
    count = len(begun)
    await execution
    assert len(begun) == count
    assert row["state"] in ("CANCELLED", "READY")
    assert (await house.row(run))["state"] == row["state"]
    assert await house.open_steps(run) == []


async def test_a_step_that_was_opened_before_a_cancel_does_not_run_behind_it(house: House) -> None:
    run, held = await house.run(), Held()
    opened, go_on = asyncio.Event(), asyncio.Event()

    class Slow(StepLog):
        """Opens a step, and is slow to say so."""

        async def open(self, *arguments: object) -> object:  # type: ignore[override]
            answer = await super().open(*arguments)  # type: ignore[arg-type]
            opened.set()
            await go_on.wait()
            return answer

    durable = house.orchestrator(log=Slow)
    execution = await house.begin(durable, run, Planned({"embed 1": held}))
    await opened.wait()
    await durable.cancel(run, Planned({}))
    go_on.set()
    held.let_go.set()
    await execution
    assert not held.began.is_set()


async def test_restarts_that_drain_do_not_make_a_healthy_run_a_suspect(house: House) -> None:
    run = await house.run()
    for _ in range(4):
        durable, held = house.orchestrator(), Held()
        execution = await house.begin(durable, run, Planned({"parse": held}))
        await held.began.wait()
        await durable.drain()
        with pytest.raises(asyncio.CancelledError):
            await execution
    row = await house.row(run)
    assert (row["starts"], row["alone_starts"], row["ended_at"]) == (0, 0, None)
    await (await house.begin(house.orchestrator(), run, Planned({"parse": done})))
    assert (await house.row(run))["state"] == "READY"


@pytest.mark.parametrize("running", [True, False])
async def test_a_suspect_that_is_drained_is_no_more_suspect_than_before(house: House, running: bool) -> None:
    durable, neighbour, held = house.orchestrator(), Held(), Held()
    suspect = await house.run()
    await house.runs.change(suspect, starts=2)
    executions = []
    if not running:  # it waits for its turn
        executions.append(await house.begin(durable, await house.run("b.md"), Planned({"parse": neighbour})))
        await neighbour.began.wait()
    executions.append(await house.begin(durable, suspect, Planned({"parse": held})))
    if running:
        await held.began.wait()
    else:
        await house.settle()
        assert not held.began.is_set()
    await durable.drain()
    await asyncio.gather(*executions, return_exceptions=True)
    row = await house.row(suspect)
    assert (row["starts"], row["alone_starts"]) == (2, 0)
    await (await house.begin(house.orchestrator(), suspect, Planned({"parse": done})))
    assert (await house.row(suspect))["state"] == "READY"


async def test_a_run_that_comes_while_the_process_drains_is_left_to_the_next(house: House) -> None:
    durable, run, held = house.orchestrator(), await house.run(), Held()
    await durable.drain()
    with pytest.raises(asyncio.CancelledError):
        await (await house.begin(durable, run, Planned({"parse": held})))
    assert (await house.row(run))["state"] == "QUEUED"


async def test_a_suspect_is_alone_and_who_comes_later_waits_no_longer_than_for_it(house: House) -> None:
    durable = house.orchestrator()
    bodies = {name: Held() for name in ("before", "suspect", "after")}
    refs = {name: await house.run(f"{name}.md") for name in bodies}
    await house.runs.change(refs["suspect"], starts=2)
    executions = []
    for name in ("before", "suspect", "after"):
        executions.append(await house.begin(durable, refs[name], Planned({"parse": bodies[name]})))
        if name == "before":
            await bodies["before"].began.wait()
    await house.settle()
    assert not bodies["suspect"].began.is_set()
    bodies["before"].let_go.set()
    await bodies["suspect"].began.wait()
    await house.settle()
    assert not bodies["after"].began.is_set()
    assert [(await house.row(refs[name]))["state"] for name in bodies] == ["READY", "RUNNING", "QUEUED"]
    bodies["suspect"].let_go.set()
    bodies["after"].let_go.set()
    await asyncio.gather(*executions)
    assert [(await house.row(ref))["state"] for ref in refs.values()] == ["READY"] * 3


async def test_a_suspect_that_dies_alone_is_poison(house: House) -> None:
    run, held = await house.run(), Held()
    await house.runs.change(run, starts=3, alone_starts=1)
    await (await house.begin(house.orchestrator(), run, Planned({"parse": held})))
    row = await house.row(run)
    assert (row["state"], row["reason"], held.began.is_set()) == ("FAILED", "POISON", False)


@pytest.mark.parametrize("where", ["in one process", "in two"])
async def test_the_second_run_of_a_documents_content_waits_for_the_first(house: House, where: str) -> None:
    here, first, second, other = house.orchestrator(), Held(), Held(), Held()
    there = here if where == "in one process" else house.orchestrator()
    content = {"source_sha256": "5a" * 32}
    executions = [await house.begin(here, await house.run(**content), Planned({"parse": first}))]
    await first.began.wait()
    executions.append(await house.begin(there, await house.run(**content), Planned({"parse": second})))
    executions.append(await house.begin(there, await house.run(), Planned({"parse": other})))
    await other.began.wait()
    await house.settle()
    assert not second.began.is_set()
    for held in (first, second, other):
        held.let_go.set()
    await asyncio.gather(*executions)
    assert (first.bought, second.bought) == (1, 1)


async def test_two_runs_of_a_content_that_begin_in_two_processes_at_once_are_told_one_after_the_other(
    house: House,
) -> None:
    bodies = Held(), Held()
    executions = [
        await house.begin(
            house.orchestrator(), await house.run(source_sha256="5b" * 32), Planned({"parse": body})
        )
        for body in bodies
    ]
    began = [asyncio.create_task(body.began.wait()) for body in bodies]
    await asyncio.wait(began, return_when=asyncio.FIRST_COMPLETED)
    await house.settle()
    assert [body.began.is_set() for body in bodies].count(True) == 1
    for body in bodies:
        body.let_go.set()
    await asyncio.gather(*executions, *began)


async def test_a_run_that_a_dead_process_was_at_goes_on_before_the_second_of_its_content(
    house: House,
) -> None:
    content = {"source_sha256": "5c" * 32}
    dead, first, second = Held(), Held(), Held()
    run = await house.run(**content)
    killed = await house.begin(house.orchestrator(), run, Planned({"parse": dead}))
    await dead.began.wait()
    durable = house.orchestrator()
    # The queue is quicker than what brings back the run of the dead process.
    waiting = await house.begin(durable, await house.run(**content), Planned({"parse": second}))
    await house.settle()
    going_on = await house.begin(durable, run, Planned({"parse": first}))
    await first.began.wait()
    assert not second.began.is_set()
    for body in (first, second):
        body.let_go.set()
    await asyncio.gather(going_on, waiting)
    assert (first.bought, second.bought) == (1, 1)
    killed.cancel()
    dead.let_go.set()
    await asyncio.wait([killed])
