"""Whether a Postgres that we were given can carry the stack: asked before anything is started or migrated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from waybill.runtime.errors import Precondition, Unavailable
from waybill.settings import ROLES
from waybill.stack.given import Given
from waybill.stack.given_url import INSTEAD, read

CONNECT_SECONDS = 10
# What the stack opens at most: storage 5, parser 4, ledger 5, orchestrator with its engine 10, status 1.
CONNECTIONS = 25
# Of one role: the orchestrator's, with the engine.
CONNECTIONS_OF_A_ROLE = 10
LEAST_POSTGRES = 16
MARKED = ROLES[0]
# Iterative index scans, without which a tenant's search under row-level security finds next to nothing.
LEAST_VECTOR = (0, 8)
# Others' sessions hide what they are from a role that is no superuser.
USED = sql.SQL("""(
    select count(*)::int from pg_stat_activity where pid <> pg_backend_pid() and usesysid is not null
        and coalesce(backend_type, 'client backend') = 'client backend')
""")
LIMIT = sql.SQL("""
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)
""")
FACTS = sql.SQL("""
select session_user::text as role, current_setting('server_version') as version,
    rolsuper or rolcreaterole as makes_roles, rolsuper as superuser, datname::text as database,
    has_database_privilege(datname, 'create') as makes_schemas,
    pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as read_only,
    {used} as connections_used, {limit} as connections_limit, datconnlimit as database_limit,
    coalesce((
        select min(rolconnlimit) from pg_roles where rolname = any(%(roles)s) and rolconnlimit >= 0
    ), -1) as role_limit,
    array(
        select rolname::text from pg_roles where rolname = any(%(roles)s)
        and not pg_has_role(session_user, oid, 'member with admin option') order by 1) as foreign_roles,
    coalesce((select extversion from pg_extension where extname = 'vector'), '') as vector,
    coalesce((select default_version from pg_available_extensions where name = 'vector'), '') as vector_there,
    coalesce(
        (select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %(marked)s), '') as mark,
    (select count(*)::int from pg_stat_activity where usename = any(%(roles)s)) as service_sessions
from pg_roles, pg_database where rolname = session_user and datname = current_database()
""").format(used=USED, limit=LIMIT)


@dataclass(frozen=True)
class Server:
    """What a server says of itself.

    Args:
        role: Who we are there.
        version: Its own.
        makes_roles: Whether that role may.
        superuser: Whether it may anything.
        database: Which one we are in.
        makes_schemas: Whether the role may, there.
        standby: It follows another one and takes no writes.
        read_only: It takes no writes now.
        connections_limit: What it grants to roles that are no superusers.
        connections_used: Of these, by others than us.
        database_limit: Of this database; -1: none.
        role_limit: The smallest of a service's role; -1: none.
        foreign_roles: Service roles that are there and not ours to manage.
        vector: The extension's version here; empty: it is not installed.
        vector_there: The version that could be installed; empty: none.
        mark: Of the stack that set the services' passwords; see `mark`.
        service_sessions: Of the services' roles, now.
        keeps_sessions: No pooler in transaction mode stands between.
    """

    role: str
    version: str
    makes_roles: bool
    superuser: bool
    database: str
    makes_schemas: bool
    standby: bool
    read_only: bool
    connections_limit: int
    connections_used: int
    database_limit: int
    role_limit: int
    foreign_roles: list[str]
    vector: str
    vector_there: str
    mark: str
    service_sessions: int
    keeps_sessions: bool


def mark(passwords: Mapping[str, str]) -> str:
    """What a stack leaves as a comment on MARKED, so that another one does not change its passwords."""
    text = json.dumps(sorted(passwords.items()))
    return f"Waybill: passwords by stack {hashlib.sha256(text.encode()).hexdigest()[:12]}"


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
    user = psycopg.conninfo.conninfo_to_dict(admin_url)["user"]
    suffix = str(user).removeprefix(server.role)
    return replace(given, suffix=suffix if suffix.startswith(".") else ""), admin_url


def examine(given: Given, admin_url: str) -> Server:
    """Asks the server. Raises Unavailable DATABASE_UNAVAILABLE where it lets nobody in."""
    try:
        with _connected(admin_url) as one:
            with _connected(admin_url) as other:
                keeps_sessions = _keeps_sessions(one, other)
            row = one.execute(FACTS, {"roles": list(ROLES), "marked": MARKED}).fetchone()
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split())
        raise Unavailable(
            "DATABASE_UNAVAILABLE",
            f"The database at {given.address} does not let us in: {said}{_hint(given)}",
        ) from error
    assert row is not None
    return Server(keeps_sessions=keeps_sessions, **row)


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


def _connected(url: str) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(
        url, autocommit=True, prepare_threshold=None, row_factory=dict_row, connect_timeout=CONNECT_SECONDS
    )


def _keeps_sessions(
    one: psycopg.Connection[dict[str, Any]], other: psycopg.Connection[dict[str, Any]]
) -> bool:
    """Whether each session keeps its process of the server, also while another one is in a transaction.

    A pooler in transaction mode gives the process that the first has just left to the second.
    """
    first = _process(one)
    with other.transaction():
        return _process(other) != first and _process(one) == first


def _process(connection: psycopg.Connection[dict[str, Any]]) -> int:
    row = connection.execute("select pg_backend_pid() as pid").fetchone()
    assert row is not None
    return int(row["pid"])


def _hint(given: Given) -> str:
    if given.host.startswith("db.") and given.host.endswith(".supabase.co"):
        return (
            " The direct address of a Supabase project is IPv6 alone. Where this machine has none, take the"
            " session pooler: port 5432 of its pooler.supabase.com host, user postgres.<project>."
        )
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2])) or (0,)


def _name(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
