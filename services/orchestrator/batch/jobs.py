"""The vendor's batch jobs of runs, as rows: nothing of them is in memory while they go on."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from psycopg.types.json import Jsonb

from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import BATCH, put
from waybill.embedder.v1.batch_job_pb2 import BatchJobName
from waybill.runtime.errors import Unavailable
from waybill.runtime.postgres import Database
from waybill.runtime.wire import timestamp

# A job is the business of its run's step while it is in one of these, and the run has not ended.
OF_THE_RUN = ("SENDING", "SENT", "CANCELLING")
# The outcome of one that a budget stopped.
BLOCKED = "blocked"
# How far the vendor's clock and ours may differ.
CLOCKS_APART = datetime.timedelta(minutes=10)

ADD = """
insert into waybill_runs.batch_jobs (job_key, tenant, run_id, number, created_at)
values (%(job_key)s, %(tenant)s, %(run_id)s, %(number)s, %(now)s)
returning *
"""

OF_RUN = "select * from waybill_runs.batch_jobs where run_id = %s order by number"

# Only from where it was read: the step of its run and the poller may both be at it.
CHANGE = """
update waybill_runs.batch_jobs set state = coalesce(%(state)s, state),
    vendor_id = coalesce(%(vendor_id)s, vendor_id), outcome = coalesce(%(outcome)s, outcome)
where job_key = %(job_key)s and state = %(before)s
returning *
"""


@dataclass(frozen=True)
class Job:
    """A row; see its columns."""

    key: str
    run: RunRef
    number: int
    state: str
    vendor_id: str
    outcome: dict[str, Any]
    created_at: datetime.datetime

    @classmethod
    def of(cls, row: Row) -> Job:
        """From the row."""
        return cls(
            key=str(row["job_key"]),
            run=RunRef(row["tenant"], str(row["run_id"])),
            number=row["number"],
            state=row["state"],
            vendor_id=row["vendor_id"],
            outcome=row["outcome"] or {},
            created_at=row["created_at"],
        )

    def name(self, *, again: bool = True) -> BatchJobName:
        """As the embedder knows it.

        Args:
            again: Whether the vendor may have it already.
        """
        since: Timestamp | None = timestamp(self.created_at - CLOCKS_APART) if again else None
        return BatchJobName(job_key=self.key, vendor_id=self.vendor_id, since=since)

    @property
    def vectors(self) -> int:
        """Vectors that it brought."""
        return int(self.outcome.get("vectors", 0))

    @property
    def useless(self) -> bool:
        """The vendor took nothing of it, so another will hardly be taken."""
        return self.outcome.get("status") in ("refused", "failed", "left")

    @property
    def blocked(self) -> bool:
        """A budget did not allow it, so nothing was sent: another one is made once there is room."""
        return self.outcome.get("status") == BLOCKED


class BatchJobs:
    """The jobs of every tenant's runs.

    Args:
        database: One tenant at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_run(self, run: RunRef) -> list[Job]:
        """The jobs of a run, oldest first."""
        rows = await self._database.rows(run.tenant, OF_RUN, [run.run_id])
        return [Job.of(row) for row in rows]

    async def find(self, run: RunRef, key: str) -> Job | None:
        """A job by its key, if there is one."""
        return next((job for job in await self.of_run(run) if job.key == key), None)

    async def add(self, run: RunRef, number: int, now: datetime.datetime) -> Job:
        """Writes a job down before the vendor hears of it."""
        values = {
            "job_key": uuid.uuid4(),
            "tenant": run.tenant,
            "run_id": run.run_id,
            "number": number,
            "now": now,
        }
        async with self._database.transaction(run.tenant) as connection:
            row = await (await connection.execute(ADD, values)).fetchone()
            await put(connection, run, BATCH, str(values["job_key"]), now=now, look_at=now)
        assert row is not None
        return Job.of(row)

    async def change(
        self,
        job: Job,
        *,
        state: str | None = None,
        vendor_id: str | None = None,
        outcome: dict[str, Any] | None = None,
        end_at: datetime.datetime | None = None,
    ) -> Job:
        """Changes a job from what it was.

        Args:
            job: As it was read.
            state: New, as the others; what is None stays.
            vendor_id: The vendor's name of it.
            outcome: How it came out.
            end_at: Its run goes on without it, and the poller ends it, from then on.

        Raises:
            Unavailable: BATCH_JOB_CHANGED, somebody else did meanwhile: read it again.
        """
        values = {
            "job_key": job.key,
            "before": job.state,
            "state": state,
            "vendor_id": vendor_id,
            "outcome": None if outcome is None else Jsonb(outcome),
        }
        async with self._database.transaction(job.run.tenant) as connection:
            row = await (await connection.execute(CHANGE, values)).fetchone()
            if row is None:
                raise Unavailable("BATCH_JOB_CHANGED", "The batch job was changed meanwhile. Repeat.")
            if end_at is not None:
                now = job.created_at
                await put(connection, job.run, BATCH, job.key, now=now, look_at=end_at, left_behind=True)
        return Job.of(row)
