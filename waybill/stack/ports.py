"""Ports: fixed ones that people type into grpcurl, or free ones."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from waybill.client import FIXED_PORTS

FIXED: Mapping[str, int] = {**FIXED_PORTS, "postgres": 7406}


class PortTaken(Exception):
    """A fixed port is in use; the text names it and says what to do."""


def fixed() -> dict[str, int]:
    """The fixed ports, each checked to be free.

    Raises:
        PortTaken: Another program listens on one.
    """
    for name, port in FIXED.items():
        check(name, port)
    return dict(FIXED)


def check(name: str, port: int) -> None:
    """Raises PortTaken when another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} on 127.0.0.1, which {name} needs, is taken by another program. "
                "Stop that program, or start with free ports: waybill up --ports free"
            ) from error


def free() -> dict[str, int]:
    """A free port for each."""
    return dict(zip(FIXED, free_ports(len(FIXED)), strict=True))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
