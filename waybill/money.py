"""Integer nano-USD as people read it, exact to the last digit."""

from __future__ import annotations

import datetime

from waybill.runtime.errors import Precondition

NANO = 1_000_000_000
MILLION = 1_000_000
# In a price table: any model that has no price of its own.
ANY_MODEL = "*"


def dollars(nano_usd: int) -> str:
    """For instance $0.000123456; at least two decimals, at most nine, never rounded."""
    whole, fraction = divmod(abs(nano_usd), NANO)
    sign = "-" if nano_usd < 0 else ""
    return f"{sign}${whole:,}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def cost_nano_usd(nano_usd_per_million: int, quantity: int) -> int:
    """Cost of so many units at a price of a million, rounded up: a hold is never too small."""
    return -(-nano_usd_per_million * quantity // MILLION)


def price_unknown(vendor: str, model: str, unit: str, day: datetime.date) -> Precondition:
    """PRICE_UNKNOWN: nothing is bought at a price that nobody knows."""
    return Precondition(
        "PRICE_UNKNOWN",
        f"No price is known for a {unit} of {vendor} {model} on {day}. Add it to a file that"
        " WAYBILL_PRICES_FILE names; `waybill prices` lists those that are known.",
        {"vendor": vendor, "model": model, "unit": unit},
    )
