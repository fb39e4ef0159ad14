"""Brings here what a parse came to, and stores it: steps 5 to 7 of `attempting`."""

from __future__ import annotations

from functools import partial

from services.parser.backends.port import Parse, Parser, Stage
from services.parser.job import Job
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.pages import Artifact, Reading
from services.parser.refusals import refusal
from services.parser.work import Work, order_of
from waybill.metering import Attempt
from waybill.refusals import refusals_of
from waybill.runtime.clock import Now
from waybill.runtime.errors import Deadline, Precondition, ServiceError, Unavailable
from waybill.vendors.choosing import waited_for
from waybill.vendors.patience import MOST_IN_VAIN

PAGES_TYPE = "application/jsonl"


class GoesOn(Exception):
    """The engine has the parse, or may have it: the job is let go of, and looked at again later."""

    def __init__(self, seconds: float, pages_done: int, error: ServiceError | None = None) -> None:
        super().__init__()
        self.seconds = seconds
        self.pages_done = pages_done
        self.error = error


class LeftThere(Exception):
    """The job ends without its parse, which the engine keeps, or may keep: another job goes on with that."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__()
        self.error = error


class PutOff(Exception):
    """A vendor that the job needs, the engine's or storage's, or storage itself did not serve."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__()
        self.error = error


class Results:
    """The results of one engine's parses; `Runner` describes the arguments."""

    def __init__(self, jobs: Jobs, objects: Objects, engine: Parser, now: Now) -> None:
        self._jobs = jobs
        self._objects = objects
        self._engine = engine
        self._now = now

    async def bring_in(
        self, job: Job, work: Work, parse: Parse, artifact: Artifact, attempt: Attempt
    ) -> Reading:
        """Stores the pages of a parse that has ended.

        Raises:
            GoesOn: It has not.
            PutOff: Storage, or the vendor that keeps its files, is away.
            LeftThere: RESULT_NOT_STORED, it is paid for.
        """
        if parse.stage is Stage.RUNNING:
            if job.ends_by is None or self._now() < job.ends_by:
                attempt.leave()
                raise GoesOn(parse.look_in_seconds, parse.pages_done)
            await self._cancel_stuck(job)
        if parse.id:
            await work.stoppable(partial(self._engine.collect, parse.id, order_of(job), artifact))
        reading = artifact.whole()
        try:
            await self._store(job, work, artifact)
        except (PutOff, ServiceError) as failure:
            error = failure.error if isinstance(failure, PutOff) else failure
            passes = isinstance(failure, PutOff | Unavailable | Deadline)
            if passes and job.in_vain < MOST_IN_VAIN:
                # The engine has the pages still, or parses them again for nothing.
                attempt.leave()
                raise PutOff(error) from error
            attempt.settle(reading.paid_pages)
            unstored = Precondition(
                "RESULT_NOT_STORED",
                f"The document was parsed, and is paid for, but its result was not stored: {error.message} "
                "Mend that, then `waybill retry`: while the vendor keeps the parse, it is not bought again.",
            )
            raise LeftThere(unstored) from error
        attempt.settle(reading.paid_pages)
        return reading

    async def read_here(self, job: Job, work: Work, artifact: Artifact) -> Reading:
        """Stores what was read as it was counted, which costs nothing."""
        if not artifact.has_text:
            raise refusal("DOCUMENT_EMPTY")
        await self._store(job, work, artifact)
        return artifact.whole()

    async def _store(self, job: Job, work: Work, artifact: Artifact) -> None:
        reading = artifact.whole()

        async def store(_: int) -> None:
            try:
                await self._objects.put(job.artifact_key, artifact.file, PAGES_TYPE)
            except ServiceError as error:
                if waited_for(error):
                    raise PutOff(error) from error
                raise
            await self._jobs.result_stored(job, reading)

        await work.patiently(store)

    async def _cancel_stuck(self, job: Job) -> None:
        """Ends a parse at its deadline. Raises Precondition VENDOR_STUCK, unless it ended in that moment."""
        charged = (await self._engine.cancel(job.parse_id, order_of(job))).charged_pages
        if charged == 0:
            with refusals_of(self._engine.capabilities.vendor):
                raise refusal("VENDOR_STUCK")
        if charged is None:
            raise refusal("VENDOR_STUCK")
