"""Named places at which a test may break a process, and the journal of what its engine did.

A fault is armed by a file in the folder that WAYBILL_FAULTS names (refused in production):
`<service>.<point>`, holding one of

    kill               kill -9 of this process
    delay SECONDS      latency
    stick              never goes on, until it is cancelled
    hold               goes on once the file that it has used is taken away
    fail [CLASS]       raises a class of `runtime.errors`; Unavailable where none is named

with ` after N` to let N hits pass. It is used up by the hit that it breaks, also across restarts.
Without the folder a point costs nothing.

Points: `step.<name>.start`, also with `.<run id>` · `call.<operation>.before|after` ·
`<operation>.under_way|done` in the local engines, before and after they work: a `done` that fails is a
lost reply · `batch.held|created|settled` in the embedder · `commit.before|after` · `publish.inside` ·
`switch.inside` in the storage service · `alert.before|after` in the ledger, around the message to the
webhook's receiver. Inside a vendor attempt each is also there with `.<attempt>`, the number of the attempt at
that call.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from waybill.runtime import errors, identity

# Between two looks at whether what is held may go on.
_LOOK_SECONDS = 0.02

_attempt: ContextVar[int] = ContextVar("attempt", default=0)


class _Armed:
    """Where faults are armed for this process: set once, at its start."""

    folder: Path | None = None
    service = ""


def arm(service: str, folder: Path | None) -> None:
    """Lets this process look for faults in a folder; None is never."""
    _Armed.service, _Armed.folder = service, folder


def attempt(number: int) -> None:
    """What follows in this context belongs to an attempt of that number; 0 is to none."""
    _attempt.set(number)


async def point(*names: str) -> None:
    """A place that may break, under any of its names.

    Raises:
        ServiceError: FAULT_INJECTED, of the class that a fault says.
    """
    if _Armed.folder is None:
        return
    number = _attempt.get()
    for name in (*names, *(f"{name}.{number}" for name in names if number)):
        file = _Armed.folder / f"{_Armed.service}.{name}"
        action = _claim(file)
        if action:
            await _break(action, name, _used(file))


def note(event: str, **figures: int) -> None:
    """What an engine did, in its own count: a line of `<service>.journal`, on disk when this returns."""
    if _Armed.folder is None:
        return
    line = json.dumps({"event": event, "run_id": identity.caller().run_id, **figures}) + "\n"
    with (_Armed.folder / f"{_Armed.service}.journal").open("a") as journal:
        journal.write(line)


@contextmanager
def noting_cancel(event: str) -> Iterator[None]:
    """Notes `<event> cancelled` where the work inside is cut off."""
    try:
        yield
    except asyncio.CancelledError:
        note(f"{event} cancelled")
        raise


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
    file.rename(_used(file))
    return action


def _used(file: Path) -> Path:
    return file.with_name(f"{file.name}.used")


async def _break(action: list[str], name: str, used: Path) -> None:
    match action:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["delay", seconds]:
            await asyncio.sleep(float(seconds))
        case ["stick"]:
            await asyncio.Event().wait()
        case ["hold"]:
            await _gone(used)
        case ["fail", *named]:
            kind = getattr(errors, named[0] if named else "Unavailable")
            raise kind("FAULT_INJECTED", f"The fault armed at {name} broke this call.")
        case _:
            raise ValueError(f"no such fault: {' '.join(action)}")


async def _gone(file: Path) -> None:
    """Waits until another process has taken a file away."""
    while await asyncio.to_thread(file.exists):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(_LOOK_SECONDS)
