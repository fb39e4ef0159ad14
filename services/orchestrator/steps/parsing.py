"""The parse step: the stored source becomes pages, at the vendor or, in hybrid mode, on this machine."""

from __future__ import annotations

from functools import partial

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from psycopg.types.json import Jsonb

from services.orchestrator import avoiding, degrading
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers, steady
from services.orchestrator.runs.outcomes import Noted, RunWaits
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.waits import PARSE, Waits
from services.orchestrator.steps.answers import Parsed
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    CreateParseJobRequest,
    GetParseJobRequest,
)
from waybill.runtime import semconv
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition, Quota, Unavailable
from waybill.runtime.semconv import LOCAL
from waybill.runtime.wire import moment
from waybill.vendors.choosing import PARSED_LOCALLY, PARSER, vendor_of

JOB_WAIT = Duration(seconds=20)
UNFINISHED = (ParseJob.STATE_QUEUED, ParseJob.STATE_RUNNING)


class Parsing:
    """Has documents parsed. The step may run again: the same content is never parsed twice for a tenant."""

    def __init__(self, peers: Peers, waits: Waits, modes: Modes) -> None:
        self._peers = peers
        self._waits = waits
        self._modes = modes

    async def parse(self, row: Row) -> Noted[Parsed]:
        """Has the stored source parsed; the same content is never parsed twice for a tenant."""
        job, choice, refusal = await self._parsed(row)
        if job.blocked_on:
            raise Quota(job.reason, job.message, {semconv.BLOCKED_ON: job.blocked_on})
        if job.state != ParseJob.STATE_SUCCEEDED:
            raise InvalidRequest(job.reason or "PARSE_FAILED", job.message)
        if job.run_id != str(row["run_id"]):
            await avoiding.found(self._peers, job.run_id, ["parse"])
        reading = Jsonb(MessageToDict(job.reading, preserving_proto_field_name=True))
        locally = degrading.parsed_locally(choice, refusal)
        parsed = Parsed(job.result_key, job.page_count, degrading.missing(job.reading), locally)
        columns = {"pages": job.page_count, "reading": reading, "backends": degrading.backends(choice)}
        return Noted(parsed, columns)

    async def stop(self, run: RunRef) -> None:
        """Cancels the run's parse jobs; answers once they have stopped."""
        await steady(partial(self._peers.parser.CancelParseJob, CancelParseJobRequest(run_id=run.run_id)))

    async def _parsed(self, row: Row) -> tuple[ParseJob, BackendChoice, str]:
        """The document's job at its end, and who did it: in hybrid mode we, where the vendor cannot.

        Then also what the budget says that refused the vendor's.
        """
        job = await self._waited_for(row) or await self._begun(row, await self._modes.of(PARSER))
        choice = job.choice
        job = await self._ended(job)
        if not degrading.goes_on_locally(job):
            return job, choice if job.backend == LOCAL else job.choice, ""
        if row["healing"] == PARSED_LOCALLY and row["embedded_chunks"] == row["chunks"]:
            # It was read here before, and what is published lacks nothing else.
            lack = job.choice.reason
            raise Precondition(lack, f"{vendor_of(PARSER)} does not work now ({lack}).")
        # The vendor's job goes on, and a heal takes its pages. Cancelled, it would be bought a second time:
        # an attempt whose answer was lost may have begun a parse.
        ours = await self._begun(row, job.choice.mode, job.choice.reason)
        job.choice.blocked_on = job.blocked_on
        return await self._ended(ours), job.choice, job.message if job.blocked_on else ""

    async def _waited_for(self, row: Row) -> ParseJob | None:
        """The job that this try has waited for, also where it failed: nothing is bought a second time."""
        run = RunRef(row["tenant"], str(row["run_id"]))
        job_id = await self._waits.waited_for(run, PARSE) if row["wakes"] else ""
        if not job_id:
            return None
        try:
            read = GetParseJobRequest(job_id=job_id, mode=await self._modes.of(PARSER))
            job = (await steady(partial(self._peers.parser.GetParseJob, read))).job
        except NotFound:
            return None
        # It was cancelled for another run of the same content.
        return None if job.state == ParseJob.STATE_CANCELLED else job

    async def _begun(self, row: Row, mode: Mode, lack: str = "") -> ParseJob:
        """A new job, or the living one for the same content; `lack` says why the vendor cannot do it."""
        request = CreateParseJobRequest(
            source_key=row["source_key"],
            source_sha256=row["source_sha256"],
            filename=row["filename"],
            source_size_bytes=row["size_bytes"],
            wait=JOB_WAIT,
            mode=mode,
            lack=lack,
        )
        return (await steady(partial(self._peers.parser.CreateParseJob, request))).job

    async def _ended(self, job: ParseJob) -> ParseJob:
        """The job at its end, or once another backend is to do it.

        Raises:
            RunWaits: Its parse goes on at a vendor, or waits for one.
        """
        while job.state in UNFINISHED:
            if degrading.goes_on_locally(job):
                return job
            if job.HasField("look_at"):
                look_at = utc_now() if job.waits_for else moment(job.look_at)
                raise RunWaits(PARSE, job.job_id, look_at, reason=job.reason, message=job.message)
            # Who waits for a vendor that is away goes on without it as soon as the mode lets it.
            mode = await self._modes.latest(PARSER)
            read = GetParseJobRequest(job_id=job.job_id, wait=JOB_WAIT, mode=mode)
            job = (await steady(partial(self._peers.parser.GetParseJob, read))).job
        if job.state == ParseJob.STATE_CANCELLED:
            # For another run of the same content, or for this one: a step that is repeated is told which.
            raise Unavailable("PARSE_CANCELLED", "The parse job was cancelled for a run of the same content.")
        return job
