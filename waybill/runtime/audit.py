"""Who did what, with which credential: told here, and kept by the ledger, which appends and never changes it.

    await audit.record("link.download", key)        what must not happen untold: the call fails with it
    audit.note("keys.reload", "openai")             what has happened, or must happen all the same
    with audit.noted("run.cancel", run_id): ...     the same; an error that leaves the block is its outcome

`note` writes a log line at once. The row follows in the background, again and again until the ledger has it;
what a process could not hand over by its end is in its log alone, and it says so there.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import grpc
import structlog

from waybill.ledger.v1.audit_pb2 import AuditEvent, RecordAuditRequest
from waybill.runtime import identity
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import ServiceError, from_status
from waybill.runtime.loops import repeating
from waybill.runtime.wire import moment, timestamp

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

OK = "OK"
# Of a call to the ledger; one that restarts is waited for.
CALL_SECONDS = 10.0
# How long a process that ends goes on to hand over what it has noted.
LAST_SECONDS = 3.0
AT_ONCE = 100
MOST_WAITING = 10_000
LONGEST_PAUSE_SECONDS = 60.0
MOST_DETAILS, MOST_CHARS, MOST_TARGET_CHARS = 16, 256, 1_280
ACTION = re.compile(r"[a-z]+(?:[._][a-z]+)*")
# How secrets look: by what keys begin with, a JSON Web Token, a header, a password in a URL, a parameter.
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|llx|whsec|sb_secret|sb_publishable)[-_][\w-]{6,}"
    r"|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"
    r"|(?i:\b(?:bearer|basic)\s+)\S+"
    r"|(?<=://)[^/\s@]+(?=@)"
    r"|(?i:(?<=key=)|(?<=token=)|(?<=secret=)|(?<=password=)|(?<=signature=))[^&\s]+"
)
log = structlog.get_logger()


@dataclass(frozen=True)
class Event:
    """That somebody did something.

    Attributes:
        who: The caller; without tenant where nobody called.
        tenant: Who may see it; empty: it concerns all tenants.
        action: Lower-case words with a dot between them.
        target: What it was done to.
        outcome: OK, or the reason of the failure.
        detail: Short facts by name; never document text.
        event_id: Told twice under the same id, it is kept once.
        at: When.
    """

    who: identity.Caller
    tenant: str
    action: str
    target: str
    outcome: str = OK
    detail: Mapping[str, str] = field(default_factory=dict)
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime.datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        """What looks like a secret is masked, whoever wrote it into a name or a reason."""
        facts = [(name[:MOST_CHARS], masked(value)[:MOST_CHARS]) for name, value in self.detail.items()]
        who = replace(self.who, correlation_id=masked(self.who.correlation_id))
        object.__setattr__(self, "who", who)
        object.__setattr__(self, "target", masked(self.target)[:MOST_TARGET_CHARS])
        object.__setattr__(self, "detail", dict(facts[:MOST_DETAILS]))


def masked(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRETS.sub("***", text)


Write = Callable[[Sequence[Event]], Awaitable[object]]
NOBODY = identity.Caller("", "")


class Audit:
    """One process's way to tell what is done.

    Args:
        write: Keeps events; harmless when repeated. Raises ServiceError.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: deque[Event] = deque()
        self._woken = asyncio.Event()

    async def record(
        self,
        action: str,
        target: str,
        outcome: str = OK,
        detail: Mapping[str, str] | None = None,
        *,
        operators: bool = False,
    ) -> None:
        """Returns once it is kept.

        Args:
            action: See Event; so are target, outcome and detail.
            target: What it was done to.
            outcome: OK, or the reason of the failure.
            detail: Short facts by name.
            operators: It concerns all tenants: the operator's to see.

        Raises:
            ServiceError: It is not; what it tells of must not be done.
        """
        event = _event(action, target, outcome, detail, operators)
        _tell(event)
        await self._write([event])

    def note(
        self,
        action: str,
        target: str,
        outcome: str = OK,
        detail: Mapping[str, str] | None = None,
        *,
        operators: bool = False,
    ) -> None:
        """Returns at once; takes what `record` takes."""
        event = _event(action, target, outcome, detail, operators)
        _tell(event)
        if len(self._waiting) >= MOST_WAITING:
            log.error("an audited event is in the log alone: too many wait for the ledger")
            return
        self._waiting.append(event)
        self._woken.set()

    @contextmanager
    def noted(self, action: str, target: str, detail: Mapping[str, str] | None = None) -> Iterator[None]:
        """Notes how the block ends."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, grpc.aio.AioRpcError):
                reason = from_status(error).reason
            else:
                reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
            self.note(action, target, reason, detail)
            raise
        self.note(action, target, OK, detail)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Hands over what is noted while the block runs, and what is left at its end."""
        pause = LONGEST_PAUSE_SECONDS
        async with repeating("audit", self._hand_over, pause, self._woken, most_seconds=pause):
            yield
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._hand_over()
        except (ServiceError, TimeoutError) as error:
            log.error(
                "audited events are in the log alone",
                count=len(self._waiting),
                error=type(error).__name__,
            )

    async def _hand_over(self) -> None:
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(AT_ONCE, len(self._waiting)))]
            await self._write(batch)
            for _ in batch:
                self._waiting.popleft()


def to_ledger(ledger: LedgerServiceAsyncStub) -> Write:
    """Writes by the ledger's RPC."""

    async def write(events: Sequence[Event]) -> None:
        request = RecordAuditRequest(events=[to_message(event) for event in events])
        try:
            await ledger.RecordAudit(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_status(error) from error

    return write


async def log_alone(events: Sequence[Event]) -> None:
    """Writes nothing: for a process that is given no ledger. The log has a line of each all the same."""


def to_message(event: Event) -> AuditEvent:
    """An event, as it travels."""
    return AuditEvent(
        event_id=event.event_id,
        tenant=event.tenant,
        event_time=timestamp(event.at),
        action=event.action,
        target=event.target,
        outcome=event.outcome,
        detail=event.detail,
        caller=event.who.tenant,
        subject=event.who.subject,
        credential_id=event.who.credential_id,
        correlation_id=event.who.correlation_id,
    )


def from_message(event: AuditEvent) -> Event:
    """The reverse."""
    who = identity.Caller(
        event.caller, event.correlation_id, subject=event.subject, credential_id=event.credential_id
    )
    at = moment(event.event_time)
    detail = dict(event.detail)
    return Event(who, event.tenant, event.action, event.target, event.outcome, detail, event.event_id, at)


def _event(
    action: str, target: str, outcome: str, detail: Mapping[str, str] | None, operators: bool
) -> Event:
    who = identity.caller_or_none() or NOBODY
    return Event(who, "" if operators else who.tenant, action, target, outcome, detail or {})


def _tell(event: Event) -> None:
    log.info(
        "audit",
        event_id=event.event_id,
        action=event.action,
        target=event.target,
        outcome=event.outcome,
        detail=dict(event.detail),
        subject=event.who.subject,
        credential_id=event.who.credential_id,
    )
