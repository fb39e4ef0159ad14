"""`waybill up | down | status | health | migrate`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from waybill.runtime.settings import MODE
from waybill.settings import ROLES
from waybill.stack import home as homes
from waybill.stack import operate, probe
from waybill.stack.config import MigrateConfig, migrations_folder
from waybill.stack.home import Home, HomeUnusable
from waybill.stack.operate import ServiceStatus, StackFailed
from waybill.stack.ports import PortTaken
from waybill.stack.postgres import PostgresFailed
from waybill.stack.table import SERVICES

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Ports(StrEnum):
    """Where the programs listen."""

    FIXED = "fixed"
    FREE = "free"


class Mode(StrEnum):
    """What the services work with."""

    LOCAL = "local"
    SIMULATOR = "simulator"


def here() -> Home:
    """The state folder for where we stand."""
    return homes.find(os.environ, Path.cwd())


def up(
    ports: Annotated[Ports, typer.Option(help="7401 to 7406, or any that are free.")] = Ports.FIXED,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; Ctrl-C stops it.")] = False,
    mode: Annotated[
        Mode, typer.Option(envvar=MODE.name, help="Local engines, or vendors' simulators.")
    ] = Mode.LOCAL,
    as_json: Json = False,
) -> None:
    """Start the stack; returns when all of it is SERVING."""
    home = here()
    with saying_failures():
        if foreground:
            raise typer.Exit(_foreground(home, ports, mode))
        stack = operate.up(home, ports, mode)
    if as_json:
        typer.echo(json.dumps({"started": stack.started, "addresses": dict(stack.addresses)}))
        return
    typer.echo(f"The stack {'is up' if stack.started else 'was up already'}; its state is in {home.folder}")
    for name, address in stack.addresses.items():
        typer.echo(f"  {name:<13} {address}")


def down(as_json: Json = False) -> None:
    """Stop the stack; the data stays."""
    home = here()
    with saying_failures():
        stopped = operate.down(home)
    if as_json:
        typer.echo(json.dumps({"stopped": stopped}))
        return
    typer.echo("The stack is down; its data stays." if stopped else "No stack is running.")


def status(as_json: Json = False) -> None:
    """Show every program; exit 0 only when all are SERVING."""
    with saying_failures():
        found = operate.status(here())
    if as_json:
        typer.echo(found.as_json())
    else:
        for line in (*found.services, found.postgres):
            typer.echo(_line(line))
        if found.connections:
            typer.echo(f"{found.connections['used']} of {found.connections['limit']} Postgres connections")
        if not any(line.pid for line in found.services):
            typer.echo("No stack is running; start it: waybill up")
    raise typer.Exit(0 if found.serving else 1)


def health(
    target: Annotated[str, typer.Argument(help="A service's name, or host:port; all when absent.")] = "",
    name: Annotated[str, typer.Option(help="One RPC service or backend, such as parser/local.")] = "",
    as_json: Json = False,
) -> None:
    """Ask servers and their backends how they are; exit 0 only when all asked are SERVING."""
    answers = {
        label: {name: probe.check(address, name)} if name else dict(probe.check_all(address))
        for label, address in _targets(target).items()
    }
    if as_json:
        typer.echo(json.dumps(answers))
    else:
        for label, statuses in answers.items():
            for what, word in statuses.items():
                typer.echo(f"{word:<16} {label} {what}".rstrip())
    whole = [word for statuses in answers.values() for word in statuses.values()]
    raise typer.Exit(0 if all(word == probe.SERVING for word in whole) else 1)


def migrate(as_json: Json = False) -> None:
    """Bring the database up to date: the running stack's, or WAYBILL_ADMIN_DATABASE_URL's."""
    import psycopg  # slow to import, as DBOS is, and no other command needs them

    from waybill.stack import migrate as migrations

    with saying_failures():
        config = _migrate_config(here())
        try:
            applied = migrations.migrate(config.database_url, config.passwords, config.migrations)
        except (psycopg.Error, OSError) as error:
            _fail(f"The database could not be brought up to date: {error}")
    if as_json:
        typer.echo(json.dumps({"applied": applied}))
        return
    for line in applied:
        typer.echo(f"applied {line}")
    typer.echo("The database is up to date.")


def _migrate_config(home: Home) -> MigrateConfig:
    if os.environ.get("WAYBILL_ADMIN_DATABASE_URL"):
        return MigrateConfig.from_env(os.environ)
    found = operate.running(home)
    if found is None:
        _fail("No stack is running: start it (waybill up migrates), or set WAYBILL_ADMIN_DATABASE_URL.")
    passwords = {role: password for role, password in home.passwords().items() if role in ROLES}
    return MigrateConfig(operate.admin_url(home, found), passwords, migrations_folder(os.environ))


def _targets(target: str) -> dict[str, str]:
    if ":" in target:
        return {target: target}
    found = operate.running(here())
    if found is None:
        _fail("No stack is running; start it: waybill up")
    if target and target not in SERVICES:
        _fail(f"There is no service {target!r}; there are {', '.join(SERVICES)}, or give host:port.")
    names = (target,) if target else SERVICES
    return {name: found.addresses[name] for name in names}


def _foreground(home: Home, ports: Ports, mode: Mode) -> int:
    from waybill.stack.__main__ import main

    home.prepare()
    if operate.running(home) is not None:
        _fail("The stack runs already; stop it first: waybill down")
    operate.end_leftovers(home)
    return main(str(home.folder), json.dumps(operate.addresses(ports, mode)), mode)


def _line(status: ServiceStatus) -> str:
    pid = f"pid {status.pid}" if status.pid else "no process"
    restarts = f", restarted {status.restarts} ×" if status.restarts else ""
    return f"{status.health:<12} {status.name:<13} {status.address} ({pid}{restarts})"


@contextmanager
def saying_failures() -> Iterator[None]:
    """Failures that carry their own advice become that sentence and exit code 1."""
    try:
        yield
    except (StackFailed, HomeUnusable, PortTaken, PostgresFailed) as failure:
        _fail(str(failure))


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
