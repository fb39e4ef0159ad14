"""The stack beside a lower bound and frameworks: one simulated vendor for all, documents in turn.

Each side has a Postgres of its own. The simulator's CPU is nobody's.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.by_hand import ByHand
from bench.corpora import Corpus, markdown_corpus
from bench.overhead import Step, steps_of
from bench.passes import Pass, median_of
from bench.simulated import Vendor
from bench.stack import Stack
from bench.trips import Trips, counted
from waybill.stack.table import at_simulators

BOUND, STACK = "bound", "stack"
# Where `make bench-env` installs them.
FRAMEWORKS_PYTHON = Path(".venv-bench/bin/python")
FRAMEWORKS = ("langchain", "llamaindex")
WARM_DOCUMENTS, TRACED_DOCUMENTS, COUNTED_DOCUMENTS, WARM_CHUNKS = 8, 10, 20, 23
# More than the orchestrator works on, so that it never waits for the client.
IN_FLIGHT = 24


@dataclass
class Beside:
    """One size of documents at one latency.

    Attributes:
        passes: A pass a round, by side; the bound first.
        above_ms: Of each call for embeddings, its time less the vendor's latency, by side.
    """

    name: str
    passes: dict[str, list[Pass]] = field(default_factory=lambda: defaultdict(list))
    above_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def medians(self) -> Mapping[str, Pass]:
        """By side."""
        return {side: median_of(passes) for side, passes in self.passes.items()}


@dataclass(frozen=True)
class Alone:
    """One document of 23 chunks with nothing beside it: its steps, and what it takes in trips."""

    steps: Mapping[str, Step]
    trips: Trips


def measured(
    folder: Path, latencies_ms: Sequence[int], sizes: Sequence[tuple[int, int]], rounds: int
) -> Iterator[tuple[Sequence[Beside], Alone]]:
    """All sizes at each latency.

    Args:
        folder: For everything.
        latencies_ms: Of a request, 0.2 ms per 100 tokens on top.
        sizes: Documents and chunks of each.
        rounds: Passes of each side and size.
    """
    corpora = [
        [
            markdown_corpus(folder / f"{documents}-{chunks}-{number}", documents, chunks)
            for number in range(rounds)
        ]
        for documents, chunks in sizes
    ]
    for latency_ms in latencies_ms:
        here = folder / f"{latency_ms}ms"
        here.mkdir(mode=0o711)
        yield _at(here, latency_ms, corpora)


def _at(folder: Path, latency_ms: int, corpora: Sequence[Sequence[Corpus]]) -> tuple[list[Beside], Alone]:
    found = [Beside(f"{latency_ms} ms, {rounds[0].name}") for rounds in corpora]
    warm = markdown_corpus(folder / "warm", WARM_DOCUMENTS, WARM_CHUNKS)
    with ExitStack() as exits:
        vendor = exits.enter_context(Vendor.started(latency_ms))
        hands = {side: exits.enter_context(hand) for side, hand in _hands(folder, vendor)}
        stack = exits.enter_context(_stack(folder, vendor))
        stack.once(warm, traced=False)
        hands[BOUND].once(warm)
        vendor.latencies_ms()
        for beside, rounds in zip(found, corpora, strict=True):
            for corpus in rounds:
                _pass(beside, corpus, hands, stack, vendor, traced=corpus is rounds[-1])
        runs = stack.one_by_one(markdown_corpus(folder / "alone", TRACED_DOCUMENTS, WARM_CHUNKS))
        steps = steps_of(stack.client, runs)
        exits.close()
        return found, Alone(steps, _trips(folder, latency_ms, warm))


def _pass(
    beside: Beside, corpus: Corpus, hands: Mapping[str, ByHand], stack: Stack, vendor: Vendor, *, traced: bool
) -> None:
    """Each side once."""
    passes = {side: hand.once(corpus) for side, hand in hands.items()}
    passes[STACK] = stack.once(corpus, traced=traced)
    held = vendor.latencies_ms()
    for side, one in passes.items():
        beside.passes[side].append(one)
        beside.above_ms[side] += [seconds * 1000 - held[call] for call, seconds in one.calls.items()]


def _hands(folder: Path, vendor: Vendor) -> Iterator[tuple[str, AbstractContextManager[ByHand]]]:
    modules = {BOUND: (sys.executable, "bench.bound")}
    if FRAMEWORKS_PYTHON.exists():
        modules |= {name: (str(FRAMEWORKS_PYTHON), f"bench.frameworks.{name}") for name in FRAMEWORKS}
    for side, (python, module) in modules.items():
        command = (python, "-m", module)
        yield side, ByHand.started(folder / side, command, vendor.remote.base_url, vendor.remote.key)


def _trips(folder: Path, latency_ms: int, warm: Corpus) -> Trips:
    corpus = markdown_corpus(folder / "counted", COUNTED_DOCUMENTS, WARM_CHUNKS)
    with Vendor.started(latency_ms) as vendor:
        return counted(folder / "trips", _settings(vendor), warm, corpus)


def _stack(folder: Path, vendor: Vendor) -> AbstractContextManager[Stack]:
    return Stack.started(folder / "stack", _settings(vendor), IN_FLIGHT)


def _settings(vendor: Vendor) -> Mapping[str, str]:
    where = vendor.remote.base_url.removeprefix("http://").removesuffix("/v1")
    return {"EMBEDDER_BACKEND": "openai", **at_simulators({"openai": where})}
