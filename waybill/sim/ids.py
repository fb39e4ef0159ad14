"""Ids that a vendor gives, the same in every run of a seed."""

from __future__ import annotations

import hashlib
from collections import Counter


class Ids:
    """Ids by prefix: each depends on the seed and how many of its prefix there were before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """The next id."""
        number = self._given[prefix]
        self._given[prefix] += 1
        return prefix + hashlib.sha256(f"{self._seed} {prefix} {number}".encode()).hexdigest()[:24]
