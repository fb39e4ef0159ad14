"""Rate limits as token buckets: requests and tokens a minute, refilled continuously, full at first."""

from __future__ import annotations

from dataclasses import dataclass

from waybill.sim.clock import Clock


@dataclass(frozen=True)
class Limits:
    """What one project may ask of one model.

    Args:
        burst_requests: How many of a minute's requests may come at once; None is all.
        rejected_count: A request that was refused still uses up one of the requests a minute.
    """

    requests_per_minute: int = 10_000
    tokens_per_minute: int = 10_000_000
    rejected_count: bool = True
    burst_requests: int | None = None


class Bucket:
    """One limit's state."""

    def __init__(self, per_minute: int, now: float, most: int | None = None) -> None:
        self.per_minute, self._most = per_minute, float(per_minute if most is None else most)
        self._level, self._at = self._most, now

    def level(self, now: float) -> float:
        """What is left."""
        refilled = self._level + (now - self._at) * self.per_minute / 60
        self._level, self._at = min(refilled, self._most), now
        return self._level

    def take(self, amount: int, now: float) -> None:
        """Uses up an amount, or what is left."""
        self._level = max(0.0, self.level(now) - amount)

    def seconds_until(self, amount: float, now: float) -> float:
        """How long until so much is left."""
        return max(0.0, (amount - self.level(now)) * 60 / self.per_minute)


@dataclass(frozen=True)
class Refusal:
    """A limit that was reached: `requests` or `tokens`; no wait helps where `wait_seconds` is None."""

    kind: str
    limit: int
    requested: int
    left: int
    wait_seconds: float | None


@dataclass(frozen=True)
class Level:
    """A limit, what is left of it, and how long until all of it is left again."""

    limit: int
    left: int
    full_in_seconds: float


class RateLimiter:
    """Buckets by subject, such as (project, model)."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Other limits from now on; every bucket is full."""
        self.limits = limits
        self._buckets: dict[str, dict[str, Bucket]] = {}

    def admit(self, subject: str, tokens: int, limits: Limits | None = None) -> Refusal | None:
        """Takes one request and its tokens, or says why not; `limits` are the subject's own."""
        now = self._clock.now()
        buckets = self._of(subject, limits)
        wanted = {"requests": 1, "tokens": tokens}
        for kind, amount in wanted.items():
            bucket = buckets[kind]
            if bucket.level(now) < amount:
                if self.limits.rejected_count:
                    buckets["requests"].take(1, now)
                wait = bucket.seconds_until(amount, now) if amount <= bucket.per_minute else None
                return Refusal(kind, bucket.per_minute, amount, int(bucket.level(now)), wait)
        for kind, amount in wanted.items():
            buckets[kind].take(amount, now)
        return None

    def levels(self, subject: str) -> dict[str, Level]:
        """How full each bucket is, by its kind."""
        now = self._clock.now()
        return {
            kind: Level(
                bucket.per_minute, int(bucket.level(now)), bucket.seconds_until(bucket.per_minute, now)
            )
            for kind, bucket in self._of(subject).items()
        }

    def _of(self, subject: str, limits: Limits | None = None) -> dict[str, Bucket]:
        if subject not in self._buckets:
            now, given = self._clock.now(), limits or self.limits
            self._buckets[subject] = {
                "requests": Bucket(given.requests_per_minute, now, given.burst_requests),
                "tokens": Bucket(given.tokens_per_minute, now),
            }
        return self._buckets[subject]
