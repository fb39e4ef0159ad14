"""`waybill up | down | restart | status | health | migrate`: the stack on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.checks import before
from waybill.cli.exits import Exit
from waybill.cli.screen import Screen
from waybill.cli.session import Json, failing
from waybill.runtime.errors import NotFound, Precondition, Unavailable
from waybill.runtime.settings import MODE
from waybill.settings import DATABASE_ADMIN_URL, ROLES
from waybill.stack import home as homes
from waybill.stack import operate, probe
from waybill.stack.config import MigrateConfig, migrations_folder
from waybill.stack.database import chosen
from waybill.stack.home import Home
from waybill.stack.operate import ServiceStatus, Stack
from waybill.stack.table import SERVICES


class Ports(StrEnum):
    """Where the programs listen."""

    FIXED = "fixed"
    FREE = "free"


class Mode(StrEnum):
    """What the services work with."""

    LOCAL = "local"
    REAL = "real"
    HYBRID = "hybrid"
    SIMULATOR = "simulator"


@contextmanager
def at_home(as_json: bool = False) -> Iterator[tuple[Screen, Home]]:
    """The screen, and the state folder for where we stand; ends a command as `failing` does."""
    screen = Screen.open(as_json)
    with failing(screen):
        yield screen, homes.find(os.environ)


def up(
    ports: Annotated[Ports, typer.Option(help="7401 to 7406 and 7413, or any that are free.")] = Ports.FIXED,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; Ctrl-C stops it.")] = False,
    mode: Annotated[
        Mode, typer.Option(envvar=MODE.name, help="Who does the work: docs/modes.md.")
    ] = Mode.LOCAL,
    as_json: Json = False,
) -> None:
    """Start the stack; returns when all of it is SERVING."""
    with at_home(as_json) as (screen, home):
        if operate.running(home) is None:
            before.check(os.environ, mode)
        if foreground:
            raise typer.Exit(_foreground(home, ports, mode))
        with screen.err.status("starting the stack"):
            stack = operate.up(home, ports, mode)
        _show_stack(screen, home, stack)


def restart(as_json: Json = False) -> None:
    """Stop the stack and start it again: same mode, same ports, this shell's settings."""
    with at_home(as_json) as (screen, home):
        if found := operate.running(home):
            before.check(os.environ, found.mode)
        with screen.err.status("restarting the stack"):
            stack = operate.restart(home)
        _show_stack(screen, home, stack)


def down(as_json: Json = False) -> None:
    """Stop the stack; the data stays."""
    with at_home(as_json) as (screen, home):
        stopped = operate.down(home)
        if as_json:
            screen.emit({"stopped": stopped})
        else:
            screen.show("The stack is down; its data stays." if stopped else "No stack is running.")


def status(as_json: Json = False) -> None:
    """Show every program; exit 0 only when all are SERVING."""
    with at_home(as_json) as (screen, home):
        found = operate.status(home)
        lines = (*found.services, found.postgres)
        if as_json:
            screen.emit(asdict(found))
        else:
            screen.show(*map(_line, lines))
            if found.database and found.connections:
                whose = "yours" if found.given else "the stack's own"
                screen.show(f"PostgreSQL {found.database.version}, {whose}")
                screen.show("{used} of {limit} Postgres connections".format(**found.connections))
                if found.database.read_only:
                    screen.show(
                        Text("the database takes no writes now (default_transaction_read_only)", "bold red")
                    )
        if not any(line.pid for line in lines):
            raise operate.no_stack(home)
        raise typer.Exit(Exit.OK if found.serving else Exit.NOT_REACHABLE)


