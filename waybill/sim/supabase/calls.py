"""What the operations read of a call."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from waybill.sim.routing import Call
from waybill.sim.supabase.errors import invalid
from waybill.sim.supabase.policies import Caller
from waybill.sim.wire import Request

_T = TypeVar("_T")


def whom(call: Call) -> Caller:
    """Whom it acts for."""
    assert isinstance(call.account, Caller)
    return call.account


def field(request: Request, name: str, kind: type[_T], default: _T | None = None) -> _T:
    """A field of the body's JSON.

    Raises:
        Refused: It is missing and has no default, or is of another type.
    """
    body = request.json
    value = body.get(name) if isinstance(body, dict) else None
    if value is None and default is not None:
        return default
    if value is None:
        raise invalid(f"body must have required property '{name}'")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"body/{name} must be {kind.__name__}")
    return value


def body_of(call: Call) -> Request:
    """The call's request, to read its body from; under the fault F6 it breaks off in the middle."""
    request = call.request
    if call.fault is None or call.fault.name != "F6":
        return request
    left = int(request.headers.get("content-length", 0)) // 2

    async def piece() -> bytes:
        nonlocal left
        content = await request.piece()
        left -= len(content)
        if left <= 0 or not content:
            raise ConnectionAbortedError("the fault F6")
        return content

    return dataclasses.replace(request, piece=piece)
