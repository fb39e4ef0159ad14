"""Processes of a stack: which one a program is, and those that nobody owns any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psutil

from waybill.stack import state
from waybill.stack.home import Home
from waybill.stack.process import Process


def of_program(homes: Sequence[Home], name: str) -> Process | None:
    """The process of a program that one of these supervisors keeps, while it lives."""
    states = filter(None, map(state.read, homes))
    found = next((one.programs[name].process for one in states if name in one.programs), None)
    return found if found is not None and found.alive() else None


def strays(homes: Sequence[Home]) -> list[str]:
    """Processes that were started for a stack and are below none of its supervisors; Linux only."""
    supervisors = {found.supervisor.pid for found in map(state.read, homes) if found is not None}
    return [
        f"process {one.pid} was left over: {' '.join(command)}"
        for one, command in _started_for(homes[0])
        if one.is_running() and supervisors.isdisjoint(parent.pid for parent in [one, *one.parents()])
    ]


def _started_for(home: Home) -> Iterator[tuple[psutil.Process, Sequence[str]]]:
    """Processes that have the stack's folder in their command line or environment."""
    for one in psutil.process_iter(["cmdline", "environ"]):
        # None of a process that has just ended, or that is not ours to look at.
        command, environment = one.info["cmdline"] or [], one.info["environ"] or {}
        if any(str(home.folder) in text for text in (*command, *environment.values())):
            yield one, command
