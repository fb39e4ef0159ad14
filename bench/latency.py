"""The stack beside the lower bound where a vendor's latency counts: one simulator for both, side by side.

Both send the same documents in turn, and each has a Postgres of its own. The simulator's CPU is neither's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.by_hand import ByHand
from bench.corpora import Corpus, markdown_corpus
from bench.passes import Pass, median_of
from bench.simulated import Vendor
from bench.stack import Stack
from waybill.stack.table import at_simulators

WARM_DOCUMENTS, WARM_CHUNKS = 8, 23
# More than the orchestrator works on, so that it never waits for the client.
IN_FLIGHT = 24


@dataclass
class Beside:
    """One size of documents at one latency.

    Attributes:
        bounds, stacks: A pass a round.
        bound_above_ms, stack_above_ms: Of each call for embeddings, its time less the vendor's latency.
    """

    name: str
    bounds: list[Pass] = field(default_factory=list)
    stacks: list[Pass] = field(default_factory=list)
    bound_above_ms: list[float] = field(default_factory=list)
    stack_above_ms: list[float] = field(default_factory=list)

    @property
    def medians(self) -> tuple[Pass, Pass]:
        """Of the bound and of the stack."""
        return median_of(self.bounds), median_of(self.stacks)


def measured(
    folder: Path, latencies_ms: Sequence[int], sizes: Sequence[tuple[int, int]], rounds: int
) -> Iterator[Beside]:
    """All sizes at each latency.

    Args:
        folder: For everything.
        latencies_ms: Of a request, 0.2 ms per 100 tokens on top.
        sizes: Documents and chunks of each.
        rounds: Passes of each side and size.
    """
    folder.mkdir(mode=0o711)
    corpora = [
        [
            markdown_corpus(folder / f"{documents}-{chunks}-{number}", documents, chunks)
            for number in range(rounds)
        ]
        for documents, chunks in sizes
    ]
    warm = markdown_corpus(folder / "warm", WARM_DOCUMENTS, WARM_CHUNKS)
    for latency_ms in latencies_ms:
        yield from _at(folder / f"{latency_ms}ms", latency_ms, corpora, warm)


def _at(folder: Path, latency_ms: int, corpora: Sequence[Sequence[Corpus]], warm: Corpus) -> list[Beside]:
    folder.mkdir(mode=0o711)
    found = [Beside(f"{latency_ms} ms, {rounds[0].name}") for rounds in corpora]
    with Vendor.started(latency_ms) as vendor, _hand(folder, vendor) as hand, _stack(folder, vendor) as stack:
        stack.once(warm, traced=False)
        hand.once(warm)
        vendor.latencies_ms()
        for beside, rounds in zip(found, corpora, strict=True):
            for corpus in rounds:
                beside.bounds.append(hand.once(corpus))
                beside.stacks.append(stack.once(corpus, traced=corpus is rounds[-1]))
                held = vendor.latencies_ms()
                beside.bound_above_ms += _above_ms(beside.bounds[-1], held)
                beside.stack_above_ms += _above_ms(beside.stacks[-1], held)
    return found


def _hand(folder: Path, vendor: Vendor) -> AbstractContextManager[ByHand]:
    remote = vendor.remote
    return ByHand.started(folder / "by-hand", "bench.bound_vendor", remote.base_url, remote.key)


def _stack(folder: Path, vendor: Vendor) -> AbstractContextManager[Stack]:
    where = vendor.remote.base_url.removeprefix("http://").removesuffix("/v1")
    settings = {"EMBEDDER_BACKEND": "openai", **at_simulators({"openai": where})}
    return Stack.started(folder / "stack", settings, IN_FLIGHT)


def _above_ms(one: Pass, held: dict[str, float]) -> list[float]:
    return [seconds * 1000 - held[call] for call, seconds in one.calls.items()]
