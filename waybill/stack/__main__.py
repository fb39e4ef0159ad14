"""The supervisor's process, started by `waybill up`.

python -m waybill.stack HOME ADDRESSES MODE DATABASE
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from waybill.runtime.auth_settings import STACK_TOKEN
from waybill.runtime.settings import MODE
from waybill.settings import shown
from waybill.stack import state
from waybill.stack.exposing import asks_for_token
from waybill.stack.given import Given
from waybill.stack.home import Home
from waybill.stack.process import Process
from waybill.stack.state import Phase, ProgramState, StackState
from waybill.stack.supervisor import Program, Supervisor
from waybill.stack.table import at_simulators, tiers


def _say(text: str) -> None:
    """Writes to our log, or with --foreground to the terminal. The log's disk may be what is full."""
    with suppress(OSError):
        print(text, flush=True)  # noqa: T201 - the log is our standard output


async def supervise(
    home: Home,
    addresses: Mapping[str, str],
    programs: Sequence[Sequence[Program]],
    settings: Mapping[str, str],
    database: Given | None = None,
) -> int:
    """Runs tiers of programs until SIGTERM or Ctrl-C, and keeps the state file; the exit code."""
    current = StackState(
        Process.of(os.getpid()), Phase.STARTING, addresses, settings=settings, database=database
    )

    def report(phase: Phase, programs: Mapping[str, ProgramState], failure: str) -> None:
        nonlocal current
        if phase is not current.phase:
            _say(f"{phase} {failure}".rstrip())
        current = current.changed(phase, programs, failure)
        try:
            state.write(home, current)
        except OSError as error:  # a full disk must not end those who keep the programs running
            _say(f"{home.state} cannot be written: {error.strerror}")

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state.write(home, current)
    await Supervisor(programs, home.logs, report).run(stop)
    return 1 if current.phase is Phase.FAILED else 0


def main(folder: str, addresses: str, mode: str, database: str, environ: Mapping[str, str]) -> int:
    """Holds the state folder's lock for as long as the stack runs.

    Args:
        folder: The state folder.
        addresses: host:port by name, as JSON.
        mode: WAYBILL_MODE.
        database: The `Given`, as JSON; null: the stack runs a Postgres of its own.
        environ: What the programs inherit.
    """
    home = Home(Path(folder))
    with home.lock.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"another supervisor has {home.folder}\n")
            return 1
        where = json.loads(addresses)
        given = Given(**json.loads(database)) if database != "null" else None
        asked = {STACK_TOKEN.name: str(asks_for_token(environ, mode) or "")}
        settings = shown({**environ, **at_simulators(where), MODE.name: mode, **asked})
        programs = tiers(home, where, environ, mode, given)
        return asyncio.run(supervise(home, where, programs, settings, given))


if __name__ == "__main__":
    home_folder, places, mode_word, given_word = sys.argv[1:]
    sys.exit(main(home_folder, places, mode_word, given_word, os.environ))
