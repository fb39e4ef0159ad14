"""The price table: what one unit of a vendor's work costs on a day. Integers only."""

from __future__ import annotations

import datetime
import tomllib
from collections import Counter
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from waybill.money import ANY_MODEL, cost_nano_usd, price_unknown
from waybill.runtime.errors import Precondition

TABLE = Path(__file__).with_name("prices.toml")
# A thousand dollars for one unit; much more would not fit its column.
MOST_NANO_USD_PER_MILLION = 10**18
_KINDS = {str: "text", int: "whole number", datetime.date: "day such as 2026-11-27"}


class PriceFileError(Exception):
    """What is wrong with a price table of one's own."""


@dataclass(frozen=True)
class Price:
    """A vendor's price from a day on.

    Attributes:
        nano_usd_per_million: Price of one million units.
        source: Where the figure comes from.
    """

    vendor: str
    model: str
    unit: str
    nano_usd_per_million: int
    valid_from: datetime.date
    source: str

    def cost_nano_usd(self, quantity: int) -> int:
        """Cost of so many units, a fraction of a nano-dollar rounded up."""
        return cost_nano_usd(self.nano_usd_per_million, quantity)


class PriceTable:
    """Every price we know, with the days from which they hold.

    Args:
        prices: What vendors list.
        own: What was negotiated: it goes before the lists, from its own day on.
    """

    def __init__(self, prices: Sequence[Price], own: Sequence[Price] = ()) -> None:
        self._own, self._listed = _newest_first(own), _newest_first(prices)

    @classmethod
    def load(cls, own: Path | None = None) -> PriceTable:
        """Reads the vendors' lists, and a file of one's own that is made alike.

        Raises:
            PriceFileError: That file is missing, or is not such a table.
        """
        return cls(_rows(TABLE.read_text(encoding="utf-8")), _own(own) if own else ())

    @property
    def vendors(self) -> Set[str]:
        """Whoever has a price."""
        return {price.vendor for price, _ in self.all()}

    def find(self, vendor: str, model: str, unit: str, day: datetime.date) -> Price:
        """The price that holds on a day.

        Raises:
            Precondition: PRICE_UNKNOWN; nothing is bought at a price nobody knows.
        """
        for prices in (self._own, self._listed):
            for name in (model, ANY_MODEL):
                for price in prices:
                    same = (price.vendor, price.model, price.unit) == (vendor, name, unit)
                    if same and price.valid_from <= day:
                        return price
        raise price_unknown(vendor, model, unit, day)

    def changes(self, vendor: str, model: str, unit: str) -> bool:
        """Whether it depends on the day what `find` answers."""
        prices = (*self._own, *self._listed)
        named = [one for one in prices if (one.vendor, one.unit) == (vendor, unit)]
        return sum(one.model in (model, ANY_MODEL) for one in named) > 1

    def at(self, vendor: str, model: str, unit: str, nano_usd_per_million: int) -> Price | None:
        """The newest price of that height; None where the table has none, or no more."""
        for price in (*self._own, *self._listed):
            known = price.vendor, price.unit, price.nano_usd_per_million
            if known == (vendor, unit, nano_usd_per_million) and price.model in (model, ANY_MODEL):
                return price
        return None

    def on(self, day: datetime.date) -> Sequence[tuple[Price, bool]]:
        """What `find` answers on a day for each vendor, model and unit, and whether it is one's own."""
        known = dict.fromkeys((price.vendor, price.model, price.unit) for price, _ in self.all())
        found = []
        for vendor, model, unit in known:
            with suppress(Precondition):  # its first price is of a later day
                price = self.find(vendor, model, unit, day)
                found.append((replace(price, model=model), price in self._own))
        return found

    def all(self) -> Sequence[tuple[Price, bool]]:
        """Every price, and whether it is one's own; in the order in which they are looked for."""
        return [*((price, True) for price in self._own), *((price, False) for price in self._listed)]


def _newest_first(prices: Sequence[Price]) -> Sequence[Price]:
    return sorted(prices, key=lambda price: price.valid_from, reverse=True)


def _own(path: Path) -> Sequence[Price]:
    try:
        return _rows(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PriceFileError(f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PriceFileError(str(error)) from error


def _rows(text: str) -> Sequence[Price]:
    """Raises ValueError, of which TOMLDecodeError is one, saying which row is wrong and how."""
    rows = tomllib.loads(text).get("price")
    if not isinstance(rows, list):
        raise ValueError("it has no [[price]]")
    prices = [_row(number, row) for number, row in enumerate(rows, start=1)]
    keys = Counter((price.vendor, price.model, price.unit, price.valid_from) for price in prices)
    for (vendor, model, unit, day), times in keys.items():
        if times > 1:
            raise ValueError(f"it has {times} prices for a {unit} of {vendor} {model} from {day} on")
    return prices


def _row(number: int, row: Any) -> Price:
    wanted = {"vendor": str, "model": str, "unit": str, "nano_usd_per_million": int,
              "valid_from": datetime.date, "source": str}  # fmt: skip
    for name, kind in wanted.items():
        # A moment is a date, too, and true a number.
        if type(row.get(name)) is not kind:
            raise ValueError(f"[[price]] number {number} needs {name}, a {_KINDS[kind]}")
    if unknown := sorted(set(row) - set(wanted)):
        raise ValueError(f"[[price]] number {number} has {', '.join(unknown)}, which is not known")
    if not 0 <= row["nano_usd_per_million"] <= MOST_NANO_USD_PER_MILLION:
        most = f"{MOST_NANO_USD_PER_MILLION:,}"
        raise ValueError(f"[[price]] number {number}: nano_usd_per_million is 0 to {most}")
    return Price(**row)
