"""How the process of a side speaks with the one that measures: a pass a line, its figures as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from bench.processes import peak_mb


@dataclass(frozen=True)
class Done:
    """What a pass did.

    Attributes:
        chunks: Written by it.
        calls: Seconds of each request to a vendor, by X-Client-Request-Id.
    """

    chunks: int
    calls: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A pass as the process itself measured it; the first answer, before any pass, tells its start."""

    chunks: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    calls: Mapping[str, float]

    @classmethod
    def read(cls, line: str) -> Answer:
        """Raises RuntimeError where the process has ended instead."""
        if not line:
            raise RuntimeError("this side failed; its traceback is above")
        return cls(**json.loads(line))


def serve(ingest: Callable[[], Done]) -> None:
    """A pass for each line of standard input, which ends it."""
    _say(Done(0), 0.0, time.process_time())
    for _ in sys.stdin:
        wall, cpu = time.monotonic(), time.process_time()
        done = ingest()
        _say(done, time.monotonic() - wall, time.process_time() - cpu)


def _say(done: Done, wall_seconds: float, cpu_seconds: float) -> None:
    answer = Answer(done.chunks, wall_seconds, cpu_seconds, peak_mb(os.getpid()), done.calls)
    print(json.dumps(asdict(answer)), flush=True)
