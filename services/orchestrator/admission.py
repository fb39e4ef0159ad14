"""Ingest: from the first message to a stored source and a queued run."""

from __future__ import annotations

import datetime
import mimetypes
import os
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import grpc
from opentelemetry import context as otel_context
from opentelemetry import trace

from services.orchestrator import avoiding, budgets_of_runs
from services.orchestrator.peers import Peers, steady
from services.orchestrator.runs.rows import NewRun, Row, new_run_id, unix_ms
from services.orchestrator.runs.store import Runs
from services.orchestrator.spaces import Spaces
from services.orchestrator.traces import ids as trace_ids
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.plan_pb2 import ApprovePlanRequest, Plan
from waybill.limits import DEFAULT_COLLECTION
from waybill.object_keys import source_key
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest, RetryRunRequest
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan
from waybill.runtime import deadline, identity
from waybill.runtime.channel import DEFAULT_TIMEOUT_SECONDS, send, traceparent
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Deadline, InvalidRequest, Quota, from_status
from waybill.runtime.telemetry import remote_parent
from waybill.runtime.wellformed import has_controls
from waybill.runtime.wire import moment
from waybill.storage.v1.document_index_service_pb2 import (
    BeginVersionRequest,
    BeginVersionResponse,
    PublishVersionRequest,
)
from waybill.storage.v1.object_storage_service_pb2 import PutObjectRequest, StatObjectRequest

