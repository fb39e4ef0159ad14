"""One document through a parser over a LlamaCloud that is broken in one way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.conftest import MigratedPostgres
from tests.contract.makers_llamaparse import (
    FINAL,
    KEY,
    at,
    doubtful,
    llamaparse,
    operations,
    owed,
    quick,
)
from tests.contract.makers_parser import a_run, job_request, neighbours
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import GetParseJobRequest
from waybill.runtime import identity
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator, simulator

# Three pages of text, which the vendor counts as we do.
CONTENT = b"# Tides\n\nThey turn.\n\fAnd turn again.\n\fAnd again.\n"
PAGES = 3
# How long nothing may happen until the time of the parse is over.
PATIENCE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, once the vendor has told all that it tells.

    Attributes:
        answer: SUCCEEDED, or the job's reason.
        failed_pages: Of the result.
        creates: Requests that create a job, on the wire.
        jobs: That the vendor has begun.
        settled, released, doubt: Ledger entries by their end.
        owed, uncertain, invoice: Nano-USD, when all is told.
    """

    answer: str
    failed_pages: int
    creates: int
    jobs: int
    settled: int
    released: int
    doubt: int
    owed: int
    uncertain: int
    invoice: int


async def played(
    database: MigratedPostgres,
    folder: Path,
    fault: str,
    *,
    spare_key: bool = False,
    content: bytes = CONTENT,
    filename: str = "tides.txt",
) -> Outcome:
    """Parses a document of its own content while a fault is armed."""
    keys = [KEY, "llx-spare-0123456789abcdefghij"] if spare_key else [KEY]
    async with (
        simulator(quick()) as sim,
        neighbours(database, folder) as near,
        llamaparse(database, near, at(sim, *keys, attempt_seconds=1.0)) as stub,
    ):
        if fault:
            sim.faults.add(fault)
        with identity.acting_as(who := a_run()):
            request = job_request(await near.store(content), filename, content)
            job = (await stub.CreateParseJob(request)).job
            async with asyncio.timeout(90):
                waited = 0.0
                while job.state not in FINAL:
                    await asyncio.sleep(0.1)
                    waited += 0.1
                    if waited > PATIENCE_SECONDS:
                        waited = 0.0
                        await time_is_over(database, who)
                    await looked_at(database, who)
                    job = (await stub.GetParseJob(GetParseJobRequest(job_id=job.job_id))).job
                await told(database, who, sim)
            return _outcome(job, sim, await near.entries())


def _outcome(job: ParseJob, sim: LlamaCloudSimulator, entries: Sequence[Entry]) -> Outcome:
    ends = Counter(Entry.State.Name(entry.state).removeprefix("STATE_") for entry in entries)
    return Outcome(
        answer=job.reason or ParseJob.State.Name(job.state).removeprefix("STATE_"),
        failed_pages=len(job.reading.failed_pages),
        creates=operations(sim).count("parse.create"),
        jobs=sim.jobs_created,
        settled=ends["SETTLED"],
        released=ends["RELEASED"],
        doubt=ends["HELD"] + ends["IN_DOUBT"],
        owed=owed(entries),
        uncertain=doubtful(entries),
        invoice=sim.invoice.total_nano_usd,
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


async def told(database: MigratedPostgres, who: identity.Caller, sim: LlamaCloudSimulator) -> None:
    """Asks for the charge until it is known, or is given up."""
    for turn in range(60):
        if turn == 30:
            await _update(database, who, "ended_at = now() - interval '3 days' where charge_of is not null")
        if not await _update(database, who, "charge_at = now() where charge_of is not null"):
            return
        await asyncio.sleep(0.3)
