"""What memory processes of this machine need, as Linux tells it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_SAMPLE_SECONDS = 0.005
_GONE = (FileNotFoundError, ProcessLookupError)


def forget_peak(pid: int) -> None:
    """Lets the peak of a process begin anew, at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had, or had since its peak was forgotten."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # it has ended


def children(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(*_GONE):
            found += [int(child) for child in listing.read_text().split()]
    return found


class Brood:
    """Children of a process's children, watched: they live too short to be asked in the end.

    Attributes:
        peaks: Most memory by process number, bytes.
        most_at_once: How many lived at a time.
    """

    def __init__(self) -> None:
        self.peaks: dict[int, int] = {}
        self.most_at_once = 0
        self._over = threading.Event()

    @classmethod
    @contextmanager
    def of(cls, pid: int) -> Iterator[Brood]:
        """Watches until the block is left."""
        brood = cls()
        watcher = threading.Thread(target=brood._watch, args=[pid])
        watcher.start()
        try:
            yield brood
        finally:
            brood._over.set()
            watcher.join()

    @property
    def peak_bytes(self) -> int:
        """The most memory that one of them had."""
        return max(self.peaks.values(), default=0)

    def _watch(self, pid: int) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            seen = _peaks([grandchild for child in children(pid) for grandchild in children(child)])
            for child, peak in seen.items():
                self.peaks[child] = max(peak, self.peaks.get(child, 0))
            self.most_at_once = max(self.most_at_once, len(seen))


def _peaks(pids: list[int]) -> Mapping[int, int]:
    peaks: dict[int, int] = {}
    for pid in pids:
        with suppress(*_GONE):
            peaks[pid] = peak_bytes(pid)
    return peaks
