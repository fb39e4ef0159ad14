"""What one pass over a corpus cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

POSTGRES = "postgres"


@dataclass(frozen=True)
class Pass:
    """One pass.

    Attributes:
        chunks: Written by it.
        wall_seconds: From the first document to the end of the last.
        cpu_seconds: By program, Postgres among them.
        peak_mb: Peak resident memory by program.
        calls: Seconds of each call for embeddings, by the id that the vendor's journal knows it by.
    """

    chunks: int
    wall_seconds: float
    cpu_seconds: Mapping[str, float]
    peak_mb: Mapping[str, float]
    calls: Mapping[str, float] = field(default_factory=dict)

    @property
    def own_cpu_seconds(self) -> float:
        """Of everything but Postgres."""
        return sum(self.cpu_seconds.values()) - self.postgres_cpu_seconds

    @property
    def postgres_cpu_seconds(self) -> float:
        """Of Postgres alone."""
        return self.cpu_seconds.get(POSTGRES, 0.0)


def median_of(passes: Sequence[Pass]) -> Pass:
    """The median of each figure over equal passes, without their calls."""
    return Pass(
        passes[0].chunks,
        median(one.wall_seconds for one in passes),
        _medians(one.cpu_seconds for one in passes),
        _medians(one.peak_mb for one in passes),
    )


def _medians(figures: Iterable[Mapping[str, float]]) -> dict[str, float]:
    several = list(figures)
    return {name: median(one[name] for one in several) for name in several[0]}
