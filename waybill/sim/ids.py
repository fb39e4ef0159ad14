"""Ids that a vendor gives, the same in every run of a seed."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter


class Ids:
    """Ids by prefix: each depends on the seed and how many of its prefix there were before."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """The next id."""
        return prefix + hashlib.sha256(self._next(prefix)).hexdigest()[:24]

    def uuid(self, prefix: str = "") -> str:
        """The next id, as a UUID behind its prefix."""
        return prefix + str(uuid.uuid5(uuid.NAMESPACE_OID, self._next(prefix).decode()))

    def _next(self, prefix: str) -> bytes:
        number = self._given[prefix]
        self._given[prefix] += 1
        return f"{self._seed} {prefix} {number}".encode()
