"""Repeats a call between our own services; a vendor's is repeated by `vendors.retrying` alone.

`Unavailable` is repeated: by a pipeline step, and by the last word of a vendor attempt (settle, release),
whose answer must reach the ledger also while that restarts. One that names a vendor was repeated already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import grpc
import stamina

from waybill.runtime import semconv
from waybill.runtime.errors import ServiceError, Unavailable, from_status

T = TypeVar("T")
_awaited: ContextVar[list[Unavailable] | None] = ContextVar("waybill_awaited", default=None)


async def insist(
    operation: Callable[[], Awaitable[T]], *, seconds: float | None, also: tuple[type[ServiceError], ...] = ()
) -> T:
    """Repeats an idempotent operation while one of our own services is away, with back-off up to 1 s.

    Args:
        operation: Must be harmless when repeated.
        seconds: When to give up; the last error travels then. None: never.
        also: Other errors to repeat at: Deadline, where each call has a short one of its own.

    Raises:
        ServiceError: Also for a failed gRPC call, translated.
    """

    def is_ours(error: Exception) -> bool:
        if not isinstance(error, ServiceError) or semconv.VENDOR in error.metadata:
            return False
        return isinstance(error, (Unavailable, *also))

    async for attempt in stamina.retry_context(
        on=is_ours,
        attempts=None,
        timeout=seconds,
        wait_initial=0.05,
        wait_max=1.0,
        wait_jitter=0.2,
    ):
        with attempt:
            try:
                answer = await operation()
            except grpc.aio.AioRpcError as error:
                failure = from_status(error)
                _note(failure)
                raise failure from error
            except Unavailable as error:
                _note(error)
                raise
            _note(None)
            return answer
    raise AssertionError("unreachable: stamina raises the last error")


def _note(error: ServiceError | None) -> None:
    awaited = _awaited.get()
    if awaited is not None:
        awaited[:] = [error] if isinstance(error, Unavailable) else []


@contextmanager
def noting() -> Iterator[list[Unavailable]]:
    """The last error that an `insist` in the block, or in a task begun there, has waited to see pass."""
    awaited: list[Unavailable] = []
    token = _awaited.set(awaited)
    try:
        yield awaited
    finally:
        _awaited.reset(token)
