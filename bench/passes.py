"""What one pass over a corpus cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

POSTGRES = "postgres"


@dataclass(frozen=True)
class Pass:
    """One pass.

    Attributes:
        chunks: Written by it; 0 where everything was unchanged.
        wall_seconds: From the first document to the end of the last.
        cpu_seconds: By program, Postgres among them.
        peak_mb: Peak resident memory by program.
    """

    chunks: int
    wall_seconds: float
    cpu_seconds: Mapping[str, float]
    peak_mb: Mapping[str, float]

    @property
    def own_cpu_seconds(self) -> float:
        """Of everything but Postgres."""
        return sum(self.cpu_seconds.values()) - self.postgres_cpu_seconds

    @property
    def postgres_cpu_seconds(self) -> float:
        """Of Postgres alone."""
        return self.cpu_seconds.get(POSTGRES, 0.0)


@dataclass(frozen=True)
class Passes:
    """A corpus for the first time, and again unchanged."""

    first: Pass
    again: Pass
