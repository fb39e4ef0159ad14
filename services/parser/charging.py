"""What engines charged for parses in the end: asked after a job's end, and written to the ledger.

An engine that keeps parses may tell its charge late, or have a parse of which we do not know. Each ended job
that had one is asked for here until the charge is known; then the engine forgets the parse. One that the next
job of the content takes up is not forgotten before GIVEN_UP_AFTER.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from services.parser.backends.port import Parse, Parser, Stage
from services.parser.job import Job
from services.parser.jobs import Jobs
from services.parser.work import on_behalf_of, order_of
from waybill.metering import Meter
from waybill.runtime.clock import Now, utc_now
from waybill.runtime.errors import Conflict, Deadline, NotFound, Quota, ServiceError, Unavailable
from waybill.runtime.loops import repeating

TURN_SECONDS = 2.0
AT_A_TIME = 8
# A charge may be so late. LlamaCloud keeps a document for 48 h, so its parse is forgotten there by then, and
# what was settled stays: nobody can ask any more.
GIVEN_UP_AFTER = datetime.timedelta(hours=48)
NOT_BEGUN = "the engine has no such parse"
CHARGED = "charged by the vendor"
log = structlog.get_logger()


class Charges:
    """Asks for them.

    Args:
        jobs: Where they stand.
        engine: What parsed.
        meter: What writes down the price.
        now: The time.
    """

    def __init__(self, jobs: Jobs, engine: Parser, meter: Meter, now: Now = utc_now) -> None:
        self._jobs = jobs
        self._engine = engine
        self._meter = meter
        self._now = now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Asks until the block is left, if the engine charges late at all."""
        if not self._engine.capabilities.keeps_parses:
            yield
            return
        async with repeating("charges of parses", self.turn, TURN_SECONDS):
            yield

    async def turn(self) -> None:
        """Asks for those that are due."""
        for _ in range(AT_A_TIME):
            await self._engine.leisure()
            # One by one: another process does not take those that would wait here.
            job = await self._jobs.charged_late()
            if job is None:
                return
            await self._ask(job, last=job.ended_at is None or self._now() > job.ended_at + GIVEN_UP_AFTER)

    async def close(self, job: Job) -> None:
        """Asks for one for the last time, and has the engine forget the parse.

        Raises:
            Unavailable, Deadline, Quota: The engine cannot be asked now, and keeps the document: repeat.
        """
        await self._ask(job, last=True, passing=(Unavailable, Deadline, Quota))

    async def _ask(self, job: Job, *, last: bool, passing: tuple[type[ServiceError], ...] = ()) -> None:
        """Asks for one; `last`: whatever the answer, but for errors that pass on, nobody asks again."""
        with on_behalf_of(job):
            try:
                known = await self._closed(job, last)
            except passing:
                raise
            except ServiceError as error:
                log.info("a charge cannot be asked for", parse_id=job.parse_id, reason=error.reason)
                known = last
            if known:
                await self._jobs.charge_known(job)

    async def _closed(self, job: Job, last: bool) -> bool:
        """Whether the engine has said all, and keeps nothing any more."""
        parse = Parse(job.parse_id, Stage.ENDED) if job.parse_id else await self._found(job)
        if parse is None:
            return True
        kept = job.kept and not last
        if parse.stage is Stage.RUNNING and not kept:
            # The job has ended without it.
            await self._engine.cancel(parse.id, order_of(job))
        charge = await self._engine.charge(parse.id)
        if charge is not None:
            entry = await self._meter.adjust(
                job.charge_of, charge.model, charge.unit, charge.quantity, CHARGED, parse.id
            )
            self._meter.record(entry)
        elif last:
            log.warning("the vendor never told a charge", parse_id=parse.id, entry_id=job.charge_of)
            # The engine forgets the parse below. After that, its list cannot tell that a parse never began.
            with suppress(NotFound):
                await self._meter.note_doubt(job.charge_of, "CHARGE_NOT_TOLD", final=True)
        if not kept and (charge is not None or last):
            await self._engine.forget(parse.id, order_of(job))
            return True
        return False

    async def _found(self, job: Job) -> Parse | None:
        """The parse that the engine may have begun; where it surely has not, nothing is owed."""
        parse = await self._engine.find(order_of(job))
        if parse is None:
            try:
                await self._meter.release(job.charge_of, NOT_BEGUN)
            except (NotFound, Conflict) as error:
                log.info("entry had ended", entry_id=job.charge_of, reason=error.reason)
        return parse
