"""Who calls, and on whose behalf: read here from a call's metadata, and nowhere else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote, unquote

from waybill.runtime import semconv
from waybill.runtime.errors import InvalidRequest

DEFAULT_TENANT = "local"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_CORRELATION_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and the run that a call belongs to.

    Attributes:
        tenant: Whose data the call may touch.
        correlation_id: The caller's label; never a capability.
        run_id: The ingestion run, or empty outside one.
        step_span_id: Span id (16 hex digits) of the pipeline step, or empty outside one.
    """

    tenant: str
    correlation_id: str
    run_id: str = ""
    step_span_id: str = ""


_current: ContextVar[Caller] = ContextVar("waybill_caller")


def caller() -> Caller:
    """The caller of the RPC or background work now under way. Raises LookupError outside both."""
    return _current.get()


def caller_or_none() -> Caller | None:
    """The same, or None outside both."""
    return _current.get(None)


def become(who: Caller) -> None:
    """Sets the caller for the rest of this task: an RPC's own task, never a shared one."""
    _current.set(who)


@contextmanager
def acting_as(who: Caller) -> Iterator[None]:
    """Does background work on somebody's behalf."""
    token = _current.set(who)
    try:
        yield
    finally:
        _current.reset(token)


def from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
    """The caller that a call's metadata names.

    Raises:
        InvalidRequest: TENANT_INVALID or CORRELATION_ID_INVALID.
    """
    headers = {key: value for key, value in metadata if isinstance(value, str)}
    baggage = _parse_baggage(headers.get(semconv.BAGGAGE_HEADER, ""))
    tenant = headers.get(semconv.TENANT_HEADER, DEFAULT_TENANT)
    given = headers.get(semconv.CORRELATION_HEADER) or baggage.get(semconv.CORRELATION_ID)
    correlation_id = given or str(uuid.uuid4())
    check(tenant, correlation_id)
    step = baggage.get(semconv.STEP_SPAN_ID, "")
    return Caller(
        tenant=tenant,
        correlation_id=correlation_id,
        run_id=_uuid_or_empty(baggage.get(semconv.RUN_ID, "")),
        step_span_id=step if _SPAN_ID.fullmatch(step) else "",
    )


def check(tenant: str, correlation_id: str) -> None:
    """Raises InvalidRequest, TENANT_INVALID or CORRELATION_ID_INVALID, where no call can carry one."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidRequest(
            "TENANT_INVALID",
            f"{semconv.TENANT_HEADER} takes 1 to 63 ASCII letters, digits, dots, dashes, underscores or @,"
            " and begins with a letter or digit.",
        )
    if not _CORRELATION_ID.fullmatch(correlation_id):
        raise InvalidRequest(
            "CORRELATION_ID_INVALID",
            f"{semconv.CORRELATION_HEADER} takes 1 to 128 visible ASCII characters.",
        )


def to_metadata(who: Caller) -> list[tuple[str, str]]:
    """The metadata that carries a caller to the next service."""
    members = {
        semconv.CORRELATION_ID: who.correlation_id,
        semconv.RUN_ID: who.run_id,
        semconv.STEP_SPAN_ID: who.step_span_id,
    }
    baggage = ",".join(f"{key}={quote(value, safe='')}" for key, value in members.items() if value)
    return [(semconv.TENANT_HEADER, who.tenant), (semconv.BAGGAGE_HEADER, baggage)]


def _parse_baggage(header: str) -> Mapping[str, str]:
    """Members of a W3C Baggage header; properties after ';' are dropped."""
    members = (member.split(";", 1)[0].partition("=") for member in header.split(","))
    return {key.strip(): unquote(value.strip()) for key, sign, value in members if sign}


def _uuid_or_empty(text: str) -> str:
    try:
        return str(uuid.UUID(text)) if text else ""
    except ValueError:
        return ""
