"""Integer nano-USD as people read it, exact to the last digit."""

from __future__ import annotations

NANO = 1_000_000_000
MILLION = 1_000_000


def dollars(nano_usd: int) -> str:
    """For instance $0.000123456; at least two decimals, at most nine, never rounded."""
    whole, fraction = divmod(abs(nano_usd), NANO)
    sign = "-" if nano_usd < 0 else ""
    return f"{sign}${whole:,}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def cost_nano_usd(nano_usd_per_million: int, quantity: int) -> int:
    """Cost of so many units at a price of a million, rounded up: a hold is never too small."""
    return -(-nano_usd_per_million * quantity // MILLION)
