"""Figures as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.overhead import Step
from bench.passes import Pass, Passes


def comparison(corpora: Mapping[str, tuple[Passes, Passes]]) -> str:
    """Bound and stack side by side. CPU is seconds per 1,000 chunks."""
    rows = []
    for name, (bound, stack) in corpora.items():
        rows.append(
            [
                name,
                f"{stack.first.chunks:,}",
                *_pair(bound.first.wall_seconds, stack.first.wall_seconds),
                *_pair(_per_thousand(bound.first, "own"), _per_thousand(stack.first, "own")),
                *_pair(_per_thousand(bound.first, "postgres"), _per_thousand(stack.first, "postgres")),
            ]
        )
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


def by_program(corpora: Mapping[str, tuple[Passes, Passes]]) -> str:
    """CPU seconds per 1,000 chunks / peak MB of each program of the stack, and of the bound."""
    names = sorted({name for _, stack in corpora.values() for name in stack.first.cpu_seconds})
    rows = [
        [corpus, f"{_cell(bound.first, 'bound')}", *(_cell(stack.first, name) for name in names)]
        for corpus, (bound, stack) in corpora.items()
    ]
    return table(["CPU s/1,000 · peak MB", "bound", *names], rows)


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


def _per_thousand(one: Pass, part: str) -> float:
    cpu = one.own_cpu_seconds if part == "own" else one.postgres_cpu_seconds
    return cpu / one.chunks * 1000


def _cell(one: Pass, name: str) -> str:
    cpu = one.cpu_seconds[name] / one.chunks * 1000
    return f"{cpu:.2f} · {one.peak_mb[name]:.0f}" if name in one.peak_mb else f"{cpu:.2f}"
