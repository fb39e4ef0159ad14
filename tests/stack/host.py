"""A supervisor's process over Postgres and two stand-ins: `host.py HOME ADDRESSES`."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from waybill.stack import postgres
from waybill.stack.__main__ import supervise
from waybill.stack.home import Home
from waybill.stack.postgres import Postgres
from waybill.stack.supervisor import Program
from waybill.stack.table import serving

STANDIN = Path(__file__).with_name("standin.py")


def standin(name: str, address: str, journal: Path, *habits: str, grace_seconds: float = 10.0) -> Program:
    """A program that is healthy and nothing else."""
    port = address.rpartition(":")[2]
    command = [sys.executable, str(STANDIN), name, port, str(journal), *habits]
    ready = functools.partial(serving, address)
    return Program(name, command, dict(os.environ), ready=ready, grace_seconds=grace_seconds)


def embedded(server: Postgres) -> Program:
    """Postgres as the stack runs it."""
    return Program(
        "postgres",
        server.command(),
        postgres.environment(),
        ready=server.ready,
        prepare=server.prepare,
        stop_signal=postgres.STOP_SIGNAL,
        account=postgres.account(),
    )


def programs(home: Home, addresses: dict[str, str]) -> Sequence[Sequence[Program]]:
    """Postgres, then two tiers of one."""
    journal = home.folder / "journal"
    server = Postgres(
        home.postgres, int(addresses["postgres"].rpartition(":")[2]), home.passwords()["postgres"]
    )
    return [
        [embedded(server)],
        [standin("first", addresses["first"], journal)],
        [standin("second", addresses["second"], journal)],
    ]


if __name__ == "__main__":
    place, where = Home(Path(sys.argv[1])), json.loads(sys.argv[2])
    sys.exit(asyncio.run(supervise(place, where, programs(place, where), {})))
