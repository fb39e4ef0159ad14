"""Named places at which a test may break a process: kill -9, delay, or fail.

A fault is armed by a file in the folder that WAYBILL_FAULTS names (refused in production):
`<service>.<point>`, holding `kill`, `delay SECONDS` or `fail`, with ` after N` to let N hits pass. It is
used up by the hit that it breaks, also across restarts. Without the folder a point costs nothing.

Points: `step.<name>.start`, also with `.<run id>` · `call.<operation>.before|after`, also with
`.<attempt>` · `commit.before|after` · `publish.inside` · `parse.under_way` and `embed.under_way`, in the
local engines.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from waybill.runtime.errors import Unavailable


class _Armed:
    """Where faults are armed for this process: set once, at its start."""

    folder: Path | None = None
    service = ""


def arm(service: str, folder: Path | None) -> None:
    """Lets this process look for faults in a folder; None is never."""
    _Armed.service, _Armed.folder = service, folder


async def point(*names: str) -> None:
    """A place that may break, under any of its names.

    Raises:
        Unavailable: FAULT_INJECTED, where a fault says `fail`.
    """
    if _Armed.folder is None:
        return
    for name in names:
        action = _claim(_Armed.folder / f"{_Armed.service}.{name}")
        if action:
            await _break(action, name)


def _claim(file: Path) -> list[str]:
    """The words of an armed fault whose turn it is, used up; none otherwise."""
    try:
        words = file.read_text().split()
    except FileNotFoundError:
        return []
    *action, after, left = words if "after" in words else [*words, "after", "0"]
    assert after == "after", f"a fault reads 'kill after 3', not {' '.join(words)!r}"
    if int(left) > 0:
        file.write_text(" ".join([*action, "after", str(int(left) - 1)]))
        return []
    file.rename(file.with_name(f"{file.name}.used"))
    return action


async def _break(action: list[str], name: str) -> None:
    match action:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["delay", seconds]:
            await asyncio.sleep(float(seconds))
        case ["fail"]:
            raise Unavailable("FAULT_INJECTED", f"The fault armed at {name} broke this call.")
        case _:
            raise ValueError(f"no such fault: {' '.join(action)}")
