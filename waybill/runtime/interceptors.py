"""What every server does around a handler: caller, deadline, span, and errors as statuses.

One adapter makes it of both response kinds. It sees BaseException: a cancelled call is an outcome of
its own, not a success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import grpc
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from waybill.common.v1 import access_pb2
from waybill.runtime import deadline, identity, semconv
from waybill.runtime.call_limit import CallLimit
from waybill.runtime.channel import MAX_MESSAGE_BYTES, caller_attributes, finish
from waybill.runtime.errors import (
    Credential,
    Deadline,
    InvalidRequest,
    Quota,
    ServiceError,
    from_status,
    internal_status,
    status_code,
    to_status,
)
from waybill.runtime.refusals import Refusals
from waybill.runtime.wellformed import Undecodable, check, decoding

UNARY_SECONDS = 300.0
STREAM_SECONDS = 3600.0
# Between two messages of a request stream.
SILENCE_SECONDS = 30.0
# Health and reflection are the library's own, and on nobody's behalf.
BARE_PREFIX = "/grpc."
# To trace the export of spans would make more of them for ever.
UNTRACED_PREFIX = "/opentelemetry."
log = structlog.get_logger()
_propagator = TraceContextTextMapPropagator()


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of our own services."""

    def __init__(
        self,
        tracer: Tracer,
        door: identity.Door,
        refusals: Refusals,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._tracer = tracer
        self._door = door
        self._refusals = refusals
        self._silence_seconds = silence_seconds
        self._limit = CallLimit()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Answers the handler, wrapped."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(BARE_PREFIX):
            return handler
        if handler.response_streaming:
            wrapped: Any = self._streaming(handler.unary_stream or handler.stream_stream, details)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
        else:
            wrapped = self._unary(handler.unary_unary or handler.stream_unary, details)
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
        return make(wrapped, decoding(handler.request_deserializer), handler.response_serializer)

    def _unary(self, behaviour: Callable[..., Awaitable[Any]], details: grpc.HandlerCallDetails) -> Any:
        async def call(request: Any, context: Any) -> Any:
            async with self._around(details, context, UNARY_SECONDS):
                return await behaviour(self._checked(request), context)

        return call

    def _streaming(
        self, behaviour: Callable[..., AsyncIterator[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            async with self._around(details, context, STREAM_SECONDS):
                async for response in behaviour(self._checked(request), context):
                    yield response

        return call

    @asynccontextmanager
    async def _around(
        self, details: grpc.HandlerCallDetails, context: Any, default_seconds: float
    ) -> AsyncIterator[None]:
        """Runs a handler; each RPC has a task of its own, so what is set here needs no resetting."""
        span = self._start_span(details)
        code = grpc.StatusCode.CANCELLED
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                try:
                    who = await self._let_in(details, context)
                    identity.become(who)
                    span.set_attributes(caller_attributes(who))
                    with self._limit.held(who.tenant):
                        async with asyncio.timeout(_bound(context, default_seconds)):
                            yield
                    code = grpc.StatusCode.OK
                except Exception as error:
                    status = _status_of(error, details.method)
                    code = status_code(status)
                    await context.abort_with_status(rpc_status.to_status(status))
        finally:
            finish(span, code)

    async def _let_in(self, details: grpc.HandlerCallDetails, context: Any) -> identity.Caller:
        only = _services_only(details.method)
        try:
            return await self._door.admit(details.invocation_metadata, services_only=only)
        except Credential as error:
            self._refusals.refused(details.method, error.reason, context.peer())
            raise

    def _checked(self, request: Any) -> Any:
        return _checked(request) if isinstance(request, Message | Undecodable) else self._stream(request)

    async def _stream(self, messages: AsyncIterator[Any]) -> AsyncIterator[Message]:
        """The messages of a request one by one; who has gone silent must not keep others from coming in."""
        while True:
            try:
                async with asyncio.timeout(self._silence_seconds):
                    message = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Deadline(
                    "STREAM_SILENT",
                    f"No message came for {self._silence_seconds:g} s. Begin again, without a pause.",
                ) from None
            yield _checked(message)

    def _start_span(self, details: grpc.HandlerCallDetails) -> trace.Span:
        metadata = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        method = details.method.lstrip("/")
        if details.method.startswith(UNTRACED_PREFIX):
            return trace.INVALID_SPAN
        return self._tracer.start_span(
            method,
            context=_propagator.extract(metadata),
            kind=SpanKind.SERVER,
            attributes={semconv.RPC_SYSTEM: "grpc", semconv.RPC_METHOD: method},
        )


@cache
def _services_only(method: str) -> bool:
    """Whether an RPC is for our own services; spans are of any tenant, so their export is."""
    if method.startswith(UNTRACED_PREFIX):
        return True
    options = descriptor_pool.Default().FindMethodByName(method.lstrip("/").replace("/", ".")).GetOptions()
    # The generated types know no extensions.
    only: Any = access_pb2.services_only
    return bool(options.Extensions[only])


def _checked(request: Any) -> Any:
    """The request, refused where too large or malformed."""
    if isinstance(request, Undecodable):
        raise InvalidRequest(
            "INVALID_REQUEST", "The bytes are no message of this RPC. Make them by its contract, in protos/."
        )
    size = request.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        raise Quota(
            "MESSAGE_TOO_LARGE",
            f"A message of {size} bytes is over the limit of {MAX_MESSAGE_BYTES}; send it in several calls.",
        )
    check(request)
    return request


def _bound(context: Any, default_seconds: float) -> float:
    """Starts the call's deadline; one that has passed already does no work."""
    left = context.time_remaining()
    seconds = default_seconds if left is None else left
    if seconds <= 0:
        raise Deadline("DEADLINE_EXCEEDED", "The deadline had passed before the work began; allow more time.")
    deadline.start(seconds)
    return float(seconds)


def _status_of(error: Exception, method: str) -> status_pb2.Status:
    match error:
        case ServiceError():
            return to_status(error)
        case grpc.aio.AioRpcError():
            return to_status(from_status(error))
        case TimeoutError():
            late = Deadline("DEADLINE_EXCEEDED", "The deadline passed before the work was done; allow more.")
            return to_status(late)
        case OverflowError():
            log.warning("a number overflowed", method=method, exc_info=error)
            large = "A number or a time is larger than can be worked with; take a smaller one."
            return to_status(InvalidRequest("INVALID_REQUEST", large))
    log.exception("unhandled error", method=method, error=type(error).__name__)
    return internal_status()