def health(
    target: Annotated[str, typer.Argument(help="A service's name, or host:port; all when absent.")] = "",
    name: Annotated[str, typer.Option(help="One RPC service or backend, such as parser/local.")] = "",
    as_json: Json = False,
) -> None:
    """Ask servers and their backends how they are; exit 0 only when all asked are SERVING."""
    with at_home(as_json) as (screen, home):
        answers: Mapping[str, Mapping[str, str]] = {
            label: {name: probe.check(address, name)} if name else probe.check_all(address)
            for label, address in _targets(home, target).items()
        }
        if as_json:
            screen.emit(answers)
        for label, statuses in () if as_json else answers.items():
            screen.show(*(_health(word, f"{label} {what}".rstrip()) for what, word in statuses.items()))
        words = [word for statuses in answers.values() for word in statuses.values()]
        well = all(word == probe.SERVING for word in words)
        raise typer.Exit(Exit.OK if well else Exit.NOT_REACHABLE)


def migrate(
    database_url: Annotated[
        str, typer.Option(help="Of a role that may create roles, in place of WAYBILL_DATABASE_ADMIN_URL.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring the database up to date: the running stack's, or the one that you name."""
    import psycopg  # slow to import, as DBOS is, and no other command needs them

    from waybill.stack import migrate as migrations

    with at_home(as_json) as (screen, home):
        config = _migrate_config(home, database_url)
        try:
            applied = migrations.migrate(config.database_url, config.passwords, config.migrations)
        except (psycopg.Error, OSError) as error:
            raise Unavailable("MIGRATION_FAILED", f"The database is not up to date: {error}") from error
        if as_json:
            screen.emit({"applied": applied})
        else:
            screen.show(*(f"applied {line}" for line in applied), "The database is up to date.")


def _show_stack(screen: Screen, home: Home, stack: Stack) -> None:
    operate.check(home, stack)
    if screen.as_json:
        screen.emit({"started": stack.started, "addresses": dict(stack.addresses)})
        return
    said = "is up" if stack.started else "was up already"
    screen.out.print(f"The stack {said}; its state is in {home.folder}", soft_wrap=True)
    wide = max(map(len, stack.addresses), default=0)
    screen.show(*(f"  {name:<{wide}}  {address}" for name, address in stack.addresses.items()))


def _migrate_config(home: Home, database_url: str) -> MigrateConfig:
    environ = {**os.environ, **({DATABASE_ADMIN_URL.name: database_url} if database_url else {})}
    if environ.get(DATABASE_ADMIN_URL.name):
        return MigrateConfig.from_env(environ)
    found = operate.running(home)
    if found is None:
        raise operate.no_stack(home)
    passwords = {role: password for role, password in home.passwords().items() if role in ROLES}
    return MigrateConfig(operate.admin_url(home, found), passwords, migrations_folder(os.environ))


def _targets(home: Home, target: str) -> dict[str, str]:
    if ":" in target:
        return {target: target}
    found = operate.running(home)
    if found is None:
        raise operate.no_stack(home)
    if target and target not in SERVICES:
        known = ", ".join(SERVICES)
        raise NotFound("SERVICE_UNKNOWN", f"There is no service {target!r}; there are {known}, or host:port.")
    return {name: found.addresses[name] for name in ((target,) if target else SERVICES)}


def _foreground(home: Home, ports: Ports, mode: Mode) -> int:
    from waybill.stack.__main__ import main

    home.prepare()
    if operate.running(home) is not None:
        raise Precondition("STACK_RUNS", "The stack runs already.")
    operate.end_leftovers(home)
    choice = chosen(home, os.environ)
    where = json.dumps(operate.addresses(ports, mode, choice.given))
    return main(str(home.folder), where, mode, choice.word(), choice.environ)


def _line(status: ServiceStatus) -> Text:
    pid = f"pid {status.pid}" if status.pid else "no process"
    restarts = f", restarted {status.restarts} ×" if status.restarts else ""
    return _health(status.health, f"{status.name:<13} {status.address} ({pid}{restarts})", 12)


def _health(word: str, what: str, width: int = 16) -> Text:
    return Text.assemble((f"{word:<{width}}", "green" if word == probe.SERVING else "bold red"), f" {what}")
