"""CPU and memory of process trees, from /proc (Linux alone)."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
CLIENT = "client"


@dataclass(frozen=True)
class Reading:
    """What programs have used so far, or in between.

    Attributes:
        wall_seconds: Of a monotonic clock.
        cpu_seconds: User and system, by program, with children, dead ones too.
    """

    wall_seconds: float
    cpu_seconds: Mapping[str, float]

    def since(self, before: Reading) -> Reading:
        """What was used after `before`."""
        used = {name: cpu - before.cpu_seconds.get(name, 0.0) for name, cpu in self.cpu_seconds.items()}
        return Reading(self.wall_seconds - before.wall_seconds, used)


@dataclass(frozen=True)
class Programs:
    """Trees of processes.

    Attributes:
        roots: Name by pid; a process belongs to its nearest ancestor among them.
    """

    roots: Mapping[int, str]

    def read(self) -> Reading:
        """Reads now; this process is the client."""
        cpu: dict[str, float] = defaultdict(float, {CLIENT: time.process_time()})
        table = _table()
        for pid, stat in table.items():
            if owner := self._owner(pid, table):
                cpu[owner] += stat.cpu_seconds
        return Reading(time.monotonic(), cpu)

    def forget_peaks(self) -> None:
        """Lets each process's peak begin anew at what it has now."""
        table = _table()
        for pid in table:
            if self._owner(pid, table):
                with suppress(OSError):
                    (_PROC / str(pid) / "clear_refs").write_text("5")

    def peaks_mb(self) -> dict[str, float]:
        """Peak resident memory of each program's largest process."""
        peaks: dict[str, float] = {}
        table = _table()
        for pid in table:
            if owner := self._owner(pid, table):
                peaks[owner] = max(peaks.get(owner, 0.0), peak_mb(pid))
        return peaks

    def _owner(self, pid: int, table: Mapping[int, _Stat]) -> str:
        while pid in table:
            if pid in self.roots:
                return self.roots[pid]
            pid = table[pid].parent
        return ""


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process; 0 of one that has gone."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


@dataclass(frozen=True)
class _Stat:
    parent: int
    cpu_seconds: float


def _table() -> dict[int, _Stat]:
    found: dict[int, _Stat] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                # The command's name stands in brackets and may hold anything; see proc_pid_stat(5).
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(folder.name)] = _Stat(int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return found
