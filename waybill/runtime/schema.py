"""Whether the database is as this code needs it: Supabase's bookkeeping, compared with our files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import structlog

from waybill.runtime.config import ConfigError

CONNECT_SECONDS = 5
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


def verify(url: str, folder: Path) -> None:
    """Refuses to start on a database that is behind. One that is away is health's matter, later.

    Raises:
        ConfigError: Names the files that the database lacks, and the command.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            versions = applied(connection)
    except psycopg.OperationalError as error:
        log.warning("the database does not answer; its migrations are not compared", error=str(error))
        return
    missing = [one.path.name for one in migrations(folder) if one.version not in versions]
    if missing:
        raise ConfigError(
            f"cannot start, the database lacks {', '.join(missing)}. Run `waybill migrate`, or `make up`."
        )
