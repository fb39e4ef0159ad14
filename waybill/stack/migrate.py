"""Brings the database up to date: ours in the bookkeeping of Supabase's CLI, then DBOS's.

    python -m waybill.stack.migrate     (what `waybill migrate` and the stack's first job run)

The connection must be direct: a pooler in transaction mode would lose the advisory lock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from waybill.runtime import schema
from waybill.runtime.errors import Precondition, ServiceError, Unavailable
from waybill.settings import ROLES
from waybill.stack.config import MigrateConfig, migrations_folder
from waybill.stack.fitness import fit
from waybill.stack.process import wait_until
from waybill.stack.server_facts import MARKED, mark

# Any number that nobody else locks; "waybill" in ASCII.
LOCK = 0x77617962696C6C
LOCK_SECONDS = 300.0
DBOS_SCHEMA = "dbos"
DBOS_ROLE = "waybill_orchestrator"
BOOKKEEPING = """
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (
        version text primary key, statements text[], name text
    );
"""


def migrate(url: str, passwords: Mapping[str, str], folder: Path | None = None) -> list[str]:
    """Applies what is missing; run twice, or by two at once, it is harmless.

    Args:
        url: As a role that may create roles; directly, or by a session pooler.
        passwords: A password for each role that shall have one.
        folder: Where the files are; by default the project's.

    Raises:
        Precondition: DATABASE_UNFIT, the server cannot carry the schemas, or a later release has been here.
        Unavailable: DATABASE_UNAVAILABLE, nobody is let in; MIGRATION_FAILED, a file cannot be applied.

    Returns:
        The files applied now.
    """
    folder = folder or migrations_folder(os.environ)
    known = schema.migrations(folder)
    if not known:
        raise FileNotFoundError(f"no migrations in {folder}: set WAYBILL_MIGRATIONS to their folder")
    _, url = fit(url, counted=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set statement_timeout = 0")  # Supabase's is two minutes
        _lock(connection)
        if later := schema.newer(connection, known):
            raise Precondition("DATABASE_UNFIT", schema.NEWER.format(", ".join(later)))
        connection.execute(BOOKKEEPING)
        applied = schema.applied(connection)
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            _apply(connection, migration)
        _migrate_engine(url)
        _set_passwords(connection, passwords)
    return [migration.path.name for migration in missing]


def _lock(connection: psycopg.Connection) -> None:
    """Waits by asking again: a statement that waits inside the server holds a snapshot, and DBOS's
    CREATE INDEX CONCURRENTLY under the lock would wait for that in turn."""

    def locked() -> bool:
        row = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
        return row == (True,)

    if not wait_until(locked, LOCK_SECONDS):
        raise TimeoutError(f"another migrate has held the lock for {LOCK_SECONDS:.0f} s; look at it first")


def _apply(connection: psycopg.Connection, migration: schema.Migration) -> None:
    text = migration.path.read_text(encoding="utf-8")
    with _telling(migration), connection.transaction():
        connection.execute(text.encode())
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, statements, name)"
            " values (%s, %s, %s)",
            (migration.version, [text], migration.name),
        )


@contextmanager
def _telling(migration: schema.Migration) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Unavailable("MIGRATION_FAILED", f"{migration.path.name} cannot be applied: {error}") from error


def _migrate_engine(url: str) -> None:
    from dbos import DBOS  # half a second of import, which most commands need not pay

    DBOS.migrate(url, schema=DBOS_SCHEMA, application_role=DBOS_ROLE)


def _set_passwords(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    for role, password in passwords.items():
        # Hashed here, so that the password itself is in no server log.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
        )
    if set(ROLES) <= set(passwords):
        comment = sql.SQL("comment on role {} is {}")
        connection.execute(comment.format(sql.Identifier(MARKED), sql.Literal(mark(passwords))))


def main() -> None:
    """Migrates what the environment names."""
    config = MigrateConfig.from_env(os.environ)
    try:
        names = migrate(config.database_url, config.passwords, config.migrations)
    except ServiceError as error:
        sys.exit(str(error))
    for name in names:
        sys.stdout.write(f"applied {name}\n")


if __name__ == "__main__":
    main()
