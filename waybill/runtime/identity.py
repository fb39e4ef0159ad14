"""Who calls, and on whose behalf: read here from a call's metadata, and nowhere else."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, unquote

from waybill.runtime import semconv
from waybill.runtime.errors import Credential, InvalidRequest

DEFAULT_TENANT = "local"
# The credential of who showed the stack's token: it is one for all.
STACK_CREDENTIAL = "stack-token"
# Of the names that a call may carry.
MAX_COLLECTION_BYTES, MAX_DOCUMENT_KEY_BYTES = 128, 1024
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_CORRELATION_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and the run that a call belongs to.

    Attributes:
        tenant: Whose data the call may touch.
        correlation_id: The caller's label; never a capability.
        run_id: The ingestion run, or empty outside one.
        step_span_id: Span id (16 hex digits) of the pipeline step, or empty outside one.
        collection: Of the document, or of the search, that the work is for; empty where that is not known.
        document_key: The document that the work is for; empty outside a run.
        subject: Who, as the issuer of their token names them; empty where none was asked for.
        credential_id: Which credential they showed: the id of their token's key, or STACK_CREDENTIAL.
    """

    tenant: str
    correlation_id: str
    run_id: str = ""
    step_span_id: str = ""
    collection: str = ""
    document_key: str = ""
    subject: str = ""
    credential_id: str = ""


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a verified token says.

    Attributes:
        tenant: Whose data its bearer may touch.
        subject: Who it was given to.
        credential_id: The id of the key that signed it.
    """

    tenant: str
    subject: str
    credential_id: str


class Verifier(Protocol):
    """Tells a good token from others."""

    async def verify(self, token: str) -> Bearer:
        """Raises Credential where it is not good, Unavailable where that cannot be told now."""


_SIGN_IN = "the JSON Web Token of your sign-in. Set WAYBILL_TOKEN, or give connect() one."
_OF_STACK = (
    "`stack.token` in the state folder of who started the stack. There the command line and connect() send "
    "it by themselves; elsewhere set WAYBILL_TOKEN."
)
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


@dataclass(frozen=True)
class Door:
    """Whom a server lets in.

    Attributes:
        verifier: Of callers' tokens, which then say the tenant; None: callers name it.
        service_secret: What our own services show, and are then believed; empty: none is known.
        stack_token: What all others show where no verifier is; empty: nothing.
    """

    verifier: Verifier | None = None
    service_secret: str = field(default="", repr=False)
    stack_token: str = field(default="", repr=False)

    async def admit(self, metadata: Iterable[tuple[str, str | bytes]], services_only: bool = False) -> Caller:
        """Who calls.

        Args:
            metadata: Of the call.
            services_only: Where anybody must show something, nothing but the service's secret will do.

        Raises:
            InvalidRequest: TENANT_INVALID or CORRELATION_ID_INVALID.
            Credential: What came shows nobody who may call; the reason says what to send.
            Unavailable: A token cannot be verified now.
        """
        headers = {key: value for key, value in metadata if isinstance(value, str)}
        named = _named(headers)
        shown = headers.get(semconv.SERVICE_HEADER)
        if shown is not None and self.service_secret:
            if not _same(shown, self.service_secret):
                raise Credential(
                    "SERVICE_SECRET_WRONG",
                    f"{semconv.SERVICE_HEADER} is not this stack's. Only its own services send one: "
                    "set the same WAYBILL_SERVICE_SECRET for all of them.",
                )
            return named
        if services_only and (self.verifier or self.stack_token):
            raise Credential(
                "SERVICES_ONLY",
                "Only Waybill's own services may call this. The orchestrator calls it for you.",
            )
        if self.verifier is not None:
            bearer = await self.verifier.verify(_token(headers, _SIGN_IN))
            if headers.get(semconv.TENANT_HEADER, bearer.tenant) != bearer.tenant:
                raise Credential(
                    "TENANT_NOT_OF_TOKEN",
                    f"{semconv.TENANT_HEADER} names another tenant than the token. Leave it out.",
                )
            return Caller(
                bearer.tenant,
                named.correlation_id,
                subject=bearer.subject,
                credential_id=bearer.credential_id,
            )
        named = replace(named, subject="", credential_id="")
        if self.stack_token:
            if not _same(_token(headers, _OF_STACK), self.stack_token):
                raise Credential("TOKEN_INVALID", f"The token is not this stack's, which is {_OF_STACK}")
            return replace(named, credential_id=STACK_CREDENTIAL)
        return named


def _token(headers: Mapping[str, str], wanted: str) -> str:
    """The bearer token of a call. Raises Credential TOKEN_MISSING."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Credential("TOKEN_MISSING", f"A call needs `authorization: Bearer` and a token: {wanted}")
    return token.strip()


def _same(shown: str, known: str) -> bool:
    """Compares secrets in constant time."""
    return hmac.compare_digest(shown.encode(), known.encode())


def _named(headers: Mapping[str, str]) -> Caller:
    """The caller that metadata names, true or not. Raises InvalidRequest."""
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
        collection=_at_most(MAX_COLLECTION_BYTES, baggage.get(semconv.COLLECTION, "")),
        document_key=_at_most(MAX_DOCUMENT_KEY_BYTES, baggage.get(semconv.DOCUMENT_KEY, "")),
        subject=baggage.get(semconv.SUBJECT, ""),
        credential_id=baggage.get(semconv.CREDENTIAL_ID, ""),
    )


def is_tenant(name: str) -> bool:
    """Whether a tenant can have this name."""
    return bool(_TENANT.fullmatch(name))


def check(tenant: str, correlation_id: str) -> None:
    """Raises InvalidRequest, TENANT_INVALID or CORRELATION_ID_INVALID, where no call can carry one."""
    if not is_tenant(tenant):
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
        semconv.COLLECTION: who.collection,
        semconv.DOCUMENT_KEY: who.document_key,
        semconv.SUBJECT: who.subject,
        semconv.CREDENTIAL_ID: who.credential_id,
    }
    baggage = ",".join(f"{key}={quote(value, safe='')}" for key, value in members.items() if value)
    return [(semconv.TENANT_HEADER, who.tenant), (semconv.BAGGAGE_HEADER, baggage)]


def bearing(token: str) -> list[tuple[str, str]]:
    """The metadata that shows a token; none without one. Raises Credential TOKEN_INVALID."""
    if token and not _TOKEN.fullmatch(token):
        raise Credential(
            "TOKEN_INVALID", "The token has a space or a character that none has. Copy it again."
        )
    return [("authorization", f"Bearer {token}")] if token else []


def shown(service_secret: str) -> list[tuple[str, str]]:
    """The metadata by which a service of ours is known; none without a secret."""
    return [(semconv.SERVICE_HEADER, service_secret)] if service_secret else []


def _parse_baggage(header: str) -> Mapping[str, str]:
    """Members of a W3C Baggage header; properties after ';' are dropped."""
    members = (member.split(";", 1)[0].partition("=") for member in header.split(","))
    return {key.strip(): unquote(value.strip()) for key, sign, value in members if sign}


def _at_most(size_bytes: int, text: str) -> str:
    """A name; empty where no document can have it, since a stranger's baggage may hold anything."""
    return text if len(text.encode()) <= size_bytes and "\0" not in text else ""


def _uuid_or_empty(text: str) -> str:
    try:
        return str(uuid.UUID(text)) if text else ""
    except ValueError:
        return ""
