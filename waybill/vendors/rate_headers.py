"""What a vendor's headers say about waiting: Retry-After and x-ratelimit-*."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
# Below this a rounded reset says little about the rate.
_TELLING_RESET_SECONDS = 10.0
NAMES = ("requests", "tokens")


@dataclass(frozen=True)
class Allowance:
    """One bucket: its size, what is left in it, and the seconds until it is full."""

    limit: float
    remaining: float
    reset_seconds: float | None

    def rate(self, period_seconds: float) -> float:
        """Units that come back each second."""
        missing = self.limit - self.remaining
        if missing > 0 and self.reset_seconds is not None and self.reset_seconds >= _TELLING_RESET_SECONDS:
            return missing / self.reset_seconds
        return self.limit / period_seconds


def allowances(headers: Mapping[str, str]) -> dict[str, Allowance]:
    """The buckets that are told whole, by name."""
    found = {}
    for name in NAMES:
        limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
        remaining = _number(headers.get(f"x-ratelimit-remaining-{name}"))
        if limit and remaining is not None:
            reset = duration_seconds(headers.get(f"x-ratelimit-reset-{name}", ""))
            found[name] = Allowance(limit, remaining, reset)
    return found


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """When to come back: retry-after-ms, Retry-After in seconds, else the reset of an untold bucket.

    A bucket that is told whole is the limiter's to judge: its reset is when it is full again, long after
    a request fits.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = _number(headers.get("retry-after"))
    if seconds is not None:
        return seconds
    told = allowances(headers)
    resets = [
        duration_seconds(headers.get(f"x-ratelimit-reset-{name}", "")) for name in NAMES if name not in told
    ]
    return max((one for one in resets if one is not None), default=None)


def duration_seconds(text: str) -> float | None:
    """A duration such as `12ms`, `1s` or `6m0s`; None for anything else."""
    text = text.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
