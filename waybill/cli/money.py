"""Integer nano-USD as people read it, exact to the last digit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal
from waybill.money import dollars

_MILLION = 1_000_000


def unit_price(nano_usd_per_million: int) -> str:
    """The price of one unit, or of a million where one costs less than a hundredth of a cent."""
    price, per_million = priced(nano_usd_per_million)
    return f"{price} per million" if per_million else price


def priced(nano_usd_per_million: int) -> tuple[str, bool]:
    """A price, and whether it is that of a million units."""
    if nano_usd_per_million >= 100_000 * _MILLION and nano_usd_per_million % _MILLION == 0:
        return dollars(nano_usd_per_million // _MILLION), False
    return dollars(nano_usd_per_million), True


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums in nano-USD; real and simulated money are never added to each other."""

    cost_nano_usd: int = 0
    simulated_nano_usd: int = 0
    uncertain_nano_usd: int = 0
    uncertain_simulated_nano_usd: int = 0

    @classmethod
    def of(cls, total: RunTotal) -> Figures:
        """What the ledger says of one run."""
        return cls(
            total.cost_nano_usd,
            total.simulated_nano_usd,
            total.uncertain_nano_usd,
            total.uncertain_simulated_nano_usd,
        )

    @classmethod
    def summed(cls, entries: Iterable[Entry]) -> Figures:
        """Sums over entries that belong to no run, of which the ledger gives none."""
        return sum((cls._of_entry(entry) for entry in entries), cls())

    @classmethod
    def _of_entry(cls, entry: Entry) -> Figures:
        real = entry.kind == CostKind.COST_KIND_REAL
        if entry.state in (Entry.STATE_HELD, Entry.STATE_IN_DOUBT):
            held = entry.expected_nano_usd
            return cls(uncertain_nano_usd=held) if real else cls(uncertain_simulated_nano_usd=held)
        settled = entry.reported_nano_usd + entry.adjusted_nano_usd
        return cls(cost_nano_usd=settled) if real else cls(simulated_nano_usd=settled)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.cost_nano_usd + other.cost_nano_usd,
            self.simulated_nano_usd + other.simulated_nano_usd,
            self.uncertain_nano_usd + other.uncertain_nano_usd,
            self.uncertain_simulated_nano_usd + other.uncertain_simulated_nano_usd,
        )

    def short(self) -> str:
        """Real money, then simulated money behind a tilde, each only where there is some."""
        shown = [dollars(self.cost_nano_usd)] if self.cost_nano_usd or not self.simulated_nano_usd else []
        if self.simulated_nano_usd:
            shown.append(f"~{dollars(self.simulated_nano_usd)}")
        return " ".join(shown)
