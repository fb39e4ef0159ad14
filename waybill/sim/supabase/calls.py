"""What the operations read of a call."""

from __future__ import annotations

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
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"body must have property '{name}' of type {kind.__name__}")
    return value
