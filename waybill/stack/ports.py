"""Ports: fixed ones that people type into grpcurl, or free ones."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterable, Mapping

from waybill.runtime.errors import Precondition
from waybill.settings import FIXED_PORTS
from waybill.vendors.registry import VENDORS

# The storage service's door behind links to objects.
LINKS = "links"
FIXED: Mapping[str, int] = {**FIXED_PORTS, "postgres": 7406, LINKS: 7413}
SIMULATORS: Mapping[str, int] = {
    name: vendor.simulator_port + place
    for vendor in VENDORS
    for place, name in enumerate((vendor.name, vendor.control))
}
# Below what systems give away by themselves (Linux from 32768 on): while a program that was killed starts
# again, nobody else gets its port.
LASTING = range(10_240, 32_768)


def of_mode(mode: str) -> Mapping[str, int]:
    """Every program's fixed port, in a mode."""
    return {**FIXED, **(SIMULATORS if mode == "simulator" else {})}


def mode_of(names: Iterable[str]) -> str:
    """The mode of a stack that has programs of these names; it may be of another release, with other ones."""
    return "simulator" if SIMULATORS.keys() & set(names) else "local"


def fixed(wanted: Mapping[str, int]) -> dict[str, int]:
    """The ports that are wanted, each checked to be free.

    Raises:
        Precondition: PORT_TAKEN, another program listens on one.
    """
    for name, port in wanted.items():
        check(name, port)
    return dict(wanted)


def check(name: str, port: int) -> None:
    """Raises Precondition PORT_TAKEN when another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Precondition(
                "PORT_TAKEN", f"Port {port} on 127.0.0.1, which {name} needs, is taken by another program."
            ) from error


def free(wanted: Mapping[str, int]) -> dict[str, int]:
    """A free port for each."""
    return dict(zip(wanted, free_ports(len(wanted)), strict=True))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different.

    They lie side by side: two programs that choose at once meet less than if each port were drawn by itself.
    """
    ports: list[int] = []
    place = secrets.randbelow(len(LASTING))
    with contextlib.ExitStack() as stack:
        while len(ports) < count:
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", LASTING[place % len(LASTING)]))
                ports.append(int(probe.getsockname()[1]))
            place += 1
    return ports
