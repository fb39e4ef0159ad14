"""One try at a parse job, made so that a kill at any point costs time and never money or a result.

One attempt, in the order that the rows and objects of a dead process can be read back from:

    1  entry id on the job row      so that an attempt is known before it can cost anything
    2  hold
    3  parse begun
    4  parse id on the job row      where the engine keeps parses
    5  parse ended, pages here
    6  artifact stored              the result; from here on the attempt counts as done
    7  pages on the job row         from here on a cancel comes too late
    8  settle
    9  job row SUCCEEDED            only ever after a settle that the ledger has confirmed

A job that is taken over, or tried again, with an entry id on its row was cut off in between. If the
artifact is there, the steps after 6 are left to do; repeating them is harmless. If not, the engine is asked
for the parse, by its id or by the entry's. A parse that it has goes on. If it surely has none, the entry is
released and a new attempt begins.

While a parse goes on at its engine, between 4 and 5, nobody works on the job. Some process takes it again
when it is time to look. The same holds while the engine cannot be asked.

Where there is nothing to buy, as the count has read all, steps 2 to 5 and 8 are left out.

Step 6 does not involve the engine. It is repeated while this process has the pages. If it fails for good, the
attempt is settled all the same, and the job FAILED; its parse is kept at the engine, and the next job of the
content is this one again. While the vendor that keeps the files is away, the job is let go of, and its pages
are taken from the engine again later.

A cancelled job with an entry id on its row was cut off before step 7. Its parse is cancelled, its artifact is
deleted, and its entry ends as the engine charges. Only then is the id taken off the row.

What an engine that keeps parses charged in the end is asked later, for every job that had one: `charging`.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import tempfile
import uuid
from contextlib import suppress
from functools import partial

import structlog

from services.parser.backends import counting
from services.parser.backends.port import HEAD_BYTES, Parse, Source, Stage
from services.parser.engines import Engine
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs, Superseded
from services.parser.objects import Objects
from services.parser.pages import Artifact, Reading, load_reading
from services.parser.refusals import refusal
from services.parser.results import GoesOn, LeftThere, PutOff, Results
from services.parser.work import Work, on_behalf_of, order_of
from waybill.ledger.v1.ledger_service_pb2 import Offer
from waybill.metering import HOLD_TTL_SECONDS, Meter
from waybill.purchases import Purchase
from waybill.refusals import refused_for_nothing
from waybill.runtime import semconv
from waybill.runtime.clock import Now
from waybill.runtime.errors import Conflict, Deadline, NotFound, Precondition, ServiceError, Unavailable
from waybill.vendors.calls import not_waiting
from waybill.vendors.choosing import refused_by_vendor, waited_for
from waybill.vendors.patience import MOST_IN_VAIN, again_after, keeps_refusing

CUT_OFF = "the parse ended before its result was stored"
CANCELLED = "the parse was cancelled"
SILENT = "Storage or the ledger does not answer the parser. The parse goes on by itself once it does."
# A job that a vendor puts off is tried again as soon as that is back, or so much later. A parse of which one
# does not tell, though it serves, is given up so long after its time.
AGAIN_SECONDS = 10.0
OUTAGE_SECONDS = 3600
# Of a hold on a parse that goes on without us; whoever takes the job ends it sooner.
KEPT_HOLD_SECONDS = 86_400
log = structlog.get_logger()


class PlaceNeeded(Exception):
    """The document is not as light as its name had it."""


class Attempts:
    """What is done for one job at a time; `Runner` describes the arguments."""

    def __init__(self, jobs: Jobs, objects: Objects, engine: Engine, meter: Meter, now: Now) -> None:
        self._jobs = jobs
        self._objects = objects
        self._engine = engine.parser
        self._lack = engine.lack
        self._meter = meter
        self._limits = engine.limits
        self._now = now
        self._results = Results(jobs, objects, engine.parser, now)
        self._vendor = engine.parser.capabilities.vendor

    async def advance(self, job: Job, work: Work, *, last: bool) -> Job | None:
        """Brings a claimed job to its end, or clears what is left of a cancelled one.

        Returns:
            The job as it is then; None when another process has it.

        Raises:
            Unavailable, Deadline: A neighbour is away; at the last try the job is put off instead.
        """
        with on_behalf_of(job), not_waiting(True):
            if job.state is not JobState.CANCELLED:
                with suppress(Superseded):
                    try:
                        return await self._work_on(job, work, last=last)
                    except GoesOn as parse:
                        return await self._jobs.set_aside(
                            job, parse.seconds, parse.pages_done, put_off_by=parse.error
                        )
            left = await self._jobs.claim(job.caller.tenant, job.job_id)
            if left is not None and left.state is JobState.CANCELLED:
                try:
                    return await self._clear(left)
                except Unavailable as error:
                    if not refused_by_vendor(error):
                        raise
                    # It is cleared once its vendor is back, and takes no place of other jobs until then.
                    log.info("a cancelled parse cannot be asked for", job_id=str(job.job_id))
                    return None
        log.warning("parse job taken over by another process", job_id=str(job.job_id))
        return None

    async def _clear(self, job: Job) -> Job:
        """Leaves nothing of a cancelled job, here or at the engine."""
        # What was discarded after its end has been paid for; see `Jobs.discard`.
        if job.buys and not job.page_count:
            parse = await self._parse_of(job)
            if parse is not None and parse.stage is Stage.RUNNING:
                parse = await self._engine.cancel(parse.id, order_of(job))
            await self._end(job, 0 if parse is None else parse.charged_pages, CANCELLED)
            if parse is not None and not job.parse_id:
                await self._jobs.attach_parse(job, parse.id, 0.0)
        if job.entry_id:
            await self._objects.delete(job.artifact_key)
        return await self._jobs.cleared(job)

    async def _work_on(self, job: Job, work: Work, *, last: bool) -> Job:
        lacked = self._lack() != ""
        try:
            earlier = await self._earlier_result(job) or await self._earlier_parse(job, work)
            reading = earlier or await self._attempt(job, work)
        except (Unavailable, Deadline) as error:
            if not last and not refused_by_vendor(error):
                raise
            return await self._put_off(job, error, lacked=lacked)
        except ServiceError as error:
            if waited_for(error):
                return await self._put_off(job, error, lacked=lacked)
            return await self._fail(job, error)
        except PutOff as off:
            return await self._put_off(job, off.error, lacked=lacked)
        except LeftThere as left:
            return await self._fail(job, left.error, kept=True)
        except (Superseded, GoesOn):
            raise
        except PlaceNeeded:
            return await self._jobs.queue_again(job)
        except OSError as error:
            raise Unavailable(
                "DISK_UNUSABLE",
                f"The parser cannot write its temporary files ({error.strerror}). Make room on its disk.",
            ) from error
        except Exception:
            # A bug of ours: the job must end, and the log has where.
            log.exception("parse failed", job_id=str(job.job_id))
            return await self._fail(job, refusal("PARSER_CRASHED"))
        return await self._jobs.succeed(job, reading)

    async def _put_off(self, job: Job, error: ServiceError, *, lacked: bool) -> Job:
        """Lets go of a job until its vendor, or our neighbour, serves; where it did each time, not for ever.

        Args:
            job: As it was claimed.
            error: The vendor's or the neighbour's.
            lacked: Whether the engine's vendor did not serve as the try began.
        """
        vendor = refused_by_vendor(error)
        served = not lacked if vendor == self._vendor else await self._objects.vendor_serves()
        in_vain = job.in_vain + 1 if served else 0
        if in_vain > MOST_IN_VAIN:
            return await self._give_up(job, keeps_refusing(vendor, error.message) if vendor else error)
        if not vendor and isinstance(error, Deadline):
            error = Unavailable("SERVICE_AWAY", SILENT)
        seconds = again_after(in_vain) if in_vain else AGAIN_SECONDS
        return await self._jobs.set_aside(job, seconds, job.pages_done, put_off_by=error, in_vain=in_vain)

    async def _give_up(self, job: Job, error: ServiceError) -> Job:
        """Ends a job that is refused for too long; its parse is kept for the next one of the content."""
        if job.buys:
            try:
                await self._end(job, None, error.reason)
            except (Unavailable, Deadline) as away:  # the ledger's
                log.warning("a hold is left to expire", entry_id=job.entry_id, reason=away.reason)
        return await self._fail(job, error, kept=True)

    async def _fail(self, job: Job, error: ServiceError, *, kept: bool = False) -> Job:
        """Ends a job; where it is not known what its attempt did at the engine, that is asked later.

        Args:
            job: As it was claimed.
            error: Why.
            kept: The document is not at fault: a parse that its engine keeps is taken up by the next job.
        """
        blocked_on = error.metadata.get(semconv.BLOCKED_ON, "")
        nothing = bool(blocked_on) or refused_for_nothing(error, self._vendor)
        known = nothing or not self._engine.capabilities.keeps_parses
        return await self._jobs.fail(
            job,
            error.reason,
            error.message,
            in_doubt=not known,
            blocked_on=blocked_on,
            failed_vendor=refused_by_vendor(error),
            kept=kept and self._engine.capabilities.keeps_parses,
        )

    async def _earlier_result(self, job: Job) -> Reading | None:
        """How an attempt that was cut off had read its document, if it had stored that; settles it."""
        last_line = await self._objects.last_line(job.artifact_key) if job.entry_id else None
        if last_line is None:
            return None
        reading = load_reading(last_line)
        await self._jobs.result_stored(job, reading)
        done = not job.buys or await self._end(job, reading.paid_pages, CUT_OFF)
        return reading if done else None

    async def _earlier_parse(self, job: Job, work: Work) -> Reading | None:
        """Brings in the parse of an attempt that was let go of, or cut off.

        One of which the engine surely has nothing is released.
        """
        if not job.buys:
            return None
        if lack := self._lack():
            raise PutOff(self._away(lack))
        try:
            parse = await work.stoppable(partial(self._parse_of, job))
            if parse is None:
                await self._end(job, 0, CUT_OFF)
                return None
            if not job.parse_id:
                job = await self._attach(job, parse)
            return await self._rest_of(job, work, parse)
        except (Unavailable, Deadline) as error:
            given_up = max(job.created_at, job.ends_by or job.created_at) + datetime.timedelta(
                seconds=OUTAGE_SECONDS
            )
            if error.metadata.get(semconv.VENDOR) != self._vendor:
                raise
            if self._now() > given_up:
                # Final here; what it has cost is asked on.
                await self._end(job, None, CUT_OFF)
                raise LeftThere(Precondition(error.reason, error.message)) from error
            log.info("a parse cannot be asked for", parse_id=job.parse_id, reason=error.reason)
            again = max(error.retry_after_seconds or 0.0, AGAIN_SECONDS)
            raise GoesOn(again, job.pages_done, error) from error

    async def _rest_of(self, job: Job, work: Work, parse: Parse) -> Reading:
        """What is left to do of an attempt whose parse the engine has."""
        async with self._meter.resumed(job.entry_id, self._vendor) as attempt:
            try:
                with Artifact.open() as artifact:
                    return await self._results.bring_in(job, work, parse, artifact, attempt)
            except (Unavailable, Deadline, OSError, Superseded, asyncio.CancelledError):
                # Who takes the job next goes on with it.
                attempt.leave()
                raise

    async def _parse_of(self, job: Job) -> Parse | None:
        """What the engine has of an attempt that was cut off; None: surely nothing."""
        if not job.parse_id:
            return await self._engine.find(order_of(job))
        try:
            return await self._engine.look(job.parse_id)
        except NotFound:
            return Parse(job.parse_id, Stage.ENDED)

    async def _attach(self, job: Job, parse: Parse) -> Job:
        """Names what the engine has begun."""
        return await self._jobs.attach_parse(job, parse.id, self._engine.longest_seconds(order_of(job)))

    async def _end(self, job: Job, pages: int | None, reason: str) -> bool:
        """Ends an entry as the engine charges; None: nobody knows. False where it had ended otherwise."""
        try:
            if pages is None:
                entry = await self._meter.doubt(job.entry_id, reason)
            elif pages:
                entry = await self._meter.settle(job.entry_id, pages)
            else:
                entry = await self._meter.release(job.entry_id, reason)
            if self._engine.capabilities.keeps_parses:
                self._meter.record(entry)
        except NotFound:
            return False  # cut off between steps 1 and 2: nothing was held
        except Conflict as conflict:
            # Given up by policy, say: then this parse has not been paid for.
            log.warning("entry had ended", entry_id=job.entry_id, reason=conflict.reason)
            return False
        return True

    async def _attempt(self, job: Job, work: Work) -> Reading:
        if job.poisonous:
            raise refusal("POISON")
        # Neither file has a name, so a kill leaves nothing on disk.
        with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
            source = Source(file, job.filename)
            expected = await work.stoppable(partial(self._count, job, source, artifact))
            if expected and (lack := self._lack()):
                # Nothing is held for a vendor that is not asked. In hybrid mode the job ends here, and ours
                # does it; else it waits.
                raise self._away(lack, Precondition if job.hybrid else Unavailable)
            entry_id = str(uuid.uuid4())
            job = await self._jobs.attach_entry(job, entry_id, expected)
            if not expected:
                return await self._results.read_here(job, work, artifact)
            kept = self._engine.capabilities.keeps_parses
            seconds = KEPT_HOLD_SECONDS if kept else HOLD_TTL_SECONDS
            wanted = self._purchase(job, source, artifact, expected)
            async with self._meter.attempt(wanted, entry_id, seconds) as attempt:
                parse = await work.stoppable(partial(self._engine.begin, source, order_of(job), artifact))
                if parse.id:
                    job = await self._attach(job, parse)
                return await self._results.bring_in(job, work, parse, artifact, attempt)

    def _away(self, lack: str, kind: type[ServiceError] = Unavailable) -> ServiceError:
        message = f"{self._vendor} does not work now ({lack})."
        return kind(lack, message, {semconv.VENDOR: self._vendor})

    async def _count(self, job: Job, source: Source, artifact: Artifact) -> int:
        """Brings the source here and counts the pages that its parse would buy. Raises PlaceNeeded."""
        await self._objects.fetch(job.source_key, job.source_sha256, source.file, self._limits.source_bytes)
        head = os.pread(source.file.fileno(), HEAD_BYTES, 0)
        if job.light and not self._engine.is_light(job.filename, source.file.tell(), head):
            raise PlaceNeeded
        return await self._engine.count_pages(source, artifact)

    def _purchase(self, job: Job, source: Source, artifact: Artifact, pages: int) -> Purchase:
        able = self._engine.capabilities
        # Plain text is read here in every mode, so that no vendor would be paid for it.
        like = "" if counting.is_plain(artifact.reading) else able.would_buy_of
        return Purchase(
            job.spend_key, "parse", able.vendor, self._engine.priced_as(source, job.tier), "page", pages,
            able.cost_kind, job.size_bytes, Offer(vendor=like, model=job.tier) if like else None,
        )  # fmt: skip
