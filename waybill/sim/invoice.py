"""What the vendor will ask for: counted from what it accepted, whether or not a reply arrived.

The figures are the simulator's own, apart from the ledger's, so that each can be held against the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One charge; `quantity` in the item's unit, for so many requests."""

    time: float
    reference: str
    item: str
    quantity: int
    nano_usd: int
    requests: int = 1


class Invoice:
    """Adds up charges.

    Args:
        prices: Integer nano-USD per unit, by item.
    """

    def __init__(self, prices: Mapping[str, int]) -> None:
        self._prices = prices
        self.lines: list[Line] = []

    def charge(self, time: float, reference: str, item: str, quantity: int, requests: int = 1) -> int:
        """Adds a line and returns its nano-USD."""
        line = Line(time, reference, item, quantity, quantity * self._prices[item], requests)
        self.lines.append(line)
        return line.nano_usd

    @property
    def total_nano_usd(self) -> int:
        """The sum of all lines."""
        return sum(line.nano_usd for line in self.lines)

    def quantities(self) -> dict[str, int]:
        """Units by item."""
        totals: Counter[str] = Counter()
        for line in self.lines:
            totals[line.item] += line.quantity
        return dict(totals)
