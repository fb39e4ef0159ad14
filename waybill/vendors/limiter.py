"""Sends no more than the vendor allows: waits instead of being refused.

The vendor's buckets (requests and tokens a minute) are mirrored from its answers' rate-limit headers.
Until the first answer nothing is known, and only concurrency is bounded.

There are two lanes: calls of an ingest, which belong to a run, and calls of a question, which belong to none.
Each lane has its own places and its own door, so a question waits for no ingest. Within a lane, tenants have
turns, then each tenant's runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from waybill.runtime import deadline, identity, semconv
from waybill.runtime.errors import Quota
from waybill.runtime.fair import Places
from waybill.vendors.rate_headers import NAMES, Allowance, allowances

PATIENCE_SECONDS = 300.0
# Left of the caller's deadline for the request itself, and for the answer about it.
RESERVE_SECONDS = 2.0
PERIOD_SECONDS = 60.0
# Of the vendor's limits, as long as an ingest waits for these.
QUESTIONS_SHARE = 0.25


class Limiter:
    """Whose turn it is to send.

    Args:
        vendor: For errors.
        concurrency: Requests of each lane under way at a time.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.
        requests_per_minute: Where the vendor's answers do not tell it; 0 where they do, or there is no limit.
    """

    def __init__(
        self,
        vendor: str,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        requests_per_minute: int = 0,
    ) -> None:
        self._vendor = vendor
        self._clock = clock
        self._sleep = sleep
        self._ingests = _Lane(concurrency)
        self._questions = _Lane(concurrency)
        self._buckets = {name: _Bucket(clock()) for name in NAMES}
        self._share = {name: _Bucket(clock()) for name in NAMES}
        self._paused_until = 0.0
        if requests_per_minute:
            self._learn("requests", Allowance(requests_per_minute, requests_per_minute, None), clock())

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """Waits until a request of so many tokens may be sent.

        Raises:
            Quota: VENDOR_RATE_LIMITED, where that is not within the caller's deadline.
        """
        who = identity.caller()
        lane = self._ingests if who.run_id else self._questions
        left = max(0.0, (deadline.remaining_seconds(PATIENCE_SECONDS) or 0.0) - RESERVE_SECONDS)
        until = self._clock() + left
        async with AsyncExitStack() as place:
            try:
                async with asyncio.timeout(left):
                    await place.enter_async_context(lane.places.turn(who.tenant, who.run_id))
            except TimeoutError:
                raise self._refusal(1.0) from None
            async with lane.door:
                await self._draw(tokens, lane, until)
            yield

    async def leisure(self, requests: float, at_most: float) -> None:
        """Waits until the vendor would take so many requests at once, so that nothing else lacks one.

        Args:
            requests: The whole bucket, if that is smaller.
            at_most: Seconds; then what can wait has waited long enough.
        """
        bucket, until = self._buckets["requests"], self._clock() + at_most
        while (left := until - self._clock()) > 0:
            wait = bucket.wait_seconds(requests, self._clock())
            if wait <= 0:
                return
            await self._sleep(min(wait, left))

    def spend(self) -> None:
        """Counts a request that takes no turn, such as a probe."""
        self._buckets["requests"].take(1, self._clock())

    def learn(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Takes over what an answer says about the buckets.

        Args:
            headers: The answer's, whatever its status.
            sent_at: When its request was sent, on this limiter's clock.
        """
        for name, allowance in allowances(headers).items():
            self._learn(name, allowance, sent_at)

    def emptied(self, seconds: float) -> None:
        """The vendor has no request left for so long: it counts otherwise, or others use the key, too."""
        self._buckets["requests"].empty(self._clock())
        self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """The vendor asks for silence."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def now(self) -> float:
        """The limiter's clock, for `learn`."""
        return self._clock()

    def _learn(self, name: str, allowance: Allowance, sent_at: float) -> None:
        now, share = self._clock(), allowance.limit * QUESTIONS_SHARE
        self._buckets[name].learn(allowance, now, sent_at)
        self._share[name].learn(Allowance(share, share, None), now, now)

    async def _draw(self, tokens: int, lane: _Lane, until: float) -> None:
        """Takes a request's need out of the buckets, once they have it."""
        needs = dict(zip(NAMES, (1, tokens), strict=True))
        while (wait := self._wait_seconds(needs, lane)) > 0:
            if self._clock() + wait > until:
                raise self._refusal(wait)
            await self._sleep(wait)
        for buckets in self._of(lane):
            for name, need in needs.items():
                buckets[name].level -= need

    def _wait_seconds(self, needs: Mapping[str, int], lane: _Lane) -> float:
        now = self._clock()
        waits = (
            buckets[name].wait_seconds(need, now)
            for buckets in self._of(lane)
            for name, need in needs.items()
        )
        return max(self._paused_until - now, *waits)

    def _of(self, lane: _Lane) -> Sequence[Mapping[str, _Bucket]]:
        """The buckets that bind a lane."""
        bounded = lane is self._questions and self._ingests.door.locked()
        return (self._buckets, self._share) if bounded else (self._buckets,)

    def _refusal(self, wait: float) -> Quota:
        return Quota(
            "VENDOR_RATE_LIMITED",
            f"{self._vendor}'s rate limit leaves no room within this call's deadline. Repeat it later.",
            {semconv.VENDOR: self._vendor},
            wait,
        )


class _Lane:
    """Places, and a door that one passes at a time: who stands in it waits for the vendor's limits."""

    def __init__(self, places: int) -> None:
        self.places = Places(places)
        self.door = asyncio.Lock()


class _Bucket:
    """One limit of the vendor's, as far as it is known; `level` counts down from 0 until it is."""

    def __init__(self, now: float) -> None:
        self.level = 0.0
        self._limit: float | None = None
        self._rate = 0.0
        self._at = now

    def take(self, amount: float, now: float) -> None:
        self._refill(now)
        self.level -= amount

    def empty(self, now: float) -> None:
        self._refill(now)
        if self._limit is not None:
            self.level = min(self.level, 0.0)

    def learn(self, allowance: Allowance, now: float, sent_at: float) -> None:
        self._refill(now)
        # What was used of a larger limit is not missing from a smaller one, which only caps the level.
        self.level += max(0.0, allowance.limit - (self._limit or 0.0))
        self._limit, self._rate = allowance.limit, allowance.rate(PERIOD_SECONDS)
        # The vendor counted when the request came, and has refilled since. Our own level knows of the
        # requests still under way; the vendor's of other users of the key: the smaller is right.
        self.level = min(self.level, allowance.remaining + self._rate * (now - sent_at), self._limit)

    def wait_seconds(self, need: float, now: float) -> float:
        if self._limit is None:
            return 0.0
        self._refill(now)
        # What is larger than the whole bucket is for the vendor to judge, when the bucket is full.
        short = min(need, self._limit) - self.level
        # A clock that is read twice moves: 1 ms more spares a second look.
        return short / self._rate + 0.001 if short > 1e-6 else 0.0

    def _refill(self, now: float) -> None:
        if self._limit is not None:
            self.level = min(self._limit, self.level + self._rate * (now - self._at))
        self._at = now
