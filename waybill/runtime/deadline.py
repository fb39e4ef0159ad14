"""How long the work at hand may still take. Monotonic inside; grpc-timeout on the wire."""

from __future__ import annotations

import time
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("waybill_deadline", default=None)


def start(seconds: float) -> None:
    """Sets the deadline of this task's work."""
    _ends_at.set(time.monotonic() + seconds)


def clear() -> None:
    """Work of this task has no deadline: it belongs to no call."""
    _ends_at.set(None)


def remaining_seconds(at_most: float | None = None) -> float | None:
    """Seconds left, never negative and never above `at_most`; None where nothing bounds the work."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return at_most
    left = max(0.0, ends_at - time.monotonic())
    return left if at_most is None else min(left, at_most)
