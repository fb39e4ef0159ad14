"""The price table: what one unit of a vendor's work costs on a day. Integers only."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waybill.runtime.errors import Precondition

TABLE = Path(__file__).with_name("prices.toml")
MILLION = 1_000_000
ANY_MODEL = "*"


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
        """Cost of so many units, a fraction of a nano-dollar rounded up: a hold is never too small."""
        return cost_nano_usd(self.nano_usd_per_million, quantity)


def cost_nano_usd(nano_usd_per_million: int, quantity: int) -> int:
    """Cost of so many units at a price, rounded up to the nano-dollar."""
    return -(-nano_usd_per_million * quantity // MILLION)


class PriceTable:
    """Every price we know, with the days from which they hold."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._prices = sorted(prices, key=lambda price: price.valid_from, reverse=True)

    @classmethod
    def load(cls, path: Path = TABLE) -> PriceTable:
        """Reads the table; a missing or misspelt key raises TypeError."""
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["price"]
        return cls([Price(**row) for row in rows])

    def find(self, vendor: str, model: str, unit: str, day: datetime.date) -> Price:
        """The price that holds on a day.

        Raises:
            Precondition: PRICE_UNKNOWN; nothing is bought at a price nobody knows.
        """
        for name in (model, ANY_MODEL):
            for price in self._prices:
                same = (price.vendor, price.model, price.unit) == (vendor, name, unit)
                if same and price.valid_from <= day:
                    return price
        raise Precondition(
            "PRICE_UNKNOWN",
            f"No price is known for a {unit} of {vendor} {model} on {day}. Add it to {TABLE.name}.",
            {"vendor": vendor, "model": model, "unit": unit},
        )

    def at(self, vendor: str, model: str, unit: str, nano_usd_per_million: int) -> Price | None:
        """The newest price of that height; None where the table has none, or no more."""
        for price in self._prices:
            known = price.vendor, price.unit, price.nano_usd_per_million
            if known == (vendor, unit, nano_usd_per_million) and price.model in (model, ANY_MODEL):
                return price
        return None
