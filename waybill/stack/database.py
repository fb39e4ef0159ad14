"""Which Postgres the stack works on, and what that says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from waybill.settings import DATABASE_ADMIN_URL, ROLES
from waybill.stack.given import Given
from waybill.stack.home import Home
from waybill.stack.postgres import binaries
from waybill.stack.state import StackState
from waybill.stack.table import embedded

STATUS_SECONDS = 5
# Whom `status` asks a given server as: its administrator's password is not kept.
ASKING_ROLE = "waybill_ledger_owner"


@dataclass(frozen=True)
class DatabaseStatus:
    """What Postgres says of itself.

    Args:
        version: For instance "18.6".
        read_only: Whether new transactions may not write.
        used: Its connections, but for the one that asks.
        limit: Connections that it grants to roles that are no superusers.
    """

    version: str
    read_only: bool
    used: int
    limit: int


@dataclass(frozen=True)
class Chosen:
    """What the stack shall work on.

    Args:
        given: None: a Postgres of its own.
        environ: What the programs inherit; with the administrator's URL, as it is to be used.
    """

    given: Given | None
    environ: Mapping[str, str]

    def word(self) -> str:
        """The given server, for the supervisor's command line: it holds no password."""
        return json.dumps(self.given and asdict(self.given))


def chosen(home: Home, environ: Mapping[str, str], *, counted: bool = True) -> Chosen:
    """The database that the environment names, looked at first.

    Args:
        home: The state folder.
        environ: May hold WAYBILL_DATABASE_ADMIN_URL.
        counted: Whether the stack's connections have still to find room.

    Raises:
        Precondition: DATABASE_UNFIT; POSTGRES_MISSING, none is named and none can be started.
        Unavailable: DATABASE_UNAVAILABLE.
    """
    url = environ.get(DATABASE_ADMIN_URL.name, "")
    if not url:
        binaries()  # what is not installed is said here, not in the supervisor's log
        return Chosen(None, environ)
    from waybill.stack import fitness, server_facts  # psycopg: as in postgres.py

    passwords = home.passwords()
    own_mark = server_facts.mark({role: passwords[role] for role in ROLES})
    given, admin_url = fitness.fit(url, counted=counted, own_mark=own_mark)
    return Chosen(given, {**environ, DATABASE_ADMIN_URL.name: admin_url})


def is_at(found: StackState, environ: Mapping[str, str]) -> bool:
    """Whether the environment names the database that a stack runs on."""
    url = environ.get(DATABASE_ADMIN_URL.name, "")
    if not url or not found.database:
        return not url and not found.database
    from waybill.stack.given_url import read  # psycopg: as in postgres.py

    given, _ = read(url)
    return (given.address, given.database) == (found.database.address, found.database.database)


def asking_url(home: Home, found: StackState) -> str:
    """Where the Postgres of a running stack is asked how it is."""
    if found.database is None:
        return embedded(home, found.addresses).url()
    return found.database.url(ASKING_ROLE, home.passwords()[ASKING_ROLE])


def asked(home: Home, found: StackState) -> DatabaseStatus | None:
    """Asks the Postgres of a running stack; None when it does not answer."""
    import psycopg  # as in postgres.py

    from waybill.stack.server_facts import LIMIT, USED

    url = asking_url(home, found)
    question = psycopg.sql.SQL(
        "select current_setting('server_version'), current_setting('transaction_read_only') = 'on', {}, {}"
    ).format(USED, LIMIT)
    try:
        with psycopg.connect(url, connect_timeout=STATUS_SECONDS) as connection:
            row = connection.execute(question).fetchone()
    except psycopg.OperationalError:
        return None
    return DatabaseStatus(*row) if row else None
