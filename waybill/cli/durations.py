"""Lengths of time as people type them: 90s, 10m, 2h."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

MOST = timedelta(days=366)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


def duration(text: str) -> timedelta:
    """A whole number of seconds, minutes or hours, above zero and at most a year.

    Raises:
        typer.BadParameter: It is anything else.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smh])", text)
    length = int(match[1]) * _UNITS[match[2]] if match else MOST * 2
    if length > MOST:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 10m or 2h, at most a year.")
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


def from_now(within: timedelta | None) -> datetime | None:
    """The moment that is so far ahead; None where no length was given."""
    return None if within is None else datetime.now(UTC) + within
