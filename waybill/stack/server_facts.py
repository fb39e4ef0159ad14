"""What a Postgres that we were given says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from waybill.runtime.errors import Unavailable
from waybill.settings import ROLES
from waybill.stack.given import Given

CONNECT_SECONDS = 10
# A pooler that has many processes at hand may give the same one twice.
ROUNDS = 3
MARKED = ROLES[0]
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
    for _ in range(ROUNDS):
        with other.transaction():
            if _process(other) == first or _process(one) != first:
                return False
    return True


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
