"""Processes by number: who is it, is it still the same one, and how it is started and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number.

    Args:
        pid: The number.
        started: When it started, as the system words it; numbers are used again, this is not.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this number now."""
        return cls(pid, _started(pid))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.started != "" and _started(self.pid) == self.started

    def end(self, signal_number: int, grace_seconds: float) -> None:
        """Sends the signal, waits, and kills what did not end in time. Returns when it is gone."""
        for number, seconds in ((signal_number, grace_seconds), (signal.SIGKILL, 5.0)):
            if not self.alive():
                return
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
            wait_until(lambda: not self.alive(), seconds)


@dataclass(frozen=True)
class Account:
    """Whom a child runs as."""

    uid: int
    gid: int


def launched(
    command: Sequence[str], death_signal: signal.Signals, account: Account | None = None
) -> list[str]:
    """The command line that ends with this process, as another user where one is given.

    Spawn it from the main thread: the signal comes when the spawning thread ends.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    words = [os.getpid(), int(death_signal), uid, gid]
    return [sys.executable, "-I", "-S", str(LAUNCHER), *(str(word) for word in words), *command]


def command_line(pid: int) -> str:
    """What a process was started with; empty when there is none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps(pid, "command")


def environment(pid: int) -> Mapping[str, str]:
    """What a process of ours was started with; empty where the system does not tell."""
    try:
        text = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes())
    except OSError:
        return {}
    return {name: value for name, sign, value in (pair.partition("=") for pair in text.split("\0")) if sign}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for a condition with a deadline; False when time ran out."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(POLL_SECONDS)
    return True


def _started(pid: int) -> str:
    if sys.platform != "linux":
        return _ps(pid, "lstart")
    try:
        # The command's name stands in brackets and may hold anything; start time is field 22.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _ps(pid: int, column: str) -> str:
    result = subprocess.run(["ps", "-ww", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True)
    return result.stdout.strip()
