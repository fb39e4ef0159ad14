"""The vendor's simulator in a process of its own, which neither side's CPU counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.remote import Remote
from waybill.vendors.registry import OPENAI

# More than either side can send: what is measured is not the rate limits.
UNLIMITED = 1_000_000_000


class Vendor:
    """A running simulator of a known latency."""

    def __init__(self, remote: Remote, latency_ms: int) -> None:
        self.remote = remote
        self._latency_ms = latency_ms
        self._seen = 0

    @classmethod
    @contextmanager
    def started(cls, latency_ms: int) -> Iterator[Vendor]:
        """Starts it on free ports, and stops it."""
        command = [sys.executable, "-m", "waybill.sim", "openai", "--stop-on-eof"]
        command += ["--latency", f"{latency_ms}ms"]
        command += ["--requests-per-minute", str(UNLIMITED), "--tokens-per-minute", str(UNLIMITED)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
            assert child.stdout is not None
            urls = dict(child.stdout.readline().split() for _ in range(2))
            yield cls(Remote(urls["base_url"], urls["control_url"], OPENAI.simulator_key), latency_ms)

    def latencies_ms(self) -> dict[str, float]:
        """How long each embeddings request since the last look was held back, by X-Client-Request-Id."""
        journal = self.remote.journal
        new, self._seen = journal[self._seen :], len(journal)
        per_token = OpenAISettings.latency_seconds_per_token * 1000
        return {
            entry.client_request_id: self._latency_ms + per_token * entry.tokens
            for entry in new
            if entry.operation == "embeddings"
        }
