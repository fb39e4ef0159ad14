"""Whether a Postgres that we were given can carry the stack: asked before anything is started or migrated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from psycopg import conninfo

from waybill.runtime.errors import Precondition
from waybill.stack.given import Given
from waybill.stack.given_url import INSTEAD, read
from waybill.stack.server_facts import Server, examine

# What the stack opens at most: storage 5, parser 4, ledger 5, orchestrator with its engine 10, status 1.
CONNECTIONS = 25
# Of one role: the orchestrator's, with the engine.
CONNECTIONS_OF_A_ROLE = 10
LEAST_POSTGRES = 16
# Iterative index scans, without which a tenant's search under row-level security finds next to nothing.
LEAST_VECTOR = (0, 8)


def fit(url: str, *, counted: bool = True, own_mark: str = "") -> tuple[Given, str]:
    """A given server that can carry the stack, and the administrator's URL with nothing left to defaults.

    Args:
        url: The administrator's.
        counted: Whether the stack's connections have still to find room.
        own_mark: Of the stack that is to be started; empty: none is.

    Raises:
        Precondition: DATABASE_UNFIT; the text names all that is in the way, and what to do.
        Unavailable: DATABASE_UNAVAILABLE, it lets nobody in.
    """
    given, admin_url = read(url)
    server = examine(given, admin_url)
    found = [*faults(server), *(crowding(server) if counted else ()), *_taken(server, own_mark)]
    if found:
        lines = "\n".join(f"  - {fault}" for fault in found)
        raise Precondition("DATABASE_UNFIT", f"The database at {given.address} cannot be used:\n{lines}")
    user = conninfo.conninfo_to_dict(admin_url)["user"]
    suffix = str(user).removeprefix(server.role)
    return replace(given, suffix=suffix if suffix.startswith(".") else ""), admin_url


def faults(server: Server) -> Iterator[str]:
    """What is in the way of the stack's schemas and roles, a sentence each, with what to do."""
    role, database = _name(server.role), _name(server.database)
    if not server.keeps_sessions:
        yield f"A pooler in transaction mode stands before it. {INSTEAD}"
    if _numbers(server.version)[0] < LEAST_POSTGRES:
        yield f"It is PostgreSQL {server.version}. Upgrade it: Waybill needs {LEAST_POSTGRES} or later."
    if server.standby:
        yield "It is a standby. Name the primary."
    elif server.read_only:
        yield (
            "It takes no writes (default_transaction_read_only is on). Supabase sets that where the disk is"
            " full: make room there, or set it off."
        )
    if not server.makes_roles:
        yield f"{role} may not create roles. As a superuser: alter role {role} createrole"
    if not server.makes_schemas:
        yield (
            f"{role} may not create schemas in {database}. As its owner: grant create on database {database}"
            f" to {role}"
        )
    if server.foreign_roles and not server.superuser:
        others = ", ".join(server.foreign_roles)
        yield (
            f"Another role than {role} has made {others}. Connect as that one, or let it say:"
            f" grant {others} to {role} with admin option"
        )
    yield from _vector(server)


def crowding(server: Server) -> Iterator[str]:
    """Where the stack's connections find no room, with the figures."""
    free = server.connections_limit - server.connections_used
    if free < CONNECTIONS:
        yield (
            f"{server.connections_used} of its {server.connections_limit} connections are in use, and the"
            f" stack needs {CONNECTIONS}. End some, or raise max_connections."
        )
    if 0 <= server.database_limit < CONNECTIONS:
        yield (
            f"The database {server.database} allows {server.database_limit} connections, and the stack needs"
            f" {CONNECTIONS}: alter database {_name(server.database)} connection limit -1"
        )
    if 0 <= server.role_limit < CONNECTIONS_OF_A_ROLE:
        yield (
            f"A service's role allows {server.role_limit} connections, and needs {CONNECTIONS_OF_A_ROLE}:"
            f" alter role waybill_… connection limit -1"
        )


def _taken(server: Server, own_mark: str) -> Iterator[str]:
    if own_mark and server.mark not in ("", own_mark) and server.service_sessions:
        yield (
            f"Another stack works on it: its services have {server.service_sessions} sessions. A stack sets"
            " the passwords of the services, so end that one first; or take its state folder (WAYBILL_HOME)."
        )


def _vector(server: Server) -> Iterator[str]:
    least = ".".join(map(str, LEAST_VECTOR))
    installed, there = _numbers(server.vector), _numbers(server.vector_there)
    if server.vector and installed < LEAST_VECTOR:
        how = (
            "alter extension vector update"
            if there >= LEAST_VECTOR
            else "upgrade the server's pgvector first"
        )
        yield f"Its extension vector is {server.vector}, and Waybill needs {least} or later: {how}"
    elif not server.vector and there < LEAST_VECTOR:
        have = f"has only {server.vector_there} of" if server.vector_there else "does not have"
        yield f"It {have} the extension vector (pgvector); install {least} or later on the server."


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2])) or (0,)


def _name(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
