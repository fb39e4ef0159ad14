"""Figures as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bench.by_hand import BOUND
from bench.latency import Beside
from bench.overhead import Step
from bench.passes import Pass, Passes


def comparison(found: Mapping[str, tuple[Pass, Pass]]) -> str:
    """Bound and stack side by side. CPU is seconds per 1,000 chunks."""
    rows = [
        [
            name,
            f"{stack.chunks:,}",
            *_pair(bound.wall_seconds, stack.wall_seconds),
            *_pair(_per_thousand(bound, "own"), _per_thousand(stack, "own")),
            *_pair(_per_thousand(bound, "postgres"), _per_thousand(stack, "postgres")),
        ]
        for name, (bound, stack) in found.items()
    ]
    header = ["", "chunks", "wall s", "stack", "×", "CPU s/1,000", "stack", "×", "PG CPU", "stack", "×"]
    return table(header, rows)


def unchanged(corpora: Mapping[str, tuple[Passes, Passes]]) -> str:
    """The second pass, in seconds of the whole corpus."""
    rows = [
        [
            name,
            *_pair(bound.again.wall_seconds, stack.again.wall_seconds),
            *_pair(bound.again.own_cpu_seconds, stack.again.own_cpu_seconds),
            f"{stack.again.postgres_cpu_seconds:.2f}",
        ]
        for name, (bound, stack) in corpora.items()
    ]
    return table(["", "wall s", "stack", "×", "CPU s", "stack", "×", "stack PG CPU"], rows)


def by_program(found: Mapping[str, tuple[Pass, Pass]]) -> str:
    """CPU seconds per 1,000 chunks / peak MB of each program of the stack, and of the bound."""
    names = sorted({name for _, stack in found.values() for name in stack.cpu_seconds})
    rows = [
        [corpus, f"{_cell(bound, BOUND)}", *(_cell(stack, name) for name in names)]
        for corpus, (bound, stack) in found.items()
    ]
    return table(["CPU s/1,000 · peak MB", "bound", *names], rows)


def above_latency(found: Iterable[Beside]) -> str:
    """What a call for embeddings takes beyond the vendor's latency, in ms."""
    rows = [[one.name, *_spread(one.bound_above_ms), *_spread(one.stack_above_ms)] for one in found]
    return table(["", "bound's calls", "median", "p95", "stack's calls", "median", "p95"], rows)


def steps(found: Mapping[str, Step]) -> str:
    """Steps of one document with nothing beside it, medians in ms."""
    rows = [
        [step.name, f"{step.took_ms:.1f}", f"{step.own_ms:.1f}", str(step.rpcs), f"{step.way_ms:.1f}"]
        for step in found.values()
    ]
    total = sum(step.rpcs for step in found.values())
    return table(["step", "took", "own", "RPCs", "RPCs' way"], rows) + f"\nRPCs of a document: {total}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns, the first to the left."""
    lines = [header, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    )


def _pair(bound: float, stack: float) -> list[str]:
    return [f"{bound:.2f}", f"{stack:.2f}", f"{stack / bound:.1f}" if bound else "–"]


def _spread(figures: Sequence[float]) -> list[str]:
    """How many, their median, and what 95 % do not exceed."""
    ordered = sorted(figures)
    return [str(len(ordered)), f"{median(ordered):.0f}", f"{ordered[math.ceil(0.95 * len(ordered)) - 1]:.0f}"]


def _per_thousand(one: Pass, part: str) -> float:
    cpu = one.own_cpu_seconds if part == "own" else one.postgres_cpu_seconds
    return cpu / one.chunks * 1000


def _cell(one: Pass, name: str) -> str:
    cpu = one.cpu_seconds[name] / one.chunks * 1000
    return f"{cpu:.2f} · {one.peak_mb[name]:.0f}" if name in one.peak_mb else f"{cpu:.2f}"
