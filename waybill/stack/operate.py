"""Up, down and status: what the CLI and the demo call. The supervisor itself is another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from waybill.runtime.errors import Precondition, Unavailable
from waybill.settings import DATABASE_ADMIN_URL
from waybill.stack import exposing, ports, probe, state
from waybill.stack.database import Chosen, DatabaseStatus, asked, chosen, is_at
from waybill.stack.given import Given
from waybill.stack.home import Home
from waybill.stack.postgres import STOP_SIGNAL
from waybill.stack.process import wait_until
from waybill.stack.state import Phase, StackState
from waybill.stack.supervisor import rotate
from waybill.stack.table import LINKS_HEALTH, POSTGRES, SERVICES, STORAGE, embedded, simulating
from waybill.vendors.registry import VENDORS

UP_SECONDS = 240.0
DOWN_SECONDS = 90.0
LEFTOVER_SECONDS = 15.0
# A server says SERVING before it has looked at its backends for the first time.
CHECK_SECONDS = 5.0


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Args:
        addresses: host:port by name.
        started: Whether this call started it; False when it ran before.
    """

    addresses: Mapping[str, str]
    started: bool


@dataclass(frozen=True)
class ServiceStatus:
    """One line of `waybill status`."""

    name: str
    pid: int | None
    address: str
    health: str
    restarts: int


@dataclass(frozen=True)
class Status:
    """The whole stack now.

    Args:
        services: The five, by name, the door behind links where there is one, and the vendor simulators that
            the stack started.
        postgres: The embedded server, or the one that the stack was given.
        connections: `used` of `limit`; None when the server does not answer.
        database: What it says of itself; None when it does not answer.
        given: Whether it is none of ours.
    """

    services: tuple[ServiceStatus, ...]
    postgres: ServiceStatus
    connections: Mapping[str, int] | None
    database: DatabaseStatus | None
    given: bool

    @property
    def serving(self) -> bool:
        """Whether everything works."""
        return all(one.health == probe.SERVING for one in (*self.services, self.postgres))


def addresses(kind: str, mode: str, given: Given | None) -> dict[str, str]:
    """Where each program will listen, and where Postgres does.

    Args:
        kind: "fixed" (checked to be free), or "free".
        mode: "local" or "simulator".
        given: The Postgres that the stack is given.
    """
    wanted = {name: port for name, port in ports.of_mode(mode).items() if name != POSTGRES or not given}
    numbers = ports.fixed(wanted) if kind == "fixed" else ports.free(wanted)
    ours = {name: f"127.0.0.1:{port}" for name, port in numbers.items()}
    return ours | ({POSTGRES: given.address} if given else {})


def running(home: Home) -> StackState | None:
    """The state of the stack whose supervisor lives; None when there is none."""
    found = state.read(home)
    return found if found is not None and found.supervisor.alive() else None


def up(home: Home, kind: str, mode: str = "local") -> Stack:
    """Starts the stack and returns when all of it is SERVING; a running one is left as it is.

    Raises:
        Unavailable: STACK_NOT_STARTED, a program cannot be started.
        Precondition: PORT_TAKEN, HOME_UNUSABLE, POSTGRES_MISSING, STACK_RUNS, BIND_REFUSED,
            DATABASE_UNFIT.
    """
    beyond = exposing.public(os.environ)
    home.prepare()
    found = running(home)
    if found is not None and found.phase not in (Phase.STARTING, Phase.SERVING):
        down(home)
        found = None
    if found is not None:
        if found.mode != mode:
            raise Precondition("STACK_RUNS", "The stack runs already, in another mode.")
        if os.environ.get(DATABASE_ADMIN_URL.name) and not is_at(found, os.environ):
            raise Precondition("STACK_RUNS", "The stack runs already, on another database.")
        return Stack(_serving(home, None).addresses, started=False)
    end_leftovers(home)
    exposing.check_free(beyond)
    choice = chosen(home, os.environ)
    return _started(home, addresses(kind, mode, choice.given), mode, choice)


def restart(home: Home) -> Stack:
    """Stops the running stack and starts it in its mode and on its ports, with the settings of now.

    Raises:
        Unavailable: NOT_REACHABLE, none runs; and as `up`.
        Precondition: STACK_RUNS, it would go on with another database than it has.
    """
    found = running(home)
    if found is None:
        raise no_stack(home)
    if not is_at(found, os.environ):
        at = f"the Postgres at {found.addresses[POSTGRES]}" if found.database else "a Postgres of its own"
        raise Precondition(
            "STACK_RUNS",
            f"The stack runs on {at}, and {DATABASE_ADMIN_URL.name} says another here. Set it as"
            " it was. Or end the stack first, and start it without the documents that it has now.",
        )
    exposing.public(os.environ)
    choice = chosen(home, os.environ, counted=False)
    mode = found.mode
    # One that an earlier release has started lacks ports of this one's.
    where = {**addresses("free", mode, choice.given), **found.addresses}
    down(home)
    return _started(home, where, mode, choice)


def no_stack(home: Home) -> Unavailable:
    """What to raise where a running stack is needed."""
    return Unavailable("NOT_REACHABLE", f"No stack runs here; its state would be in {home.folder}.")


