"""A second orchestrator and a second parser on a stack's database: `python -m tests.soak.replicas STACK OWN`.

They have the settings of the first ones, but for where they listen and what the engine calls them.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.waiting import eventually
from waybill.stack import state
from waybill.stack.__main__ import supervise
from waybill.stack.home import Home
from waybill.stack.ports import free_ports
from waybill.stack.state import Phase
from waybill.stack.supervisor import Program
from waybill.stack.table import MODULE, serving

# The parser first: the orchestrator sends its documents there.
REPLICATED = ("parser", "orchestrator")
PARSER, ORCHESTRATOR = NAMES = tuple(f"{name}-2" for name in REPLICATED)


@contextmanager
def replicas(stack: Home) -> Iterator[Home]:
    """Starts them, with a state folder of their own, and ends them."""
    own = Home(stack.folder / "replicas")
    own.prepare()
    words = [sys.executable, "-m", "tests.soak.replicas", str(stack.folder), str(own.folder)]
    supervisor = subprocess.Popen(words)
    try:
        eventually(lambda: _serving(own), "the replicas serve")
        yield own
    finally:
        supervisor.terminate()
        supervisor.wait()


def main(stack: str, own: str) -> int:
    """Keeps them running until SIGTERM."""
    found = state.read(Home(Path(stack)))
    assert found is not None
    ports = free_ports(len(NAMES))
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(NAMES, ports, strict=True)}
    tiers = [[_replica(name, addresses, found.programs[name].process.pid)] for name in REPLICATED]
    return asyncio.run(supervise(Home(Path(own)), addresses, tiers, {}))


def _replica(name: str, addresses: Mapping[str, str], pid: int) -> Program:
    """Another one of a program that runs as process `pid`."""
    address = addresses[f"{name}-2"]
    environment = psutil.Process(pid).environ() | {
        "WAYBILL_BIND": address,
        "WAYBILL_PARSER_ADDRESS": addresses[PARSER],
        "WAYBILL_EXECUTOR_ID": ORCHESTRATOR,
    }
    command = (*MODULE, "waybill.stack.service", name)
    return Program(f"{name}-2", command, environment, ready=functools.partial(serving, address))


def _serving(own: Home) -> bool:
    found = state.read(own)
    return found is not None and found.phase is Phase.SERVING


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
