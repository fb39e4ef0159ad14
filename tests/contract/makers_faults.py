"""One document through a parser over a LlamaCloud that is broken in one way."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from services.parser.backends.llamaparse.config import Webhooks
from tests import raw_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.llamaparse_faults import LONG, OURS, Row
from tests.contract.makers_llamacloud import KEY, at, quick
from tests.contract.makers_llamaparse import FINAL, Hurry, doubtful, hurried, llamaparse, operations, owed
from tests.contract.makers_parser import Neighbours, a_run, job_request, neighbours
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CancelParseJobRequest, GetParseJobRequest
from waybill.runtime import identity
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator, simulator
from waybill.stack import ports

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub

# What a job says that lasts as long as it may; after how long, here, that time is over.
LASTING = frozenset({"VENDOR_RESULT_MISSING", "VENDOR_ANSWER_INVALID", "VENDOR_STUCK"})
LASTS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, once the vendor has told all that it tells.

    Attributes:
        answer: The job's reason, or its state where that is not SUCCEEDED.
        failed_pages: Of the result.
        creates: Requests that create a job, on the wire.
        jobs: That the vendor has begun.
        settled, released, doubt, held: Ledger entries by their end.
        owed, uncertain, invoice: Nano-USD, when all is told.
        violations: What no client of the vendor's must do.
    """

    answer: str
    failed_pages: int
    creates: int
    jobs: int
    settled: int
    released: int
    doubt: int
    held: int
    owed: int
    uncertain: int
    invoice: int
    violations: int


@dataclass(frozen=True)
class Stage:
    """A parser over a vendor that can be broken; rows are played on it one after the other."""

    database: MigratedPostgres
    sim: LlamaCloudSimulator
    near: Neighbours
    stub: ParserServiceAsyncStub

    async def played(self, row: Row, *, cancel: bool = False) -> Outcome:
        """Parses a row's document while its fault is armed."""
        sim, content = self.sim, document(row)
        before = Seen.of(sim)
        sim.faults.heal()
        if row.fault:
            sim.faults.add(row.fault)
        sim.controls["/jobs"](queued_seconds=60.0 if cancel else 0.05)
        with identity.acting_as(who := a_run()):
            request = job_request(await self.near.store(content), row.document, content)
            job = (await self.stub.CreateParseJob(request)).job
            if cancel:
                await until(lambda: self._is_there(job.job_id))
                await self.stub.CancelParseJob(CancelParseJobRequest(job_id=job.job_id))
            job = await self._ended(job.job_id, who, row.answer in LASTING)
            await told(self.database, who)
            return _outcome(job, before, Seen.of(sim), await self.near.entries())

    async def _ended(self, job_id: str, who: identity.Caller, lasts: bool) -> ParseJob:
        """The job at its end; of one that would last, the time is over after a while."""
        clock = asyncio.get_running_loop().time
        began = clock()

        async def has_ended() -> bool:
            job = await self._job(job_id)
            if job.state in FINAL:
                return True
            if lasts and clock() - began > LASTS_SECONDS and job.HasField("look_at"):
                await time_is_over(self.database, who)
            await looked_at(self.database, who)
            return False

        await until(has_ended, seconds=180, pause_seconds=0.1)
        return await self._job(job_id)

    async def _is_there(self, job_id: str) -> bool:
        return (await self._job(job_id)).HasField("look_at")

    async def _job(self, job_id: str) -> ParseJob:
        return (await self.stub.GetParseJob(GetParseJobRequest(job_id=job_id))).job


@dataclass(frozen=True, slots=True)
class Seen:
    """What a vendor has had to do so far."""

    creates: int
    jobs: int
    invoice: int
    violations: int

    @classmethod
    def of(cls, sim: LlamaCloudSimulator) -> Seen:
        """All of it."""
        violations = [one for one in sim.journal if one.violation]
        creates = operations(sim).count("parse.create")
        return cls(creates, sim.jobs_created, sim.invoice.total_nano_usd, len(violations))


@asynccontextmanager
async def hurried_stage(database: MigratedPostgres, folder: Path, clock: Hurry) -> AsyncIterator[Stage]:
    """A parser that does not wait."""
    async with (
        simulator(quick()) as sim,
        neighbours(database, folder) as near,
        hurried(database, near, at(sim), clock) as stub,
    ):
        yield Stage(database, sim, near, stub)


@asynccontextmanager
async def stage(database: MigratedPostgres, folder: Path) -> AsyncIterator[Stage]:
    """A parser with two keys and a listener."""
    (port,) = ports.free_ports(1)
    hooks = Webhooks(f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", ("s3cret",))
    async with simulator(quick()) as sim, neighbours(database, folder) as near:
        config = at(sim, KEY, "llx-spare-0123456789abcdefghij", attempt_seconds=5.0, webhooks=hooks)
        async with llamaparse(database, near, config) as stub:
            yield Stage(database, sim, near, stub)


def document(row: Row) -> bytes:
    """Three pages of the row's own; LONG has more than come in one answer."""
    name = f"{row.what} {uuid.uuid4()}"
    numbers = range(1, 202 if row.document == LONG else 4)
    if row.document == OURS:
        return "\f".join(f"<p>Page {number} of {name}.</p>\n" for number in numbers).encode()
    shown = [raw_pdfs.shown(f"Page {number} {name[:20]}", 72, 700) for number in numbers]
    return raw_pdfs.document([raw_pdfs.stream(one) for one in shown]) + f"%{name}\n".encode()


def _outcome(job: ParseJob, before: Seen, after: Seen, entries: Sequence[Entry]) -> Outcome:
    ends = Counter(Entry.State.Name(entry.state).removeprefix("STATE_") for entry in entries)
    state = ParseJob.State.Name(job.state).removeprefix("STATE_")
    return Outcome(
        answer=job.reason or {ParseJob.STATE_SUCCEEDED: ""}.get(job.state, state),
        failed_pages=len(job.reading.failed_pages),
        creates=after.creates - before.creates,
        jobs=after.jobs - before.jobs,
        settled=ends["SETTLED"],
        released=ends["RELEASED"],
        doubt=ends["IN_DOUBT"],
        held=ends["HELD"],
        owed=owed(entries),
        uncertain=doubtful(entries),
        invoice=after.invoice - before.invoice,
        violations=after.violations - before.violations,
    )


async def _update(database: MigratedPostgres, who: identity.Caller, change: str) -> int:
    async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
        statement = f"update waybill_parser.jobs set {change} and tenant = %s"  # noqa: S608 - ours
        return (await connection.execute(statement.encode(), (who.tenant,))).rowcount


async def looked_at(database: MigratedPostgres, who: identity.Caller) -> None:
    """It is time to look."""
    await _update(database, who, "look_at = now() where look_at > now()")


async def time_is_over(database: MigratedPostgres, who: identity.Caller) -> None:
    """The parse has had all the time that it may take, and an outage too."""
    past = "created_at = now() - interval '3 hours', ends_by = now() - interval '2 hours'"
    await _update(database, who, f"{past} where state in ('QUEUED', 'RUNNING')")


async def told(database: MigratedPostgres, who: identity.Caller) -> None:
    """Asks for the charge until it is known; what is not told in many asks is given up."""
    asks = itertools.count(1)

    async def is_known() -> bool:
        if next(asks) == 30:
            await _update(database, who, "ended_at = now() - interval '3 days' where charge_of is not null")
        return not await _update(database, who, "charge_at = now() where charge_of is not null")

    await until(is_known, pause_seconds=0.3)
