"""What every form of a vendor's file shares: its lines, how they are read, and what is wrong with one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from waybill.cli.plain import plain
from waybill.ledger.v1.invoice_pb2 import InvoiceLine
from waybill.runtime.errors import InvalidRequest
from waybill.vendors.registry import BATCH

_NANO = 1_000_000_000
# Above it a sum would not fit its column.
_MOST = 10**18


@dataclass
class Lines:
    """What was read of a file.

    Attributes:
        vendor: Who charges; empty where neither the file nor the caller says.
        lines: In the file's order.
        covered: Days that it is about, also those on which nothing was charged.
        left_out: How many lines are about something else than what Waybill buys.
        projects: Of the vendor's account, where the file tells them apart.
    """

    vendor: str
    lines: list[InvoiceLine] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)
    left_out: int = 0
    projects: set[str] = field(default_factory=set)
    _told: dict[str, int] = field(default_factory=dict)

    def check_new(self, line: int, day: str, fields: Mapping[str, object]) -> None:
        """Of an export's line: another one that is alike in every field would be counted twice.

        Raises:
            InvalidRequest: INVOICE_LINE_INVALID.
        """
        told = json.dumps([day, fields], sort_keys=True, default=str)
        if (earlier := self._told.setdefault(told, line)) != line:
            raise invalid(
                line,
                f"it is line {earlier} once more, the same in every field: exports that overlap were joined."
                " Leave one of the two out",
            )

    def completed(self) -> Sequence[InvoiceLine]:
        """The lines, with a zero for each day on which the file has none."""
        groups = {tuple(line.models): line for line in self.lines}
        has = {line.day for line in self.lines}
        number = max((line.line for line in self.lines), default=0)
        for day in sorted(self.covered - has):
            for models, like in groups.items():
                number += 1
                zero = InvoiceLine(line=number, day=day, models=models, unit=like.unit)
                if like.HasField("quantity"):
                    zero.quantity = 0
                if like.HasField("nano_usd"):
                    zero.nano_usd = 0
                self.lines.append(zero)
        return self.lines


def invalid(line: int, what: str) -> InvalidRequest:
    """What is wrong with a line, and what to do."""
    return InvalidRequest("INVOICE_LINE_INVALID", f"Line {line}: {plain(what)}.")


def unreadable(what: str) -> InvalidRequest:
    """What is wrong with the file as a whole."""
    return InvalidRequest("INVOICE_UNREADABLE", plain(what))


def whole(line: int, name: str, value: object) -> int:
    """A whole number of at least 0. Raises InvalidRequest."""
    number = decimal(line, name, value)
    if number != number.to_integral_value() or not 0 <= number <= _MOST:
        raise invalid(line, f"{name} is {str(value)[:40]!r}; it must be a whole number of at least 0")
    return int(number)


def nano_usd(line: int, name: str, value: object) -> int:
    """Dollars as nano-USD, rounded to the nearest. Raises InvalidRequest."""
    amount = decimal(line, name, value) * _NANO
    if abs(amount) > _MOST:
        raise invalid(line, f"{name} is {str(value)[:40]!r}, which is too much")
    return int(amount.to_integral_value())


def decimal(line: int, name: str, value: object) -> Decimal:
    """A number, as it is written. Raises InvalidRequest."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise invalid(line, f"{name} is {str(value)[:40]!r}; it must be a number such as 12 or 0.000840")
    return number


def day_of(line: int, name: str, seconds: int) -> str:
    """The day of a moment, in UTC. Raises InvalidRequest."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        raise invalid(line, f"{name} is {seconds}, which is no moment in seconds since 1970") from None


def tiers(model: str, batch: bool | None = None) -> Sequence[str]:
    """The ledger's models that a vendor's model is: either tier where it does not say which."""
    both = (model, model + BATCH)
    return both if batch is None else (both[batch],)
