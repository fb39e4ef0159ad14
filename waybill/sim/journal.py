"""Every request that a simulator saw, in order; also as JSON lines in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One request, written down before its reply leaves.

    Args:
        id: The vendor's own id of it.
        time: Seconds since the epoch, by the simulator's clock.
        key: Fingerprint of the API key; the key itself is nowhere.
        operation: Its route's name; `unknown`, or `foreign` where a redirect was followed.
        client_request_id: What the caller calls this attempt.
        call: sha256 of the request's inputs: the logical call, equal over its attempts.
        attempt: Which attempt of that call this is, from 1.
        tokens: By the simulator's own count; 0 where nothing was counted.
        status: The HTTP status, also where the reply was not delivered; 0 where there was none.
        outcome: How the reply left: `whole`, `reset`, `half`, …
        fault: The fault that broke it, as it was armed.
        query: As it was sent.
        headers: In lower case, without the key.
        body_sha256: Of what was read of the body.
        connection: Which of the host's connections it came by, from 1.
        violation: What the caller must never do, in words; empty where it did not.
    """

    id: str
    time: float
    key: str
    method: str
    path: str
    operation: str
    client_request_id: str
    call: str
    attempt: int
    inputs: int
    tokens: int
    status: int
    outcome: str
    fault: str
    billed_nano_usd: int
    query: str
    headers: Mapping[str, str]
    body_sha256: str
    connection: int
    violation: str


class Journal:
    """Keeps entries; the file, if one is named, is added to."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file = path.open("a", buffering=1) if path else None

    def record(self, entry: Entry) -> None:
        """Adds one entry."""
        self.entries.append(entry)
        if self._file:
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def close(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()
