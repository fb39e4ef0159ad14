"""The time in UTC: the one place that asks the machine for it."""

from __future__ import annotations

import datetime
from collections.abc import Callable

Now = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)


def utc_today() -> datetime.date:
    """The day on which vendors' prices, budgets and bills are dated."""
    return utc_now().date()
