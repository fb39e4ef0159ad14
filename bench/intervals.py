"""How sure a share is."""

from __future__ import annotations

import math

# Of the normal distribution, for 95 %.
Z = 1.959964


def wilson(good: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share (E. B. Wilson, 1927; Newcombe's method 3, 1998).

    Also where each of them was good it says how little that proves: of 1,000 it is 99.62 % to 100 %.
    """
    share, weight = good / of, Z**2 / of
    centre = share + weight / 2
    half = Z * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, (centre - half) / (1 + weight)), min(1.0, (centre + half) / (1 + weight))
