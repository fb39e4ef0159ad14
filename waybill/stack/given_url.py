"""WAYBILL_DATABASE_ADMIN_URL, read as libpq reads it, and what cannot work told before anybody connects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from psycopg import ProgrammingError, conninfo

from waybill.runtime.errors import Precondition
from waybill.settings import DATABASE_ADMIN_URL
from waybill.stack.given import Given

# Files that libpq reads. Services stand in another folder, so theirs are full paths.
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# Parameters that would stand in the state file and in the list of processes.
SECRETS = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
# What belongs to the administrator, or to one session.
NOT_CARRIED = {"user", "password", "passfile", "service", "application_name"}
# A server that is gone without a word is noticed within a minute, and not by the system's two hours.
NOTICED = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
DEFAULT_PORT = "5432"
TRANSACTION_POOLER_PORT = "6543"
INSTEAD = (
    "Use a direct connection (port 5432), or the session pooler (port 5432 of the pooler's host): a pooler in"
    " transaction mode keeps no session, and with it no advisory lock, no LISTEN and no prepared statement."
)


def read(url: str) -> tuple[Given, str]:
    """The parts of an administrator's URL, and that URL with nothing left to defaults.

    Raises:
        Precondition: DATABASE_UNFIT, it cannot be read, names no server, or a file that cannot be read.
    """
    try:
        parts = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items()}
    except ProgrammingError as error:
        # Not libpq's own words: they may hold a piece of the password.
        what = "has a parameter that Postgres does not know" if "query" in str(error) else "cannot be read"
        raise Precondition(
            "DATABASE_UNFIT",
            f"{DATABASE_ADMIN_URL.name} {what}; it looks like postgresql://postgres:…@host:5432/postgres, and"
            " other characters of the password than letters and digits are percent-encoded.",
        ) from None
    faults = list(_faults(parts))
    if faults:
        raise Precondition("DATABASE_UNFIT", f"{DATABASE_ADMIN_URL.name} {'; it '.join(faults)}.")
    user = parts["user"]
    given = Given(
        parts["host"],
        parts.get("port") or DEFAULT_PORT,
        parts.get("dbname") or user,
        NOTICED
        | {
            name: str(Path(value).absolute()) if name in FILES and value != "system" else value
            for name, value in parts.items()
            if name not in NOT_CARRIED | {"host", "port", "dbname"}
        },
    )
    return given, given.url_of(user, parts.get("password", ""))


def _faults(parts: Mapping[str, str]) -> Iterator[str]:
    for name in ("host", "user"):
        if not parts.get(name):
            yield f"names no {name}"
    if "," in parts.get("host", ""):
        yield "names several hosts; name the one that is written to"
    if parts.get("port") == TRANSACTION_POOLER_PORT:
        yield f"names port {TRANSACTION_POOLER_PORT}, that of a transaction pooler. {INSTEAD[:-1]}"
    if "search_path" in parts.get("options", ""):
        yield "sets a search_path, which the services' own would give way to; leave it out"
    for name in SECRETS:
        if parts.get(name):
            yield f"holds {name}, which is not carried on to services; use a key file that needs none"
    for name in FILES:
        path = parts.get(name, "")
        if path and path != "system":
            try:
                Path(path).open("rb").close()
            except OSError as error:
                yield f"names {name}={path}, which cannot be read: {error.strerror}"