MAX_BYTES = 64_000_000
# Left of a caller's deadline, but for a short one, to say that its file was not stored.
ANSWER_SECONDS = 2.0
NOT_STORED = (
    "Storage had not taken the whole file when the call's time was over. Nothing was accepted, and nothing "
    "is owed. Send it again, with more time, or once `waybill status` says that storage is SERVING."
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Arrival:
    """What the first message of an Ingest says, checked."""

    collection: str
    document_key: str
    filename: str
    size_bytes: int
    sha256: str
    request_id: str | None
    complete_by: datetime.datetime | None
    metadata: Mapping[str, str]
    origin: str
    max_nano_usd: int | None = None
    plan: ApprovedPlan | None = None

    @property
    def source_key(self) -> str:
        """Where the source is stored: by content, so that a repeat stores nothing twice."""
        return source_key(self.sha256)


def read_header(header: IngestRequest.Header) -> Arrival:
    """Checks the header of an Ingest.

    Raises:
        InvalidRequest: INVALID_REQUEST, PATH_NOT_ALLOWED, DOCUMENT_EMPTY.
        Quota: DOCUMENT_TOO_LARGE.
    """
    filename = header.filename or header.document_key
    _check_name("document_key", header.document_key, 1024)
    _check_name("filename", filename, 1024)
    _check_name("collection", header.collection or DEFAULT_COLLECTION, 128)
    if header.size_bytes <= 0:
        raise InvalidRequest("DOCUMENT_EMPTY", "The file is empty. Send one with content.")
    if header.size_bytes > MAX_BYTES:
        raise Quota("DOCUMENT_TOO_LARGE", f"A document may have {MAX_BYTES} bytes at most; split it.")
    if not _SHA256.fullmatch(header.sha256):
        raise InvalidRequest(
            "INVALID_REQUEST", "sha256 must be the file's SHA-256, 64 lower-case hex digits."
        )
    if header.max_nano_usd < 0:
        raise InvalidRequest("INVALID_REQUEST", "max_nano_usd is at least 0.")
    if min(header.plan.nano_usd, header.plan.simulated_nano_usd) < 0:
        raise InvalidRequest("INVALID_REQUEST", "A plan's nano_usd and simulated_nano_usd are at least 0.")
    return Arrival(
        collection=header.collection or DEFAULT_COLLECTION,
        document_key=header.document_key,
        filename=filename,
        size_bytes=header.size_bytes,
        sha256=header.sha256,
        request_id=_request_id(header.request_id),
        complete_by=read_complete_by(header),
        metadata=dict(header.metadata),
        origin=header.origin,
        max_nano_usd=header.max_nano_usd if header.HasField("max_nano_usd") else None,
        plan=header.plan if header.HasField("plan") else None,
    )


class Admission:
    """Takes documents in.

    Args:
        peers: Storage.
        runs: Where a document is queued.
        spaces: Which space a collection is in.
        recipe: How documents are cut, by name.
    """

    def __init__(self, peers: Peers, runs: Runs, spaces: Spaces, recipe: str) -> None:
        self._peers = peers
        self._runs = runs
        self._spaces = spaces
        self._recipe = recipe

    async def ingest(self, messages: AsyncIterator[IngestRequest]) -> Row:
        """Stores and queues a document, or says that it is unchanged; answers the run's row.

        Raises:
            ServiceError: As `read_header`, and what storage says of the bytes.
        """
        first = await anext(aiter(messages), None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("INVALID_REQUEST", "The first message of an Ingest must be its header.")
        arrival = read_header(first.header)
        who = identity.caller()
        known, came_before = await self._runs.arrival(
            who.tenant, arrival.request_id, arrival.sha256, arrival.collection, arrival.document_key
        )
        if known is not None:
            return known
        run = self._new_run(arrival, who)
        if came_before:
            version = await self._published(arrival, validate_only=True)
            if version.outcome == BeginVersionResponse.OUTCOME_UNCHANGED:
                if version.description_differs:
                    await self._published(arrival, run_id=run.run_id)
                return await self._unchanged(run, version)
        return await self._store(run, arrival, who, messages)

    async def _unchanged(self, run: NewRun, version: BeginVersionResponse) -> Row:
        """Nothing to do, but that no content which came before, and is still under way, replaces this."""
        row = await self._runs.record_unchanged(
            replace(
                run,
                document_id=version.document_id,
                version_id=version.version_id,
                chunks=version.chunk_count,
            )
        )
        await self._peers.index.PublishVersion(
            PublishVersionRequest(
                version_id=version.version_id, chunk_count=version.chunk_count, edition=row["edition"]
            )
        )
        whose = {"run_id": run.run_id, "collection": run.collection, "document_key": run.document_key}
        with identity.acting_as(replace(identity.caller(), **whose)):
            await avoiding.found(self._peers, version.run_id, ["parse", "embed"])
        return row

    async def _store(
        self, run: NewRun, arrival: Arrival, who: identity.Caller, messages: AsyncIterator[IngestRequest]
    ) -> Row:
        """Streams the source through to storage, as the run's own `store` step."""
        step = trace_ids.step_span_id(run.run_id, "store")
        stored_at = utc_now()
        parent = otel_context.attach(remote_parent(trace_ids.trace_id(run.run_id), step))
        try:
            with identity.acting_as(replace(who, run_id=run.run_id, step_span_id=step)):
                await self._put(arrival, messages)
                await self._approve(run, arrival)
                await self._limit(run, arrival)
                return await self._runs.accept(run, stored_at, partial(self._is_stored, arrival))
        finally:
            otel_context.detach(parent)

    async def _put(self, arrival: Arrival, messages: AsyncIterator[IngestRequest]) -> None:
        """Stores the source. Raises Deadline where storage does not take it in time."""
        left = deadline.remaining_seconds(DEFAULT_TIMEOUT_SECONDS) or 0.0
        put = self._peers.objects.PutObject(timeout=left - min(ANSWER_SECONDS, left / 4))
        try:
            await send(put, _pieces(arrival, messages))
        except grpc.aio.AioRpcError as error:
            failure = from_status(error)
            if failure.reason != "DEADLINE_EXCEEDED":
                raise
            raise Deadline(failure.reason, NOT_STORED) from error

    async def _approve(self, run: NewRun, arrival: Arrival) -> None:
        """Writes the run's plan down, so that its holds take the prices of the plan's day."""
        if arrival.plan is not None:
            plan = Plan(
                run_id=run.run_id,
                price_day=arrival.plan.price_day,
                nano_usd=arrival.plan.nano_usd,
                simulated_nano_usd=arrival.plan.simulated_nano_usd,
            )
            await steady(partial(self._peers.ledger.ApprovePlan, ApprovePlanRequest(plan=plan)))

    async def _limit(self, run: NewRun, arrival: Arrival) -> None:
        """Sets the run's own budgets, before anything is bought for it; real and simulated money apart."""
        of_plan = budgets_of_runs.limits(arrival.plan) if arrival.plan else {}
        for kind in budgets_of_runs.KINDS:
            known = [one for one in (of_plan.get(kind), arrival.max_nano_usd) if one is not None]
            if known:
                await budgets_of_runs.put(self._peers, run.run_id, kind, min(known))

    async def _is_stored(self, arrival: Arrival) -> bool:
        try:
            await self._peers.objects.StatObject(StatObjectRequest(key=arrival.source_key))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _published(
        self, arrival: Arrival, *, run_id: str = "", validate_only: bool = False
    ) -> BeginVersionResponse:
        """What the index has of the content; without validate_only it says of that what the arrival does."""
        request = BeginVersionRequest(
            collection=arrival.collection,
            document_key=arrival.document_key,
            source_sha256=arrival.sha256,
            recipe=self._recipe,
            metadata=arrival.metadata,
            origin=arrival.origin,
            run_id=run_id,
            validate_only=validate_only,
        )

        async def begun(space: Space) -> BeginVersionResponse:
            request.space.CopyFrom(space)
            return await self._peers.index.BeginVersion(request)

        return await self._spaces.following(arrival.collection, begun)

    @staticmethod
    def _new_run(arrival: Arrival, who: identity.Caller) -> NewRun:
        # One reading for both: runs are found by time through their ids.
        now = utc_now()
        return NewRun(
            run_id=new_run_id(unix_ms(now), os.urandom(10)),
            tenant=who.tenant,
            correlation_id=who.correlation_id,
            subject=who.subject,
            credential_id=who.credential_id,
            request_id=arrival.request_id,
            caller_traceparent=traceparent(trace.get_current_span().get_span_context()),
            collection=arrival.collection,
            document_key=arrival.document_key,
            filename=arrival.filename,
            source_sha256=arrival.sha256,
            size_bytes=arrival.size_bytes,
            source_key=arrival.source_key,
            created_at=now,
            complete_by=arrival.complete_by,
            metadata=arrival.metadata,
            origin=arrival.origin,
        )


async def _pieces(
    arrival: Arrival, messages: AsyncIterator[IngestRequest]
) -> AsyncIterator[PutObjectRequest]:
    yield PutObjectRequest(
        header=PutObjectRequest.Header(
            key=arrival.source_key,
            size_bytes=arrival.size_bytes,
            sha256=arrival.sha256,
            content_type=mimetypes.guess_type(arrival.filename)[0] or "",
        )
    )
    async for message in messages:
        yield PutObjectRequest(data=message.data)


def read_complete_by(message: IngestRequest.Header | RetryRunRequest) -> datetime.datetime | None:
    """When a run must be done; None where nothing was said.

    Raises:
        InvalidRequest: COMPLETE_BY_PAST, INVALID_REQUEST.
    """
    if not message.HasField("complete_by"):
        return None
    complete_by = moment(message.complete_by)
    if complete_by <= utc_now():
        raise InvalidRequest("COMPLETE_BY_PAST", "complete_by is past. Name a time to come, or none.")
    return complete_by


def _check_name(field: str, name: str, max_bytes: int) -> None:
    if not name or len(name.encode()) > max_bytes:
        raise InvalidRequest("INVALID_REQUEST", f"{field} takes 1 to {max_bytes} bytes.")
    if has_controls(name):
        raise InvalidRequest("INVALID_REQUEST", f"{field} must not contain control characters.")
    if ".." in name.replace("\\", "/").split("/"):
        raise InvalidRequest(
            "PATH_NOT_ALLOWED", f"{field} must not contain '..'. Name it by its path below a root."
        )


def _request_id(text: str) -> str | None:
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", "request_id must be a UUID, or empty.") from None