def _started(home: Home, where: Mapping[str, str], mode: str, choice: Chosen) -> Stack:
    child = _detached(home, where, mode, choice)
    serving = _serving(home, child)
    return Stack(serving.addresses, started=serving.supervisor.pid == child.pid)


def check(home: Home, stack: Stack, seconds: float = CHECK_SECONDS) -> None:
    """Returns when every program of a running stack can do its work.

    Raises:
        Unavailable: STACK_NOT_SERVING, one cannot; the text names it, and which backend of it.
    """
    if wait_until(lambda: status(home).serving, seconds):
        return
    now = status(home)
    ill = [one.name for one in (*now.services, now.postgres) if one.health != probe.SERVING]
    answers = (probe.check_all(stack.addresses[name]) for name in ill if name in SERVICES)
    unwell = [name for answer in answers for name, word in answer.items() if word != probe.SERVING]
    backends = ", ".join(name for name in unwell if "/" in name)
    raise Unavailable(
        "STACK_NOT_SERVING",
        f"The stack runs, but these do not work: {', '.join(ill)}{f' ({backends})' if backends else ''}.",
    )


def down(home: Home) -> bool:
    """Stops the stack and waits; whether there was anything to stop.

    What a killed supervisor left behind is ended too.
    """
    found = running(home)
    if found is not None:
        found.supervisor.end(signal.SIGTERM, DOWN_SECONDS)
    return end_leftovers(home) or found is not None


def end_leftovers(home: Home) -> bool:
    """Ends programs whose supervisor is gone: services first, Postgres last."""
    found = state.read(home)
    if found is None or found.supervisor.alive():
        return False
    left = {name: program.process for name, program in found.programs.items() if program.process.alive()}
    for name in sorted(left, key=lambda name: name == POSTGRES):
        left[name].end(STOP_SIGNAL if name == POSTGRES else signal.SIGTERM, LEFTOVER_SECONDS)
    return bool(left)


def status(home: Home) -> Status:
    """Asks every program how it is."""
    found = running(home)
    database = asked(home, found) if found else None

    def line(name: str, health: str, part_of: str = "") -> ServiceStatus:
        program = found.programs.get(part_of or name) if found else None
        return ServiceStatus(
            name,
            program.process.pid if program else None,
            found.addresses[name] if found else "",
            health,
            program.restarts if program else 0,
        )

    def health(name: str) -> str:
        return probe.check(found.addresses[name]) if found else probe.UNREACHABLE

    simulators = [
        line(one.name, probe.SERVING if simulating(found.addresses[one.control]) else probe.UNREACHABLE)
        for one in VENDORS
        if found and one.control in found.addresses
    ]
    links = probe.check(found.addresses[STORAGE], LINKS_HEALTH) if found else probe.UNKNOWN
    doors = [line(ports.LINKS, links, part_of=STORAGE)] if links in (probe.SERVING, probe.NOT_SERVING) else []
    return Status(
        (*(line(name, health(name)) for name in SERVICES), *doors, *simulators),
        line(POSTGRES, probe.SERVING if database else probe.UNREACHABLE),
        {"used": database.used, "limit": database.limit} if database else None,
        database,
        found is not None and found.database is not None,
    )


def admin_url(home: Home, found: StackState) -> str:
    """Where the administrator of a running stack's Postgres connects.

    Raises:
        Precondition: DATABASE_UNFIT, the server was given, and nothing names its administrator.
    """
    if found.database is None:
        return embedded(home, found.addresses).url()
    if not (url := os.environ.get(DATABASE_ADMIN_URL.name)):
        raise Precondition(
            "DATABASE_UNFIT",
            f"The stack does not keep the administrator's password of {found.database.address}: set"
            f" {DATABASE_ADMIN_URL.name}.",
        )
    return url


def _detached(home: Home, where: Mapping[str, str], mode: str, choice: Chosen) -> subprocess.Popen[bytes]:
    log = home.log("supervisor")
    rotate(log)
    places = [str(home.folder), json.dumps(where), mode, choice.word()]
    command = [sys.executable, "-P", "-m", "waybill.stack", *places]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.folder,
            start_new_session=True,
            env={**choice.environ, "GRPC_ENABLE_FORK_SUPPORT": "false"},
        )
    # Should it end while we live, someone must take its exit code, or its number looks alive.
    threading.Thread(target=child.wait, daemon=True).start()
    return child


def _serving(home: Home, child: subprocess.Popen[bytes] | None) -> StackState:
    """Waits until the supervisor reports SERVING or gives up."""
    seen: StackState | None = None

    def settled() -> bool:
        nonlocal seen
        seen = running(home)
        if seen is not None:
            return seen.phase is not Phase.STARTING
        return child is None or child.poll() is not None

    wait_until(settled, UP_SECONDS)
    if seen is not None and seen.phase is Phase.SERVING:
        return seen
    last = state.read(home)
    failure = last.failure if last is not None else ""
    said = failure or f"The stack did not start; its log is {home.log('supervisor')}."
    raise Unavailable("STACK_NOT_STARTED", said)
