"""Processes of a stack that nobody owns any more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from waybill.stack import state
from waybill.stack.home import Home

PROC = Path("/proc")


def strays(home: Home) -> list[str]:
    """Processes that were started for the stack and are not below its supervisor; Linux only."""
    found = state.read(home)
    assert found is not None
    parents = _parents()
    return [
        f"process {pid} was left over: {command}"
        for pid in parents
        if found.supervisor.pid not in _line(pid, parents) and (command := _of_stack(home, pid))
    ]


def _parents() -> Mapping[int, int]:
    parents = {}
    for folder in PROC.iterdir() if PROC.exists() else ():
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # it has just ended, or is no process
        if folder.name.isdecimal() and fields[0] not in "ZX":
            parents[int(folder.name)] = int(fields[1])
    return parents


def _line(pid: int, parents: Mapping[int, int]) -> list[int]:
    """A process and all above it."""
    line = []
    while pid in parents and pid not in line:
        line.append(pid)
        pid = parents[pid]
    return line


def _of_stack(home: Home, pid: int) -> str:
    """Its command line, when the stack's folder stands there or in its environment."""
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes()
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return ""
    mine = str(home.folder).encode()
    return command.replace(b"\0", b" ").decode(errors="replace") if mine in command + environment else ""
