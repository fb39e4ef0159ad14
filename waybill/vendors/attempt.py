"""What goes around each call to a vendor: its key, its time, and HTTP's errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2

from waybill.runtime import deadline
from waybill.runtime.errors import Credential, ServiceError
from waybill.vendors import failures
from waybill.vendors.http import TooLarge
from waybill.vendors.keys import Keys
from waybill.vendors.registry import Vendor

# What is left of the caller's deadline when an attempt is given up, so that the caller hears why. Less
# than the retry policy leaves: a repeat without time of its own would be a doubt of which nothing was sent.
ANSWER_SECONDS = 0.4
Refused = Callable[[httpx2.Response], ServiceError]


def bearer(key: str) -> dict[str, str]:
    """The header that most vendors take a key in."""
    return {"Authorization": f"Bearer {key}"}


class Attempts:
    """Attempts at one vendor.

    Args:
        vendor: Named by the errors.
        keys: One of them goes with each attempt.
        seconds: The longest that an attempt may take.
        refused: Makes the error of a status that is not 200; `failures.KEY_REFUSED` where that is the key's.
        headers: Those that carry a key.
    """

    def __init__(
        self,
        vendor: Vendor,
        keys: Keys,
        seconds: float,
        refused: Refused,
        headers: Callable[[str], dict[str, str]] = bearer,
    ) -> None:
        self._vendor = vendor
        self._keys = keys
        self._seconds = seconds
        self._refused = refused
        self._headers = headers

    @asynccontextmanager
    async def attempt(
        self, at_most: float = 0.0, refused: Refused | None = None
    ) -> AsyncIterator[dict[str, str]]:
        """One attempt's headers and bounds; errors leave as ours, and without their chain.

        Args:
            at_most: Seconds, where they are not the usual ones. A nearer deadline counts.
            refused: In place of the usual one.
        """
        key = self._keys.current()
        left = deadline.remaining_seconds()
        wanted = at_most or self._seconds
        seconds = wanted if left is None else min(wanted, max(0.0, left - ANSWER_SECONDS))
        failure: ServiceError | None = None
        try:
            async with asyncio.timeout(seconds):
                yield self._headers(key)
        except TimeoutError:
            failure = failures.timed_out(self._vendor, seconds)
        except httpx2.HTTPStatusError as error:
            failure = self._refusal(error.response, key, refused or self._refused)
        except httpx2.RequestError as error:
            failure = self._broken(error, seconds)
        if failure is not None:
            raise failure from None
        self._keys.accept(key)

    def _refusal(self, response: httpx2.Response, key: str, refused: Refused) -> ServiceError:
        failure = refused(response)
        if failure.reason == failures.KEY_REFUSED and self._keys.refuse(key):
            # Another key is at hand; each is refused once, so this ends.
            return Credential(failure.reason, failure.message, failure.metadata, 0.0)
        return failure

    def _broken(self, error: httpx2.RequestError, seconds: float) -> ServiceError:
        match error:
            case TooLarge():
                return failures.not_an_answer(self._vendor, f"was not read: {error}")
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                return failures.unreachable(self._vendor)
            case httpx2.TimeoutException():
                return failures.timed_out(self._vendor, seconds)
        return failures.lost(self._vendor)
