"""What the kernel does for processes, and says of them in /proc. Stdlib alone."""

from __future__ import annotations

import ctypes
import signal
import sys
from contextlib import suppress
from pathlib import Path

# Of /proc/<pid>/stat behind the command's name: utime, stime, and what ended children had of both
# (proc_pid_stat(5), fields 14 to 17).
_TIMES = slice(11, 15)
_PR_SET_PDEATHSIG = 1


def die_with_parent(libc: ctypes.CDLL) -> None:
    """Has this process killed when the one that started it ends; a change of user undoes it."""
    if sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def cpu_ticks(pid: int) -> int:
    """CPU time of what a process has started, in the kernel's ticks; 0 where there is no /proc."""
    ticks = 0
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
            ticks += sum(map(int, fields[_TIMES])) + cpu_ticks(int(child))
    return ticks


def tasks_of(account: int) -> int:
    """Processes and threads that run under an account; 0 where there is no /proc."""
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == account:
                tasks += len(list((process / "task").iterdir()))
    return tasks
