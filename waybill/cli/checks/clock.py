"""Clocks that must agree: links, tokens and signatures end by them."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from waybill.cli.checks.finding import Finding, State

# A vendor's date has whole seconds; a token or a link that is a minute off is refused somewhere.
MOST_SECONDS = 10.0
MEND = "timedatectl set-ntp true (or what else sets the clock there)"


def skewed(check: str, whose: str, seconds: float) -> Finding:
    """A clock beside this machine's.

    Args:
        check: The finding's name.
        whose: Clock, in words.
        seconds: It is ahead by so many.
    """
    if abs(seconds) <= MOST_SECONDS:
        return Finding(check, State.OK, f"{whose} and this machine's agree within {MOST_SECONDS:.0f} s")
    side = "ahead of" if seconds > 0 else "behind"
    return Finding(check, State.FAILED, f"{whose} is {abs(seconds):.0f} s {side} this machine's", MEND)


def of_date(check: str, whose: str, date: str, now: Callable[[], float] = time.time) -> Finding | None:
    """By the Date of an answer; None where there is none that can be read."""
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    return skewed(check, whose, told.timestamp() - now())
