"""Lengths of time as people type them: 90s, 10m, 2h, 7d."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

import typer

from waybill.runtime.clock import utc_now

MOST = timedelta(days=366)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def duration(text: str) -> timedelta:
    """A whole number of seconds, minutes, hours or days, above zero and at most a year.

    Raises:
        typer.BadParameter: It is anything else.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    length = int(match[1]) * _UNITS[match[2]] if match else MOST * 2
    if length > MOST:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 10m, 2h or 7d, at most a year.")
    return length


Within = Annotated[
    timedelta | None,
    typer.Option(
        "--within",
        parser=duration,
        metavar="DURATION",
        help="Time to be done in, such as 90s, 10m or 2h; a run found late ends EXPIRED.",
    ),
]

Since = Annotated[
    timedelta | None,
    typer.Option(
        "--since",
        parser=duration,
        metavar="DURATION",
        help="Only what came so long ago or later: 90s, 10m, 2h.",
    ),
]


def from_now(within: timedelta | None) -> datetime | None:
    """The moment that is so far ahead; None where no length was given."""
    return None if within is None else utc_now() + within


def spent(nano: int) -> str:
    """How long something took, in three digits at most; an ellipsis for what has not ended."""
    if nano <= 0:
        return "…"
    if nano < 10_000_000:
        return f"{nano / 1e6:.1f} ms"
    if nano < 1_000_000_000:
        return f"{nano / 1e6:.0f} ms"
    if nano < 100_000_000_000:
        return f"{nano / 1e9:.1f} s"
    return f"{nano / 60e9:.0f} min"


def ago(age: timedelta) -> str:
    """How long ago something was, in its largest unit."""
    return f"{ahead(age)} ago"


def ahead(time: timedelta) -> str:
    """A length of time in its largest unit."""
    seconds = max(0, int(time.total_seconds()))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
