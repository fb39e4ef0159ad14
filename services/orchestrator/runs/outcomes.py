"""What a step or a run comes to: a value or a failure, as JSON, or that it waits."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import structlog

from services.orchestrator.runs.rows import Outcome
from services.orchestrator.runs.waits import BUDGET, SERVICE, VENDOR
from waybill.runtime import deadline, semconv
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Deadline, ServiceError, Unavailable
from waybill.runtime.retry import noting
from waybill.vendors.choosing import EMBEDDER, PARSER, waited_for

T = TypeVar("T")
log = structlog.get_logger()

CANCELLED = {"reason": "CANCELLED", "message": "The run was cancelled. `waybill retry` takes it up again."}
EXPIRED = {
    "reason": "EXPIRED",
    "message": "The run was not done by its complete_by. Retry it with a later one.",
}
POISON = {
    "reason": "POISON",
    "message": "This document ended the process that worked on it three times. Look at it, and at the log.",
}


@dataclasses.dataclass
class StepFailed(Exception):
    """A step ended in an error that repeating does not mend."""

    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a run ends.

    Attributes:
        heals: Where it is degraded, whether it is healed by itself.
    """

    state: str = "READY"
    reason: str = ""
    message: str = ""
    heals: bool = True


@dataclasses.dataclass(frozen=True)
class Noted(Generic[T]):
    """What a step answers, and what it found out of its run: both are written as it ends."""

    value: T
    columns: Mapping[str, Any]


@dataclasses.dataclass
class RunWaits(Exception):
    """A step's work is with a vendor, or waits for one, or for a service of ours, or for a budget.

    The run lets go of its place until it is woken.

    The step stays open, and its body begins again then.

    Attributes:
        kind: What knows of it; see `runs/waits.py`.
        ref: Which one of its kind.
        look_at: When it is looked at first.
        state: The run's meanwhile.
        reason: Why, where that is more than the state says; stable.
        message: The same for people, with what to do.
    """

    kind: str
    ref: str
    look_at: datetime.datetime
    state: str = "WAITING_ON_VENDOR"
    reason: str = ""
    message: str = ""


class TwinUnderWay(Exception):
    """Another run of the same content of the document is under way: this one begins after it."""


async def in_time(body: Callable[[], Awaitable[Any]], seconds: float | None) -> Outcome:
    """Runs a step's body for so long at most; late, it is EXPIRED, and says what it waited for to the end.

    Raises:
        Unavailable, Deadline, RunWaits: As `outcome_of`.
    """
    with noting() as awaited:
        try:
            async with asyncio.timeout(seconds):
                # A task has a context of its own: the step's deadline ends with it.
                return await asyncio.create_task(outcome_of(body, seconds))
        except TimeoutError:
            return {"failed": expired("".join(error.message for error in awaited))}


async def outcome_of(body: Callable[[], Awaitable[Any]], seconds: float | None) -> Outcome:
    """Runs a step's body under a deadline.

    Raises:
        Unavailable, Deadline: Worth a repeat, or a wait; no other error leaves.
        RunWaits: The body raised it, a vendor that it needs does not serve, or a budget refused what it
            wanted to buy.
    """
    if seconds is None:
        deadline.clear()
    else:
        deadline.start(seconds)
    try:
        value = await body()
    except RunWaits:
        raise
    except ServiceError as error:
        if semconv.BLOCKED_ON in error.metadata:
            raise _blocked(error) from error
        if service := waited_for(error):
            raise _away(service, error) from error
        if isinstance(error, Unavailable | Deadline):
            raise
        return failed(error)
    except Exception as error:
        log.exception("step broke")
        return {"failed": broken("step", error)}
    columns = {}
    if isinstance(value, Noted):
        value, columns = value.value, {"columns": value.columns}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return {"value": value, **columns}


def expired(in_vain: str) -> dict[str, str]:
    """Reason and message of a run that is late; `in_vain` says what it waited for to the end, if anything."""
    more = f" It waited in vain: {in_vain}" if in_vain else ""
    return {**EXPIRED, "message": f"{EXPIRED['message']}{more}"}


def _blocked(error: ServiceError) -> RunWaits:
    """What is done stays; the rest is bought once the budget allows it."""
    now = utc_now()
    ref = error.metadata[semconv.BLOCKED_ON]
    log.info("run waits for a budget", blocked_on=ref)
    return RunWaits(BUDGET, ref, now, "BLOCKED_ON_BUDGET", error.reason, error.message)


def _away(service: str, error: ServiceError) -> RunWaits:
    """What is done stays; the rest is done once the vendor of a service serves."""
    now = utc_now()
    log.info("run waits for a vendor", service=service, reason=error.reason)
    return RunWaits(VENDOR, service, now, reason=error.reason, message=error.message)


def missed(step: str, away: Sequence[str]) -> Sequence[str]:
    """Of services that do not answer, those that a step may have needed; all of them where it needs none."""
    idle = EMBEDDER if step == "parse" else PARSER
    return [name for name in away if name != idle] or away


def for_services(error: ServiceError, away: Sequence[str]) -> RunWaits | None:
    """The wait of a step that services of ours have failed; None where repeating it later mends nothing.

    Args:
        error: The last one, after much patience.
        away: Those that do not answer, as `missed` has them.
    """
    if away:
        return for_silent(away)
    if semconv.VENDOR in error.metadata or not isinstance(error, Unavailable):
        return None
    log.info("run waits for services of ours", reason=error.reason)
    return RunWaits(SERVICE, "", utc_now(), reason=error.reason, message=error.message)


def for_silent(services: Sequence[str]) -> RunWaits:
    """The wait of a step that these services of ours do not answer."""
    log.info("run waits for services of ours", away=services)
    text = "The run goes on by itself once there is one; `waybill status` tells more."
    message = f"No answer from {' and '.join(services)}. {text}"
    return RunWaits(SERVICE, " ".join(services), utc_now(), reason="SERVICE_AWAY", message=message)


def failed(error: ServiceError) -> Outcome:
    """The outcome of a step whose body raised this."""
    log.warning("step failed", reason=error.reason)
    return {"failed": {"reason": error.reason, "message": error.message}}


def broken(what: str, error: Exception) -> dict[str, str]:
    """Reason and message for an error that nobody foresaw; its own text may hold a document's."""
    message = f"The {what} broke ({type(error).__name__}): a defect of Waybill. Its log tells more."
    return {"reason": "INTERNAL_ERROR", "message": message}
