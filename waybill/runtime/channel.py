"""Channels to our own services: every call carries caller, trace and what is left of the deadline.

A client span ends in the call's done-callback, which is right also when the call is cancelled; the
contrib instrumentation never ends it there. A response stream is read inside `reading(call)`, so
that breaking out of it cancels the call and ends its span.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from waybill.runtime import deadline, identity, semconv
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.tls import channel_credentials, is_tls, target

MAX_MESSAGE_BYTES = 2 * 1024 * 1024
# gRPC's own refusal carries no ErrorInfo; up to here the server's interceptor refuses, with one.
TRANSPORT_MAX_BYTES = 8 * 1024 * 1024
DEFAULT_TIMEOUT_SECONDS = 60.0
# gRPC widens its window by what it measures, and so keeps more of a stream in memory on a busy machine.
TRANSPORT_OPTIONS = [
    ("grpc.max_receive_message_length", TRANSPORT_MAX_BYTES),
    ("grpc.max_send_message_length", TRANSPORT_MAX_BYTES),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
]
OPTIONS = [
    *TRANSPORT_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    # Subchannels are shared between channels of one process otherwise, and so would their back-off be.
    ("grpc.use_local_subchannel_pool", 1),
]
Response = TypeVar("Response")
NO_AUTH = AuthConfig()


def connect(address: str, tracer: Tracer, auth: AuthConfig = NO_AUTH) -> grpc.aio.Channel:
    """A channel to a service of ours. A call waits for the server within its deadline.

    Args:
        address: host:port, in clear, or https://host:port.
        tracer: Of the calls' spans.
        auth: What is shown with each call, and whom a TLS channel trusts.

    Raises:
        ConfigError: The service's secret would go to another machine in clear.
        InvalidRequest: CA_UNREADABLE.
    """
    secret = auth.secret_for(address)
    interceptors = [kind(tracer, secret) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]
    if not is_tls(address):
        return grpc.aio.insecure_channel(address, options=OPTIONS, interceptors=interceptors)
    credentials = channel_credentials(auth.ca_file)
    return grpc.aio.secure_channel(target(address), credentials, OPTIONS, interceptors=interceptors)


@asynccontextmanager
async def reading(call: Any) -> AsyncIterator[Any]:
    """Reads a response stream; leaving the block in any way cancels what is left of the call."""
    try:
        yield call
    finally:
        call.cancel()


async def send(call: Any, messages: AsyncIterator[Any]) -> Any:
    """Sends a request stream and answers the response.

    An error while the messages are made cancels the call and travels; grpc.aio, given the iterator,
    would log it and leave the server waiting.
    """
    await write(call, messages)
    return await call


async def write(call: Any, messages: AsyncIterator[Any]) -> None:
    """Sends a request stream, as `send` does, of a call whose response is a stream, too."""
    try:
        async for message in messages:
            await call.write(message)
        await call.done_writing()
    except asyncio.InvalidStateError:
        pass  # the server has answered before the end; the status below says what
    except BaseException:
        call.cancel()
        raise


class _Outgoing:
    def __init__(self, tracer: Tracer, service_secret: str) -> None:
        self._tracer = tracer
        self._shown = identity.shown(service_secret)
        self._ending: set[asyncio.Task[None]] = set()

    async def _send(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        span = self._tracer.start_span(method.lstrip("/"), kind=SpanKind.CLIENT)
        span.set_attributes({semconv.RPC_SYSTEM: "grpc", semconv.RPC_METHOD: method.lstrip("/")})
        headers = [*(details.metadata or []), *self._shown]
        headers.append((semconv.TRACEPARENT_HEADER, traceparent(span.get_span_context())))
        who = identity.caller_or_none()
        if who is not None:
            headers += identity.to_metadata(who)
            span.set_attributes(caller_attributes(who))
        outgoing = grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=deadline.remaining_seconds(details.timeout or DEFAULT_TIMEOUT_SECONDS),
            metadata=grpc.aio.Metadata(*headers),
            credentials=details.credentials,
            wait_for_ready=True,
        )
        try:
            call = await continuation(outgoing, request)
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            span.end()
            raise
        call.add_done_callback(lambda done: self._end_later(span, done))
        return call

    def _end_later(self, span: trace.Span, call: Any) -> None:
        # The code is only to be had by awaiting, though it is known by now.
        task = asyncio.get_running_loop().create_task(_end(span, call))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _UnaryUnary(_Outgoing, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(continuation, details, request)


class _UnaryStream(_Outgoing, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(continuation, details, request)


class _StreamUnary(_Outgoing, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(continuation, details, request)


class _StreamStream(_Outgoing, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await self._send(continuation, details, request)


async def _end(span: trace.Span, call: Any) -> None:
    finish(span, await call.code())


def finish(span: trace.Span, code: grpc.StatusCode) -> None:
    """Ends a span with the outcome of its call."""
    span.set_attribute(semconv.RPC_STATUS_CODE, code.name)
    if code is not grpc.StatusCode.OK:
        span.set_attribute(semconv.ERROR_TYPE, code.name)
        span.set_status(Status(StatusCode.ERROR, code.name))
    span.end()


def caller_attributes(who: identity.Caller) -> dict[str, str]:
    """Span attributes that tell whose work a span is."""
    named = {
        semconv.TENANT: who.tenant,
        semconv.CORRELATION_ID: who.correlation_id,
        semconv.RUN_ID: who.run_id,
        semconv.STEP_SPAN_ID: who.step_span_id,
    }
    return {key: value for key, value in named.items() if value}


def traceparent(context: trace.SpanContext) -> str:
    """A W3C Trace Context header."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
