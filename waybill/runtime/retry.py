"""Repeats a call between our own services; a vendor's is repeated by `vendors.retrying` alone.

Only `Unavailable` is repeated: by a pipeline step, and by the last word of a vendor attempt (settle,
release), whose answer must reach the ledger also while that restarts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import stamina

from waybill.runtime.errors import Unavailable, from_status

T = TypeVar("T")


async def insist(operation: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """Repeats an idempotent operation while it is Unavailable, with full-jitter back-off up to 1 s.

    Args:
        operation: Must be harmless when repeated.
        seconds: When to give up; the last error travels then.

    Raises:
        ServiceError: Also for a failed gRPC call, translated.
    """
    async for attempt in stamina.retry_context(
        on=Unavailable, attempts=None, timeout=seconds, wait_initial=0.05, wait_max=1.0, wait_jitter=0.2
    ):
        with attempt:
            try:
                return await operation()
            except grpc.aio.AioRpcError as error:
                raise from_status(error) from error
    raise AssertionError("unreachable: stamina raises the last error")
