"""What a window will have cost at its end, from what past days have cost.

The days that are left are taken for days like the past ones. So their sum is expected to be m times the mean
of n past days, and lies, 80 times of 100, within t · s · √(m + m²/n) of that: the prediction interval for the
sum of m future observations (Hahn and Meeker, Statistical Intervals, 1991, chapter 4: of their mean, times
m), where s is the deviation of the past days and t the quantile of Student's distribution. Weekdays are not
told apart, and a trend is not looked for: with weeks of days, neither shows through the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from statistics import NormalDist, stdev

# Past days that a forecast looks at, at most; and those without which it is unsure whatever they say.
MOST_DAYS, LEAST_DAYS = 28, 7
COVERAGE = 0.8
# Half of the range, as a part of the forecast.
SURE, FAIRLY_SURE = 0.1, 0.3
_ONE = timedelta(days=1)


class Window(StrEnum):
    """What a forecast is for: today, this week from Monday on, this month; in UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def of(self, today: date) -> tuple[date, date]:
        """First and last day."""
        match self:
            case Window.DAY:
                return today, today
            case Window.WEEK:
                first = today - timedelta(days=today.weekday())
                return first, first + timedelta(days=6)
        first = today.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1) - _ONE


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a window will have cost at its end, in nano-USD.

    Attributes:
        spent: So far.
        expected: At its end; None where there are no past days to tell by.
        low: It is less than that one time of ten; None where fewer than two past days are known.
        high: It is more than that one time of ten; None likewise.
        days: Past days that say so.
        sure: "sure", "fairly sure", "unsure", or "no history".
    """

    spent: int
    expected: int | None
    low: int | None
    high: int | None
    days: int
    sure: str


def days_left(now: datetime, last: date) -> Fraction:
    """Days from now to the end of the last one."""
    end = datetime.combine(last + _ONE, time(), UTC)
    return Fraction((end - now) // timedelta(microseconds=1), 86_400_000_000)


def forecast(past: Sequence[int], spent: int, left: Fraction) -> Forecast:
    """Forecasts a window.

    Args:
        past: What each whole day before today has cost, in nano-USD, oldest first. It begins with the first
            day on which anything was bought, and the last MOST_DAYS of it count.
        spent: What the window has cost so far.
        left: Days of it that are left.
    """
    past = past[-MOST_DAYS:]
    begun = next((place for place, cost in enumerate(past) if cost), len(past))
    past = past[begun:]
    if not past:
        return Forecast(spent, None, None, None, 0, "no history")
    expected = round(left * Fraction(sum(past), len(past)))
    if len(past) < 2:
        return Forecast(spent, spent + expected, None, None, 1, "unsure")
    spread = stdev(past) * math.sqrt(left + left**2 / len(past))
    half = round(_student(COVERAGE, len(past) - 1) * spread)
    low, high = spent + max(0, expected - half), spent + expected + half
    return Forecast(spent, spent + expected, low, high, len(past), _sure(len(past), spent + expected, half))


def _sure(days: int, expected: int, half: int) -> str:
    if days < LEAST_DAYS or half > FAIRLY_SURE * expected:
        return "unsure"
    return "sure" if half <= SURE * expected else "fairly sure"


def _student(coverage: float, freedom: int) -> float:
    """The quantile of Student's distribution between which and its negative lies `coverage`.

    By Abramowitz and Stegun, 26.7.5; right to a hundredth from three degrees of freedom on, and too small
    below, where a forecast is unsure anyway.
    """
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    terms = (
        z,
        (z**3 + z) / (4 * freedom),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3),
    )
    return sum(terms)
