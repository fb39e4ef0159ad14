"""ParserService: request → jobs → response."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import duration_pb2
from opentelemetry import trace

from services.parser.backends.port import Capabilities
from services.parser.engines import Engines
from services.parser.job import Job, JobState, NewJob
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.previewing import Previews, Wanted
from services.parser.refusals import refusal
from services.parser.working import Runner
from waybill.common.v1 import file_type_pb2, reading_pb2
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.parser.v1 import parse_job_pb2, parser_service_pb2, parser_service_pb2_grpc, preview_pb2
from waybill.runtime import identity
from waybill.runtime.channel import traceparent
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.semconv import LOCAL
from waybill.runtime.wire import timestamp
from waybill.vendors.choosing import choice_attributes, service_of

MOST_WAIT_SECONDS = 30.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIER = re.compile(r"[a-z][a-z0-9_]{0,31}")


class ParserServicer(parser_service_pb2_grpc.ParserServiceServicer):
    """The parser's RPCs."""

    def __init__(self, jobs: Jobs, runner: Runner, objects: Objects, engines: Engines) -> None:
        self._jobs = jobs
        self._runner = runner
        self._objects = objects
        self._engines = engines
        self._previews = {one.name: Previews(jobs, one.parser, one.limits) for one in engines.all}

    async def CreateParseJob(
        self, request: parser_service_pb2.CreateParseJobRequest, context: Any
    ) -> parser_service_pb2.CreateParseJobResponse:
        """Starts a parse, or finds it started; answers at most `wait` later."""
        seconds = _wait_seconds(request.wait)
        engine, choice = self._engines.chosen(request.mode, request.lack)
        trace.get_current_span().set_attributes(choice_attributes(choice))
        new = _new_job(request, engine.parser.capabilities, hybrid=choice.mode == Mode.MODE_HYBRID)
        size = request.source_size_bytes or await self._objects.size(new.source_key)
        if size < 0:
            raise InvalidRequest("INVALID_REQUEST", "source_size_bytes is at least 0.")
        if size > engine.limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {size:,} bytes.")
        light = engine.parser.is_light(new.filename, size)
        job = None
        if engine is not self._engines.main and not request.lack:
            # The run was cut off while it waited, and the mode was switched since.
            main = self._engines.main.name
            job = await self._jobs.bought(new.caller.tenant, new.caller.run_id, new.source_sha256, main)
        job = job or await self._jobs.create(dataclasses.replace(new, size_bytes=size, light=light))
        if job.state is JobState.QUEUED:
            self._runner.wake()
        if seconds and not (job.state.final or job.look_at):
            job = await self._ended(job.caller.tenant, job.job_id, seconds, request.mode)
        if job.backend != LOCAL:
            choice = self._engines.choice_now(job, request.mode)
            trace.get_current_span().set_attributes(choice_attributes(choice))
        return parser_service_pb2.CreateParseJobResponse(job=_message(job, choice))

    async def GetParseJob(
        self, request: parser_service_pb2.GetParseJobRequest, context: Any
    ) -> parser_service_pb2.GetParseJobResponse:
        """Reads a job, at most `wait` later."""
        tenant, job_id = identity.caller().tenant, _uuid(request.job_id)
        job = await self._ended(tenant, job_id, _wait_seconds(request.wait), request.mode)
        choice = self._engines.choice_now(job, request.mode)
        return parser_service_pb2.GetParseJobResponse(job=_message(job, choice))

    async def WatchParseJob(
        self, request: parser_service_pb2.WatchParseJobRequest, context: Any
    ) -> AsyncIterator[parser_service_pb2.WatchParseJobResponse]:
        """Sends a job as often as it changes."""
        tenant, job_id = identity.caller().tenant, _uuid(request.job_id)
        async for job in self._runner.watch(tenant, job_id):
            yield parser_service_pb2.WatchParseJobResponse(job=_message(job))

    async def CancelParseJob(
        self, request: parser_service_pb2.CancelParseJobRequest, context: Any
    ) -> parser_service_pb2.CancelParseJobResponse:
        """Stops a job or a run's jobs."""
        tenant, of_run = identity.caller().tenant, request.WhichOneof("target") == "run_id"
        target = _uuid(request.run_id, "run_id") if of_run else _uuid(request.job_id)
        opened = await self._jobs.cancel(tenant, target, of_run=of_run)
        jobs = await self._runner.stop(opened)
        if of_run:
            jobs = [job for job in jobs if job.state is JobState.CANCELLED]
        else:
            jobs = jobs or [await self._jobs.get(tenant, target)]
        return parser_service_pb2.CancelParseJobResponse(jobs=map(_message, jobs))

    async def DeleteParseJobs(
        self, request: parser_service_pb2.DeleteParseJobsRequest, context: Any
    ) -> parser_service_pb2.DeleteParseJobsResponse:
        """Forgets a content's jobs and their results."""
        sha256 = request.source_sha256.lower()
        if not _SHA256.fullmatch(sha256):
            raise InvalidRequest("INVALID_REQUEST", "Name source_sha256 as 64 hex digits.")
        jobs, results = await self._runner.forget(identity.caller().tenant, sha256)
        return parser_service_pb2.DeleteParseJobsResponse(jobs=jobs, results=results)

    async def PreviewParse(
        self, requests: AsyncIterator[preview_pb2.PreviewParseRequest], context: Any
    ) -> AsyncIterator[preview_pb2.PreviewParseResponse]:
        """Says what a parse would buy, and what our readers make of the file."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("INVALID_REQUEST", "The first message is the header.")
        sha256 = first.header.source_sha256.lower()
        if not _SHA256.fullmatch(sha256) or first.header.size_bytes <= 0:
            raise InvalidRequest("INVALID_REQUEST", "Name size_bytes, and source_sha256 as 64 hex digits.")
        engine, _ = self._engines.chosen(first.header.mode, "")
        wanted = Wanted(sha256, first.header.filename, first.header.size_bytes)
        pieces = (request.data async for request in requests)
        async for answer in self._previews[engine.name].of(wanted, pieces):
            yield answer

    async def ListFileTypes(
        self, request: parser_service_pb2.ListFileTypesRequest, context: Any
    ) -> parser_service_pb2.ListFileTypesResponse:
        """Says what the backend takes."""
        engine, _ = self._engines.chosen(request.mode, "")
        able = engine.parser.capabilities
        types = [
            file_type_pb2.FileType(name=name, label=label, suffixes=suffixes)
            for name, (label, suffixes) in able.formats.items()
        ]
        return parser_service_pb2.ListFileTypesResponse(file_types=types, any_text=able.any_text)

    async def _ended(self, tenant: str, job_id: uuid.UUID, seconds: float, mode: Mode) -> Job:
        """The job once it is final, its engine has it, or another would do it, or as it is so much later."""
        async for job in self._runner.looks(tenant, job_id, seconds):
            elsewhere = self._engines.choice_now(job, mode).backend != job.backend
            if job.state.final or job.look_at or (elsewhere and job.buys):
                break
        return job


def _new_job(
    request: parser_service_pb2.CreateParseJobRequest, able: Capabilities, *, hybrid: bool
) -> NewJob:
    sha256, tier = request.source_sha256.lower(), request.options.tier or able.default_tier
    if not request.source_key or not _SHA256.fullmatch(sha256):
        raise InvalidRequest("INVALID_REQUEST", "Name source_key, and source_sha256 as 64 hex digits.")
    if not _TIER.fullmatch(tier):
        raise InvalidRequest("INVALID_REQUEST", f"A tier is a word such as {able.default_tier}.")
    return NewJob(
        caller=identity.caller(),
        traceparent=traceparent(trace.get_current_span().get_span_context()),
        source_key=request.source_key,
        source_sha256=sha256,
        filename=request.filename,
        tier=tier,
        backend=able.name,
        cost_kind=able.cost_kind,
        revision=able.revision_of(tier),
        hybrid=hybrid,
    )


def _wait_seconds(wait: duration_pb2.Duration) -> float:
    seconds = wait.ToMilliseconds() / 1000
    if seconds < 0:
        raise InvalidRequest("INVALID_REQUEST", "wait is a duration of at least 0 s.")
    return min(seconds, MOST_WAIT_SECONDS)


def _uuid(text: str, name: str = "job_id") -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", f"{name} is a UUID, as Waybill gave it.") from None


def _message(job: Job, choice: BackendChoice | None = None) -> parse_job_pb2.ParseJob:
    message = parse_job_pb2.ParseJob(
        job_id=str(job.job_id),
        state=f"STATE_{job.state.value}",
        source_key=job.source_key,
        source_sha256=job.source_sha256,
        options=parse_job_pb2.ParseOptions(tier=job.tier),
        result_key=job.result_key,
        page_count=job.page_count,
        reason=job.reason,
        message=job.message,
        blocked_on=job.blocked_on,
        waits_for="" if job.state.final else service_of(job.failed_vendor),
        backend=job.backend,
        cost_kind=job.cost_kind,
        create_time=timestamp(job.created_at),
        reading=reading_pb2.Reading(**dataclasses.asdict(job.reading)),
        vendor_job_id=job.parse_id,
        run_id=job.caller.run_id,
        expected_page_count=job.expected_pages,
        pages_done=job.pages_done,
        choice=choice,
    )
    if job.look_at is not None:
        message.look_at.CopyFrom(timestamp(job.look_at))
    if job.ended_at is not None:
        message.end_time.CopyFrom(timestamp(job.ended_at))
    return message
