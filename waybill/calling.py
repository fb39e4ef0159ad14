"""A stub's calls as a caller wants them: with a token, repeated where harmless, errors as exceptions."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from waybill.runtime import identity, tls
from waybill.runtime.errors import NO_ANSWER, Credential, Deadline, ServiceError, Unavailable, from_status

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0
# Nothing but somebody's hand ends it, so that a caller hears of it at once.
_STAYS = "STORAGE_FULL"


def idempotent(rpc_path: str) -> bool:
    """Whether the contract says that the RPC of this path ("/package.Service/Method") may be repeated."""
    name = rpc_path.lstrip("/").replace("/", ".")
    options = descriptor_pool.Default().FindMethodByName(name).GetOptions()
    return bool(options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What each call carries, and how it is repeated.

    Attributes:
        metadata: Added to every call.
        deadline_seconds: For a call that names no timeout, repeats included.
        monotonic: Clock, in seconds.
        sleep: Waits that many seconds.
        token: What a call to an address shows; nothing where it is empty.
        ca: PEM of the authorities that channels trust.
    """

    metadata: tuple[tuple[str, str], ...] = ()
    deadline_seconds: float = 60.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = threading.Event().wait
    token: Callable[[str], str] = lambda _: ""
    ca: Path | None = None

    def headers(self, address: str) -> tuple[tuple[str, str], ...]:
        """The metadata of a call to an address now. Raises Credential where its token cannot be sent."""
        shown = identity.bearing(self.token(address))
        if shown and not (tls.is_tls(address) or tls.is_loopback(address)):
            raise Credential(
                "TOKEN_IN_CLEAR",
                f"The token would go to {address} in clear. Write the address as {tls.SCHEME}{address}.",
            )
        return (*self.metadata, *shown)

    def unreachable(self, address: str, otherwise: str) -> Unavailable:
        """Why no call comes to an address: TLS_MISMATCH with the cause, else NOT_REACHABLE as given."""
        if wrong := tls.mismatch(address, self.ca):
            return Unavailable("TLS_MISMATCH", wrong)
        return Unavailable("NOT_REACHABLE", otherwise)

    def paused(self, failure: ServiceError, attempt: int, ends_at: float) -> bool:
        """Waits before the next attempt; False at once where none may follow."""
        pause = min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS)
        pause = max(pause, failure.retry_after_seconds or 0.0)
        # A call that we did not cancel was cut off by a server that stops.
        passes = isinstance(failure, Unavailable) and failure.reason != _STAYS
        if not passes or self.monotonic() + pause >= ends_at:
            return False
        self.sleep(pause)
        return True


class _Call:
    """One RPC of a stub, its plain call form alone."""

    def __init__(self, path: str, send: Callable[..., Any], policy: CallPolicy, address: str) -> None:
        self._send = send
        self._policy = policy
        self._address = address
        self._repeatable = idempotent(path)

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        ends_at = self._ends_at(timeout)
        for attempt in itertools.count():
            try:
                return self._begin(request, ends_at)
            except grpc.RpcError as error:
                self._pause_or_raise(error, attempt, ends_at)
        raise AssertionError("unreachable")

    def _begin(self, request: Any, ends_at: float) -> Any:
        left = max(0.0, ends_at - self._policy.monotonic())
        return self._send(request, timeout=left, metadata=self._policy.headers(self._address))

    def _ends_at(self, timeout: float | None) -> float:
        return self._policy.monotonic() + (self._policy.deadline_seconds if timeout is None else timeout)

    def _pause_or_raise(self, error: grpc.RpcError, attempt: int, ends_at: float) -> None:
        failure = self._failure(error)
        if not self._repeatable or not self._policy.paused(failure, attempt, ends_at):
            raise failure from error

    def _failure(self, error: grpc.RpcError) -> ServiceError:
        failure = from_status(error)
        if isinstance(failure, Deadline) and failure.message == NO_ANSWER:
            failure.message = f"{self._address} has not answered in time."
            if wrong := tls.mismatch(self._address, self._policy.ca):
                return Unavailable("TLS_MISMATCH", wrong)
        return failure


class _CallSendingStream(_Call):
    """Requests that can be iterated again can be sent again; an iterator is spent after one attempt."""

    def _begin(self, request: Iterable[Any], ends_at: float) -> Any:
        try:
            return super()._begin(iter(request), ends_at)
        except grpc.RpcError as error:
            if iter(request) is request:
                raise self._failure(error) from error
            raise


class _CallReceivingStream(_Call):
    """A stream that broke after its first message is not repeated: what came cannot be unsaid."""

    def __call__(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        ends_at = self._ends_at(timeout)
        for attempt in itertools.count():
            call, begun = self._begin(request, ends_at), False
            try:
                for answer in call:
                    begun = True
                    yield answer
                return
            except grpc.RpcError as error:
                if begun:
                    raise self._failure(error) from error
                self._pause_or_raise(error, attempt, ends_at)
            finally:
                call.cancel()


class Calls:
    """What a generated stub asks of a channel, answered with our calls.

    A channel of grpcio-testing takes no interceptor (it lacks arguments that those forward), so a stub's
    calls are wrapped by hand.
    """

    def __init__(self, channel: grpc.Channel, policy: CallPolicy, address: str) -> None:
        self._channel = channel
        self._with = (policy, address)

    def unary_unary(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _Call(path, self._channel.unary_unary(path, *args, **kwargs), *self._with)

    def stream_unary(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _CallSendingStream(path, self._channel.stream_unary(path, *args, **kwargs), *self._with)

    def unary_stream(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _CallReceivingStream(path, self._channel.unary_stream(path, *args, **kwargs), *self._with)

    def stream_stream(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _CallReceivingStream(path, self._channel.stream_stream(path, *args, **kwargs), *self._with)
