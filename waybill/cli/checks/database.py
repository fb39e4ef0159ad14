"""The database: whether it answers, takes writes and has room, and what is in the way on a given server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from waybill.cli.checks.finding import Finding, State
from waybill.runtime.errors import ServiceError
from waybill.settings import DATABASE_ADMIN_URL, MASK
from waybill.stack.database import asked
from waybill.stack.home import Home
from waybill.stack.state import StackState
from waybill.stack.table import POSTGRES

CHECK, FITNESS = "database", "database fitness"
# With fewer left, the next service to need one waits.
LEAST_FREE = 3
PSQL = f'psql "${DATABASE_ADMIN_URL.name}"'


def findings(home: Home, found: StackState | None, settings: Mapping[str, str]) -> Iterator[Finding]:
    """What the database says.

    Args:
        home: The state folder.
        found: The running stack.
        settings: Those in force.
    """
    if found is not None:
        yield _running(home, found)
    url = settings.get(DATABASE_ADMIN_URL.name, "")
    if not url:
        if found is None:
            yield Finding(CHECK, State.SKIPPED, "the stack starts one of its own")
    elif f":{MASK}@" in url:
        yield Finding(FITNESS, State.SKIPPED, "this system does not show the stack's administrator's URL")
    else:
        yield from _given(url, started=found is not None)


def _running(home: Home, found: StackState) -> Finding:
    where = found.addresses[POSTGRES]
    now = asked(home, found)
    if now is None:
        mend = PSQL if found.database else "waybill logs postgres"
        return Finding(CHECK, State.FAILED, f"{where} does not answer", mend)
    if now.read_only:
        mend = "make room on its disk; then set default_transaction_read_only off"
        return Finding(CHECK, State.FAILED, f"{where} takes no writes now", mend)
    whose = "yours" if found.database else "the stack's own"
    detail = f"PostgreSQL {now.version} at {where}, {whose}; {now.used} of {now.limit} connections"
    if now.limit - now.used < LEAST_FREE:
        return Finding(CHECK, State.FAILED, detail, "end some, or raise its max_connections")
    return Finding(CHECK, State.OK, detail)


def _given(url: str, *, started: bool) -> Iterator[Finding]:
    """What is in the way of the stack; its connections have room already where it was started."""
    from waybill.stack import fitness  # psycopg: a third of the command line's start
    from waybill.stack.given_url import read
    from waybill.stack.server_facts import examine

    try:
        given, admin_url = read(url)
        server = examine(given, admin_url)
    except ServiceError as error:
        yield Finding(FITNESS, State.FAILED, error.message, f"export {DATABASE_ADMIN_URL.name}=…; waybill up")
        return
    faults = [*fitness.faults(server), *(() if started else fitness.crowding(server))]
    for fault in faults:
        yield Finding(FITNESS, State.FAILED, fault, PSQL)
    if not faults:
        yield Finding(
            FITNESS,
            State.OK,
            f"{given.address} has what the stack needs; pgvector {server.vector or server.vector_there}",
        )
