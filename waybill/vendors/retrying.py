"""The one place that repeats a vendor's call.

`retrying` stands outermost of `retrying(breaker(metered(vendor)))`: a vendor's own SDK has its retries
off. What may be repeated, the error says:

    error that names its vendor in its metadata      repeated             counts as an attempt
    Unavailable: nobody knows whether it acted       yes                  yes
    VendorContract: an answer that cannot be right   once                 yes
    a refusal with `retry_after_seconds`             until time runs out  no: it cost nothing
    any other refusal                                never
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from opentelemetry import trace

from waybill.runtime import deadline, semconv
from waybill.runtime.errors import Quota, ServiceError, Unavailable, VendorContract

T = TypeVar("T")


@dataclass(frozen=True)
class Policy:
    """How long a vendor's call is repeated, and how soon.

    Attributes:
        attempts: Attempts that may have cost something.
        contract_attempts: Of these, attempts whose answer was one that cannot be right.
        patience_seconds: In all; a caller's deadline that is nearer counts instead.
        first_seconds: Upper bound of the first back-off; it doubles each time.
        most_seconds: The largest back-off. Where the vendor says when, that counts instead.
        most_limited_seconds: The same at a rate limit.
        limited_seconds: How long a vendor is asked that refuses all for its rate limit, on behalf of who goes
            on without it. Rates are counted by the minute.
        answer_seconds: Left to the caller to hear of the failure before its own deadline.
    """

    attempts: int = 6
    contract_attempts: int = 2
    patience_seconds: float = 300.0
    first_seconds: float = 0.5
    most_seconds: float = 4.0
    most_limited_seconds: float = 30.0
    limited_seconds: float = 60.0
    answer_seconds: float = 0.5


async def retrying(
    call: Callable[[], Awaitable[T]],
    policy: Policy,
    *,
    gives_up: Callable[[], bool] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rng: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Repeats a vendor's call, with full-jitter back-off, never sooner than the vendor asks.

    Args:
        call: The vendor's.
        policy: How long, and how soon.
        gives_up: Says after a failure that no repeat is wanted.
        sleep: Waits so many seconds.
        rng: From 0 to 1.
        clock: Monotonic seconds.

    Raises:
        ServiceError: The last error. A refusal that may still be lifted is Unavailable by then, so that
            the caller may go on where this gave up.
    """
    until = clock() + (deadline.remaining_seconds(policy.patience_seconds) or 0.0) - policy.answer_seconds
    repeats = costly = senseless = 0
    while True:
        try:
            return await call()
        except ServiceError as error:
            if not _repeatable(error):
                raise
            costly += isinstance(error, Unavailable | VendorContract)
            senseless += isinstance(error, VendorContract)
            wait = _wait_seconds(policy, error, repeats, rng())
            enough = costly >= policy.attempts or senseless >= policy.contract_attempts
            if enough or clock() + wait >= until or (gives_up is not None and gives_up()):
                raise _last(error) from None
            trace.get_current_span().add_event(
                semconv.RETRY_EVENT, {semconv.ERROR_TYPE: error.reason, semconv.RETRY_WAIT: wait}
            )
        repeats += 1
        await sleep(wait)


def _repeatable(error: ServiceError) -> bool:
    if semconv.VENDOR not in error.metadata:
        return False
    return isinstance(error, Unavailable | VendorContract) or error.retry_after_seconds is not None


def _wait_seconds(policy: Policy, error: ServiceError, repeats: int, luck: float) -> float:
    if error.retry_after_seconds:
        # A little later than asked, so that those who were refused together do not return together.
        return error.retry_after_seconds + luck * policy.first_seconds / 2
    most = policy.most_limited_seconds if isinstance(error, Quota) else policy.most_seconds
    return luck * min(most, policy.first_seconds * 2.0 ** min(repeats, 20))


def _last(error: ServiceError) -> ServiceError:
    if isinstance(error, VendorContract):
        return error
    return Unavailable(error.reason, error.message, error.metadata, error.retry_after_seconds)
