"""Waybill's own process table: Postgres → migrate → storage, ledger → parser, embedder → orchestrator."""

from __future__ import annotations

import functools
import sys
import urllib.request
from collections import ChainMap
from collections.abc import Mapping, Sequence

from waybill.money_settings import ALERT_WEBHOOK_SECRET
from waybill.objects_settings import OBJECTS_HTTP, OBJECTS_LINK_KEYS
from waybill.runtime.auth_settings import SERVICE_SECRET, STACK_TOKEN
from waybill.runtime.settings import BIND
from waybill.settings import DATABASE_ADMIN_URL, DATABASE_SERVICES, PASSWORDS, ROLES, TOKEN, password_variable
from waybill.stack import exposing, postgres, probe
from waybill.stack.config import ADMIN
from waybill.stack.given import Given
from waybill.stack.home import Home
from waybill.stack.ports import LINKS
from waybill.stack.postgres import Postgres
from waybill.stack.supervisor import Program
from waybill.vendors.registry import VENDORS, Vendor

POSTGRES, STORAGE, LEDGER = "postgres", "storage", "ledger"
# What the storage service calls the door behind links to objects on its own disk.
LINKS_HEALTH = "storage/links"
SERVICE_TIERS: Sequence[Sequence[str]] = ((STORAGE, LEDGER), ("parser", "embedder"), ("orchestrator",))
SERVICES = tuple(sorted(name for tier in SERVICE_TIERS for name in tier))
MODULE = (sys.executable, "-P", "-m")  # -P: a folder named `waybill` where we stand is not ours


def tiers(
    home: Home,
    addresses: Mapping[str, str],
    environ: Mapping[str, str],
    mode: str,
    given: Given | None,
) -> list[list[Program]]:
    """Everything to run, in order.

    Args:
        home: The state folder.
        addresses: host:port by name, Postgres among them.
        environ: What the programs inherit.
        mode: WAYBILL_MODE; "simulator" starts the vendors' simulators too.
        given: The Postgres that WAYBILL_DATABASE_ADMIN_URL names in `environ`; None: one is started.
    """
    passwords = home.passwords()
    if mode == "simulator":
        environ = {**environ, **at_simulators(addresses)}
    own = embedded(home, addresses)
    server = given or own
    admin_url = environ[DATABASE_ADMIN_URL.name] if given else own.url()
    private = {DATABASE_ADMIN_URL.name, TOKEN.name, *(one.name for one in PASSWORDS.values())}
    environ = {name: value for name, value in environ.items() if name not in private}
    open_to_others = exposing.public(environ)
    common = {
        **environ,
        **{f"WAYBILL_{name.upper()}_ADDRESS": addresses[name] for name in SERVICES},
        "WAYBILL_OTLP_ADDRESS": addresses["orchestrator"],
        "WAYBILL_OBJECTS_DIR": str(home.objects),
        OBJECTS_HTTP.name: addresses[LINKS],
        "WAYBILL_MODE": mode,
        SERVICE_SECRET.name: environ.get(SERVICE_SECRET.name) or home.service_secret(),
        STACK_TOKEN.name: home.stack_token() if exposing.asks_for_token(environ, mode) else "",
        "WAYBILL_STOP_ON_EOF": "1",
        "PYTHONUNBUFFERED": "1",
    }
    migrate = common | {
        DATABASE_ADMIN_URL.name: admin_url,
        **{password_variable(role): passwords[role] for role in ROLES},
    }
    services = [
        [
            _service(
                name,
                addresses[name],
                open_to_others.get(name),
                _without_secrets(name, common) | _database(name, server, passwords),
            )
            for name in tier
        ]
        for tier in SERVICE_TIERS
    ]
    there = (vendor for vendor in VENDORS if vendor.name in addresses)
    simulators = [_simulator(vendor, home, addresses, environ) for vendor in there]
    return [
        [*([] if given else [_postgres(own)]), *simulators],
        [Program("migrate", (*MODULE, "waybill.stack.migrate"), migrate, job=True)],
        *services,
    ]


def embedded(home: Home, addresses: Mapping[str, str]) -> Postgres:
    """The stack's own server; it does not run where one was given."""
    port = int(addresses[POSTGRES].rpartition(":")[2])
    return Postgres(home.postgres, port, home.passwords()[ADMIN])


def _postgres(server: Postgres) -> Program:
    return Program(
        POSTGRES,
        server.command(),
        postgres.environment(),
        ready=server.ready,
        prepare=server.prepare,
        stop_signal=postgres.STOP_SIGNAL,
        account=postgres.account(),
    )


def _service(name: str, address: str, beyond: str | None, environment: Mapping[str, str]) -> Program:
    return Program(
        name,
        (*MODULE, "waybill.stack.service", name),
        {**environment, BIND.name: f"{address},{beyond}" if beyond else address},
        ready=functools.partial(serving, address),
    )


def _simulator(
    vendor: Vendor, home: Home, addresses: Mapping[str, str], environ: Mapping[str, str]
) -> Program:
    name, control = vendor.name, addresses[vendor.control]
    port, control_port = (address.rpartition(":")[2] for address in (addresses[name], control))
    ports = ("--port", port, "--control-port", control_port)
    data = ("--data", str(home.simulator(name))) if vendor.simulator_keeps else ()
    command = (*MODULE, "waybill.sim", vendor.simulator, *ports, *data, "--stop-on-eof")
    return Program(
        name, command, _without_secrets(name, environ), ready=functools.partial(simulating, control)
    )


def at_simulators(addresses: Mapping[str, str]) -> dict[str, str]:
    """The settings that lead real backends to the simulators that there are."""
    there = [vendor for vendor in VENDORS if vendor.name in addresses]
    return dict(ChainMap(*(vendor.simulated(addresses[vendor.name]) for vendor in there)))


def _without_secrets(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of vendors that other programs speak to, and others' keys."""
    others = tuple(vendor.settings for vendor in VENDORS if vendor.service != name)
    others += (OBJECTS_LINK_KEYS.name,) if name != STORAGE else ()
    others += (ALERT_WEBHOOK_SECRET.name,) if name != LEDGER else ()
    return {variable: value for variable, value in environment.items() if not variable.startswith(others)}


def _database(name: str, server: Postgres | Given, passwords: Mapping[str, str]) -> dict[str, str]:
    if name not in DATABASE_SERVICES:
        return {}
    role, owner = f"waybill_{name}", f"waybill_{name}_owner"
    return {
        "WAYBILL_DATABASE_URL": server.url(role, passwords[role]),
        "WAYBILL_OWNER_DATABASE_URL": server.url(owner, passwords[owner]),
    }


def serving(address: str) -> bool:
    """Whether a server says SERVING."""
    return probe.check(address) == probe.SERVING


def simulating(control: str) -> bool:
    """Whether a simulator's control port answers."""
    try:
        with urllib.request.urlopen(f"http://{control}/state", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
