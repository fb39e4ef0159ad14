"""A budget's limit as people type and read it: 5usd/day, 100requests/hour, 2gb/month, 0.50usd/run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import typer

from waybill.cli.screen import sized
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.money import NANO, dollars

_LIMIT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,30})?)([a-z]+)/([a-z]+)")
_UNITS = {
    "usd": (Budget.UNIT_NANO_USD, NANO),
    "request": (Budget.UNIT_REQUESTS, 1),
    "requests": (Budget.UNIT_REQUESTS, 1),
    "byte": (Budget.UNIT_BYTES, 1),
    "bytes": (Budget.UNIT_BYTES, 1),
    "kb": (Budget.UNIT_BYTES, 1_000),
    "mb": (Budget.UNIT_BYTES, 1_000_000),
    "gb": (Budget.UNIT_BYTES, 1_000_000_000),
    "tb": (Budget.UNIT_BYTES, 1_000_000_000_000),
}
_PERIODS = {
    "hour": Budget.PERIOD_HOUR,
    "day": Budget.PERIOD_DAY,
    "month": Budget.PERIOD_MONTH,
    "run": Budget.PERIOD_RUN,
}
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Limit:
    """So much of what, in which period."""

    amount: int
    unit: Budget.Unit
    period: Budget.Period


def limit(text: str) -> Limit:
    """Reads a limit.

    Raises:
        typer.BadParameter: It is none, or not a whole number of what it counts.
    """
    match = _LIMIT.fullmatch(text.lower().replace("_", ""))
    if match is None or match[2] not in _UNITS or match[3] not in _PERIODS:
        raise typer.BadParameter(
            f"{text!r} is no limit. Write an amount, then usd, requests, bytes, kb, mb, gb or tb, then /hour,"
            " /day, /month or /run: 5usd/day."
        )
    unit, size = _UNITS[match[2]]
    amount = Decimal(match[1]) * size
    if amount != int(amount):
        raise typer.BadParameter(
            f"{text!r} is not a whole number of {'nano-dollars' if size == NANO else match[2]}."
        )
    if amount > _MOST:
        raise typer.BadParameter(f"{text!r} is more than can be counted.")
    return Limit(int(amount), unit, _PERIODS[match[3]])


def usd(text: str) -> int:
    """Dollars as nano-USD. Raises typer.BadParameter."""
    match = re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no amount in USD such as 5 or 0.50, with at most 9 decimals.")
    return int(Decimal(text) * NANO)


def amount(unit: Budget.Unit, number: int) -> str:
    """So much of a unit: `$5.00`, `30 requests`, `2,000,000 bytes`."""
    if unit == Budget.UNIT_NANO_USD:
        return dollars(number)
    noun = "request" if unit == Budget.UNIT_REQUESTS else "byte"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def brief(unit: Budget.Unit, number: int) -> str:
    """The same for a table, where `amount` is too wide: `$5.00`, `30 req`, `2.0 MB`."""
    if unit == Budget.UNIT_NANO_USD:
        return dollars(number)
    return f"{number:,} req" if unit == Budget.UNIT_REQUESTS else sized(number)


def each(budget: Budget) -> str:
    """For instance `a day`, `an hour`."""
    period = Budget.Period.Name(budget.period).removeprefix("PERIOD_").lower()
    return f"an {period}" if budget.period == Budget.PERIOD_HOUR else f"a {period}"
