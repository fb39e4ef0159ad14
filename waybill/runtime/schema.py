"""Whether the database is as this code needs it: Supabase's bookkeeping, compared with our files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import structlog

from waybill.runtime.config import ConfigError

CONNECT_SECONDS = 5
NEWER = "A later release of Waybill has changed the database ({}). Start that release here too."
log = structlog.get_logger()


@dataclass(frozen=True)
class Migration:
    """One file: `<version>_<name>.sql`."""

    version: str
    name: str
    path: Path


def migrations(folder: Path) -> list[Migration]:
    """All files, in order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(number, name, path))
    return found


def applied(connection: psycopg.Connection) -> set[str]:
    """Versions that the database has; a service's own role may ask."""
    found = connection.execute("select to_regclass('supabase_migrations.schema_migrations')").fetchone()
    if found is None or found[0] is None:
        return set()
    rows: Iterable[tuple[str]] = connection.execute(
        "select version from supabase_migrations.schema_migrations"
    ).fetchall()
    return {version for (version,) in rows}


def newer(connection: psycopg.Connection, known: Sequence[Migration]) -> list[str]:
    """Files of a later release that the database has. A project of the user's own keeps its files there too,
    so only what speaks of our schemas counts."""
    if not known or not applied(connection):
        return []
    rows: Iterable[tuple[str]] = connection.execute(
        "select version || '_' || coalesce(name, '') || '.sql' from supabase_migrations.schema_migrations"
        " where version > %s and array_to_string(statements, '') ~ '\\mwaybill_(index|parser|ledger|runs)\\M'"
        " order by version",
        [known[-1].version],
    ).fetchall()
    return [name for (name,) in rows]


def verify(url: str, folder: Path) -> None:
    """Refuses to start on a database that is behind, or that a later release has changed. One that is away is
    health's matter, later.

    Raises:
        ConfigError: Names the files that the database lacks or has too many, and what to do.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            known = migrations(folder)
            versions, later = applied(connection), newer(connection, known)
    except psycopg.OperationalError as error:
        log.warning("the database does not answer; its migrations are not compared", error=str(error))
        return
    if later:
        raise ConfigError(f"cannot start. {NEWER.format(', '.join(later))}")
    missing = [one.path.name for one in known if one.version not in versions]
    if missing:
        raise ConfigError(
            f"cannot start, the database lacks {', '.join(missing)}. Run `waybill migrate`, or `make up`."
        )
