"""What the kernel says of processes, in /proc. Stdlib alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

# Of /proc/<pid>/stat behind the command's name: utime and stime (proc_pid_stat(5), fields 14 and 15).
_USER, _SYSTEM = 11, 12


def cpu_ticks(pid: int) -> int:
    """CPU time of a process's living children, in the kernel's ticks; 0 where there is no /proc."""
    ticks = 0
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return ticks


def tasks_of(account: int) -> int:
    """Processes and threads that run under an account; 0 where there is no /proc."""
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == account:
                tasks += len(list((process / "task").iterdir()))
    return tasks
