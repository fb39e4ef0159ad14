"""A vendor that is down is left alone: no holds, no waiting for time-outs, one try at a time.

Closed, it lets everything through. After some failures in a row it opens and refuses; when its time is
over it lets one call through, whose success closes it and whose failure opens it for longer. A refusal
by the vendor (a bad key, a rate limit) is a success here: somebody answered.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from waybill.runtime import semconv
from waybill.runtime.errors import Credential, Precondition, ServiceError, Unavailable, VendorContract

T = TypeVar("T")
log = structlog.get_logger()


class Breaker:
    """Stands before one vendor.

    Args:
        vendor: Its name, for errors and logs.
        failures: In a row, until it opens.
        open_seconds: How long it is open at first; doubled by each failed try.
        most_seconds: At most. An outage is over by then at the latest for the next caller.
        clock: Monotonic seconds.

    Attributes:
        returns: How often it has closed again.
    """

    def __init__(
        self,
        vendor: str,
        failures: int = 5,
        open_seconds: float = 0.5,
        most_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vendor = vendor
        self._allowed = failures
        self._open_seconds = open_seconds
        self._most_seconds = most_seconds
        self._clock = clock
        self.returns = 0
        self._failures = 0
        self._reason = ""
        self._due_at = 0.0
        self._trying = False
        self._refused = ""

    @property
    def closed(self) -> bool:
        """Whether calls go through."""
        return self._failures < self._allowed

    @property
    def suspect(self) -> bool:
        """Whether it is open, or the last call was refused for what no repeat mends: key, bucket, model."""
        return bool(self._refused) or not self.closed

    @property
    def lack(self) -> str:
        """The reason of the failure that opened it; empty while it is closed."""
        return "" if self.closed else self._reason

    @property
    def ill(self) -> str:
        """Why no work is done there: that, or what the last call was refused for, if no repeat mends it."""
        return self.lack or self._refused

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Makes a call, or refuses it.

        Raises:
            Precondition: For the reason of the failure that opened it, with the time of the next try;
                nothing was sent.
        """
        trial = not self.closed
        if trial:
            self._refuse_unless_due()
            self._trying = True
        try:
            result = await operation()
        except ServiceError as error:
            self._refused = error.reason if _is_lasting(error) else ""
            if _is_down(error):
                self._fail(error.reason)
            elif semconv.VENDOR in error.metadata:
                self._close()
            raise
        finally:
            if trial:
                self._trying = False
        self._refused = ""
        self._close()
        return result

    def _refuse_unless_due(self) -> None:
        left = self._due_at - self._clock()
        if left > 0 or self._trying:
            raise Precondition(
                self._reason,
                f"{self._vendor} does not work ({self._reason}); it is tried again shortly.",
                {semconv.VENDOR: self._vendor},
                max(left, self._open_seconds / 2),
            )

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._reason = reason
        over = self._failures - self._allowed
        if over >= 0:
            seconds = min(self._most_seconds, self._open_seconds * 2 ** min(over, 10))
            self._due_at = self._clock() + seconds
        if over == 0:
            log.warning("vendor is down", vendor=self._vendor, reason=reason, failures=self._failures)

    def _close(self) -> None:
        if not self.closed:
            self.returns += 1
            log.info("vendor is back", vendor=self._vendor)
        self._failures = 0


def _is_lasting(error: ServiceError) -> bool:
    refused = isinstance(error, Credential | Precondition) and error.retry_after_seconds is None
    return semconv.VENDOR in error.metadata and refused


def _is_down(error: ServiceError) -> bool:
    """Nothing came, or nothing that makes sense; an error of our own ledger is not the vendor's."""
    unreached = isinstance(error, Precondition) and error.retry_after_seconds is not None
    return semconv.VENDOR in error.metadata and (unreached or isinstance(error, Unavailable | VendorContract))
