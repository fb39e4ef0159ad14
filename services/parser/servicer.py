"""ParserService: request → jobs → response."""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import suppress
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry import trace

from services.parser import filetypes
from services.parser.backends.port import Capabilities
from services.parser.jobs import DEFAULT_TIER, Job, JobStore, NewJob
from services.parser.limits import Limits
from services.parser.objects import Objects
from services.parser.refusals import refusal
from services.parser.runner import Runner
from waybill.parser.v1 import parse_job_pb2, parser_service_pb2, parser_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.channel import traceparent
from waybill.runtime.errors import InvalidRequest

MOST_WAIT_SECONDS = 30.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIER = re.compile(r"[a-z][a-z0-9_]{0,31}")


class ParserServicer(parser_service_pb2_grpc.ParserServiceServicer):
    """The parser's RPCs."""

    def __init__(
        self, store: JobStore, runner: Runner, objects: Objects, able: Capabilities, limits: Limits
    ) -> None:
        self._store = store
        self._runner = runner
        self._objects = objects
        self._able = able
        self._limits = limits

    async def CreateParseJob(  # noqa: N802
        self, request: parser_service_pb2.CreateParseJobRequest, context: Any
    ) -> parser_service_pb2.CreateParseJobResponse:
        """Starts a parse, or finds it started."""
        new = self._new_job(request)
        size = await self._objects.size(new.source_key)
        if size > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {size:,} bytes.")
        job = await self._store.create(new)
        if not job.state.final:
            self._runner.ensure(job.caller.tenant, job.job_id)
        return parser_service_pb2.CreateParseJobResponse(job=_message(job))

    async def GetParseJob(  # noqa: N802
        self, request: parser_service_pb2.GetParseJobRequest, context: Any
    ) -> parser_service_pb2.GetParseJobResponse:
        """Reads a job, at most `wait` later."""
        tenant, job_id = identity.caller().tenant, _uuid(request.job_id)
        wait = request.wait.ToMilliseconds() / 1000
        if wait < 0:
            raise InvalidRequest("INVALID_REQUEST", "wait is a duration of at least 0 s.")
        job = await self._store.get(tenant, job_id)
        if not job.state.final:
            ended = self._runner.ensure(tenant, job_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, MOST_WAIT_SECONDS)):
                    await ended.wait()
            job = await self._store.get(tenant, job_id)
        return parser_service_pb2.GetParseJobResponse(job=_message(job))

    def _new_job(self, request: parser_service_pb2.CreateParseJobRequest) -> NewJob:
        sha256, tier = request.source_sha256.lower(), request.options.tier or DEFAULT_TIER
        if not request.source_key or not _SHA256.fullmatch(sha256):
            raise InvalidRequest("INVALID_REQUEST", "Name source_key, and source_sha256 as 64 hex digits.")
        if not _TIER.fullmatch(tier):
            raise InvalidRequest("INVALID_REQUEST", f"A tier is a word such as {DEFAULT_TIER}.")
        filetypes.by_name(request.filename)
        return NewJob(
            caller=identity.caller(),
            traceparent=traceparent(trace.get_current_span().get_span_context()),
            source_key=request.source_key,
            source_sha256=sha256,
            filename=request.filename,
            tier=tier,
            backend=self._able.name,
            cost_kind=self._able.cost_kind,
        )


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", "job_id is the UUID that CreateParseJob gave.") from None


def _message(job: Job) -> parse_job_pb2.ParseJob:
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
        backend=job.backend,
        cost_kind=job.cost_kind,
        create_time=_timestamp(job.created_at.timestamp()),
    )
    if job.ended_at is not None:
        message.end_time.CopyFrom(_timestamp(job.ended_at.timestamp()))
    return message


def _timestamp(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1_000)
