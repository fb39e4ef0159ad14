"""Stretches of days as people type them: today, yesterday, 7d, 2026-11-01. Days are UTC's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import typer

MOST_DAYS = 3_660
_ONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days, both ends among them."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """Where they begin."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def until(self) -> datetime:
        """Where they have ended."""
        return datetime.combine(self.last + _ONE, time(), UTC)

    def __iter__(self) -> Iterator[date]:
        """Each day."""
        return (self.first + number * _ONE for number in range((self.last - self.first).days + 1))


def days(since: str, until: str, today: date) -> Days:
    """The days that two options name; `7d` are seven, today among them. An end alone is one day.

    Raises:
        typer.BadParameter: They name none.
    """
    last = _day(until, today, "--until") if until else today
    first = _day(since, today, "--since") if since else last
    if first > today:
        option, also = ("--since", "") if since else ("--until", " Also name the day to begin with: --since.")
        raise typer.BadParameter(f"{option} {first} has not begun: today is {today} (UTC).{also}")
    if last < first:
        raise typer.BadParameter(f"--until {last} lies before --since {first}.")
    if (last - first).days >= MOST_DAYS:
        raise typer.BadParameter(f"{first} to {last} are over {MOST_DAYS:,} days. Ask in parts.")
    return Days(first, last)


def _day(text: str, today: date, option: str) -> date:
    if text in ("today", "yesterday"):
        return today - _ONE * (text == "yesterday")
    if match := re.fullmatch(r"([1-9][0-9]{0,3})d", text):
        return today - (int(match[1]) - 1) * _ONE
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option} takes today, yesterday, a number of days such as 7d, or a day such as {today}."
        ) from None
