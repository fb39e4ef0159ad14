"""Figures as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from bench.latency import BOUND, STACK, Alone, Beside
from bench.passes import Pass
from bench.trips import EXPORT, Trips


def comparison(found: Iterable[Beside]) -> str:
    """All sides, each beside the lower bound. CPU is seconds per 1,000 chunks, without Postgres."""
    rows = [
        [beside.name, side, f"{one.chunks:,}", *_beside(one, beside.medians[BOUND])]
        for beside in found
        for side, one in beside.medians.items()
    ]
    return table(["", "", "chunks", "wall s", "×", "CPU s/1,000", "×", "PG CPU", "×", "peak MB"], rows)


def by_program(found: Iterable[Beside]) -> str:
    """CPU seconds per 1,000 chunks / peak MB of each program of the stack."""
    stacks = {beside.name: beside.medians[STACK] for beside in found}
    names = sorted({name for one in stacks.values() for name in one.cpu_seconds})
    rows = [[corpus, *(_cell(one, name) for name in names)] for corpus, one in stacks.items()]
    return table(["CPU s/1,000 · peak MB", *names], rows)


def above_latency(found: Iterable[Beside]) -> str:
    """What a call for embeddings takes beyond the vendor's latency, in ms."""
    rows = [
        [beside.name, side, *_spread(figures)]
        for beside in found
        for side, figures in beside.above_ms.items()
        if figures
    ]
    return table(["", "", "calls", "median", "p95"], rows)


def alone(one: Alone) -> str:
    """Steps of one document with nothing beside it, medians in ms."""
    rows = [
        [step.name, f"{step.took_ms:.1f}", f"{step.own_ms:.1f}", str(step.rpcs), f"{step.way_ms:.1f}"]
        for step in one.steps.values()
    ]
    return table(["step", "took", "own", "RPCs", "RPCs' way"], rows)


def calls(trips: Trips) -> str:
    """Calls of one document, by service and method; exports of spans beside them."""
    rows = [[f"{service} {method}", f"{count:.1f}"] for (service, method), count in trips.calls.items()]
    total = sum(count for (_, method), count in trips.calls.items() if method != EXPORT)
    return table(["", "calls"], [*rows, [f"all but {EXPORT}", f"{total:.1f}"]])


def transactions(trips: Trips) -> str:
    """Transactions and statements of one document, by role, without those of an idle stack."""
    rows = [
        [role, f"{count:.1f}", f"{trips.statements[role]:.1f}", f"{trips.idle[role]:.1f}"]
        for role, count in trips.transactions.items()
    ]
    sums = [sum(each.values()) for each in (trips.transactions, trips.statements, trips.idle)]
    header = ["", "transactions", "statements", "idle, transactions a second"]
    return table(header, [*rows, ["all", *(f"{one:.1f}" for one in sums)]])


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


def _beside(one: Pass, bound: Pass) -> Iterator[str]:
    figures = [(each.wall_seconds, *_per_thousand(each)) for each in (one, bound)]
    for mine, least in zip(*figures, strict=True):
        yield f"{mine:.2f}"
        yield f"{mine / least:.1f}" if least else "–"
    yield f"{max(one.peak_mb.values(), default=0):.0f}"


def _per_thousand(one: Pass) -> tuple[float, float]:
    return one.own_cpu_seconds / one.chunks * 1000, one.postgres_cpu_seconds / one.chunks * 1000


def _spread(figures: Sequence[float]) -> list[str]:
    """How many, their median, and what 95 % do not exceed."""
    ordered = sorted(figures)
    return [str(len(ordered)), f"{median(ordered):.0f}", f"{ordered[math.ceil(0.95 * len(ordered)) - 1]:.0f}"]


def _cell(one: Pass, name: str) -> str:
    cpu = one.cpu_seconds[name] / one.chunks * 1000
    return f"{cpu:.2f} · {one.peak_mb[name]:.0f}" if name in one.peak_mb else f"{cpu:.2f}"
