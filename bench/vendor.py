"""The embedder against the simulated OpenAI, the parser against the simulated LlamaCloud. Asserts nothing.

python -m bench.vendor [plain] [bucket] [outage] [faults] [parses]

Wall is beside what the vendor's own rules allow at the least; billed beside needed, in tokens.
"""

from __future__ import annotations

import math
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.parses import parses
from waybill import tokens
from waybill.client import Client, connect
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.limits import CALL_TEXTS, REQUEST_TOKENS
from waybill.runtime.errors import Unavailable
from waybill.sim.remote import Remote
from waybill.stack import operate
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

CALLERS = 8
TEXTS_A_CALL = 64
WORDS_A_TEXT = 490
NANO_USD_PER_TOKEN = 20
BUCKET = 1_000_000
OUTAGE_SECONDS = 30.0
FAULTS = "429:0.05,O10:0.05,O03:0.03"
ROOMY = 10_000_000


@dataclass(frozen=True)
class Seen:
    """One scenario: tokens needed, and what the vendor saw and billed."""

    wall_seconds: float
    needed_tokens: int
    billed_tokens: int
    statuses: Counter[str]
    fewest_requests: int

    def line(self, name: str, least_seconds: float | None = None) -> str:
        """The scenario's row."""
        beside = f", {self.wall_seconds / least_seconds:.3f} × the least" if least_seconds else ""
        statuses = " ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{name:<8} wall {self.wall_seconds:6.1f} s{beside}; requests {self.statuses.total()}"
            f" (fewest {self.fewest_requests}; {statuses}); billed / needed"
            f" {self.billed_tokens / self.needed_tokens:.3f}"
        )


class Vendor:
    """The stack's embedder, and the simulator behind it."""

    def __init__(self, client: Client, remote: Remote) -> None:
        self.remote = remote
        self._client = client
        self._number = 0

    def embed(self, calls: int, meanwhile: Callable[[], None] | None = None) -> Seen:
        """Sends texts that were never sent, from eight callers, until all have their vectors."""
        batches = [self._texts() for _ in range(calls)]
        seen, owed = len(self.remote.journal), self.remote.invoice.total_nano_usd
        began = time.monotonic()
        with ThreadPoolExecutor(CALLERS + 1) as pool:
            beside = pool.submit(meanwhile) if meanwhile else None
            list(pool.map(self._until_embedded, batches))
            wall = time.monotonic() - began
            if beside:
                beside.result()
        lines = [entry for entry in self.remote.journal[seen:] if entry.operation == "embeddings"]
        needs = [sum(tokens.count(texts)) for texts in batches]
        return Seen(
            wall,
            sum(needs),
            (self.remote.invoice.total_nano_usd - owed) // NANO_USD_PER_TOKEN,
            Counter(f"{entry.status}{' lost' if entry.outcome == 'reset' else ''}" for entry in lines),
            sum(
                max(math.ceil(TEXTS_A_CALL / CALL_TEXTS), math.ceil(need / REQUEST_TOKENS)) for need in needs
            ),
        )

    def _texts(self) -> Sequence[str]:
        self._number += 1
        return [f"{self._number} {place} " + "word " * WORDS_A_TEXT for place in range(TEXTS_A_CALL)]

    def _until_embedded(self, texts: Sequence[str]) -> None:
        while True:
            try:
                for _ in self._client.embedder.Embed(EmbedRequest(texts=texts), timeout=300):
                    pass
                return
            except Unavailable as error:
                threading.Event().wait(error.retry_after_seconds or 0.5)


@contextmanager
def _vendor() -> Iterator[Vendor]:
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        Path(folder).chmod(0o711)
        home = Home(Path(folder) / "stack")
        where = operate.up(home, "free", "simulator").addresses
        try:
            base = f"http://{where['openai']}/v1"
            remote = Remote(base, f"http://{where['openai-control']}", OPENAI.simulator_key)
            with connect(where, environ={}) as client:
                yield Vendor(client, remote)
        finally:
            operate.down(home)


def plain(vendor: Vendor) -> str:
    """No fault: requests sent, and the vendor's own latency as the least."""
    seen = vendor.embed(40)
    return seen.line("plain")


def bucket(vendor: Vendor) -> str:
    """A million tokens a minute: the bucket is full at first, the rest comes at its rate."""
    vendor.remote.limit(tokens_per_minute=BUCKET)
    seen = vendor.embed(80)
    vendor.remote.limit(tokens_per_minute=ROOMY)
    return seen.line("bucket", (seen.needed_tokens - BUCKET) / BUCKET * 60)


def outage(vendor: Vendor) -> str:
    """Nobody answers for 30 s: beside the outage and an undisturbed wall."""
    fresh = vendor.embed(40).wall_seconds

    def cut() -> None:
        threading.Event().wait(0.5)
        vendor.remote.faults.add("O01")
        threading.Event().wait(OUTAGE_SECONDS)
        vendor.remote.faults.heal()

    return vendor.embed(40, cut).line("outage", OUTAGE_SECONDS + fresh)


def faults(vendor: Vendor) -> str:
    """5 % 429, 5 % 500, 3 % lost replies."""
    vendor.remote.faults.add(FAULTS)
    seen = vendor.embed(200)
    vendor.remote.faults.heal()
    dropped = seen.statuses["200 lost"] / seen.fewest_requests
    return seen.line("faults") + f", dropped share {dropped:.3f}"


SCENARIOS = {"plain": plain, "bucket": bucket, "outage": outage, "faults": faults}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or (*SCENARIOS, parses.__name__):
        if wanted == parses.__name__:
            print(parses(), flush=True)
            continue
        with _vendor() as opened:
            print(SCENARIOS[wanted](opened), flush=True)
