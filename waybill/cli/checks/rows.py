"""What only the database's rows and catalogue tell: migrations, row-level security, its clock, and calls."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from waybill.cli.checks import calls
from waybill.cli.checks.clock import skewed
from waybill.cli.checks.finding import Finding, State
from waybill.runtime import schema
from waybill.stack.config import migrations_folder
from waybill.stack.database import asking_url
from waybill.stack.home import Home
from waybill.stack.state import StackState

SECONDS = 5
# Tables with a tenant that another tenant may read: without forced row-level security, or without a policy.
_OPEN = """
    select format('%I.%I', n.nspname, c.relname)
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(array['waybill_index', 'waybill_parser', 'waybill_ledger', 'waybill_runs'])
      and c.relkind in ('r', 'p')
      and exists (select from pg_attribute a
          where a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped)
      and not (c.relrowsecurity and c.relforcerowsecurity
          and exists (select from pg_policy p where p.polrelid = c.oid))
    order by 1
"""
# Of a Supabase project: rules of the objects in our bucket, by who has read the files in there.
_BUCKET = """
    select to_regclass('storage.objects') is not null,
        (select count(*) from pg_policies
            where (schemaname, tablename) = ('storage', 'objects') and policyname like 'waybill%')
"""


def findings(home: Home, found: StackState) -> Iterator[Finding]:
    """Asks the database of the running stack; nothing where it does not answer.

    Args:
        home: The state folder.
        found: The running stack.
    """
    try:
        with psycopg.connect(asking_url(home, found), connect_timeout=SECONDS) as connection:
            yield from of_connection(connection, migrations_folder(os.environ))
            yield from calls.findings(connection)
    except psycopg.Error as error:
        # Whether it answers at all is the database's own row.
        yield Finding("migrations", State.SKIPPED, f"not told: {type(error).__name__}")


def of_connection(connection: psycopg.Connection, folder: Path) -> Iterator[Finding]:
    """What a database says; see `findings`. Raises psycopg.Error."""
    yield _migrations(connection, folder)
    yield _policies(connection)
    before = time.time()
    row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    assert row is not None
    yield skewed("clock", "the database's", float(row[0]) - (before + time.time()) / 2)


def _migrations(connection: psycopg.Connection, folder: Path) -> Finding:
    known = schema.migrations(folder)
    applied = schema.applied(connection)
    if later := schema.newer(connection, known):
        detail = f"of a later release: {', '.join(later)}"
        return Finding("migrations", State.FAILED, detail, "start the later release, here too")
    if missing := [one.path.name for one in known if one.version not in applied]:
        detail = f"{len(missing)} are missing: {', '.join(missing)}"
        return Finding("migrations", State.FAILED, detail, "waybill migrate; waybill restart")
    return Finding("migrations", State.OK, f"{len(known)}, up to {known[-1].path.name}")


def _policies(connection: psycopg.Connection) -> Finding:
    if tables := [name for (name,) in connection.execute(_OPEN).fetchall()]:
        detail = f"one tenant can read another's rows in {', '.join(tables)}"
        mend = "; ".join(f"alter table {name} force row level security" for name in tables)
        return Finding("policies", State.FAILED, detail, f"psql, as the tables' owner: {mend}")
    row = connection.execute(_BUCKET).fetchone()
    hosted, rules = row if row else (False, 0)
    if hosted and not rules:
        detail = "storage.objects has no rule of ours: users see no file of theirs by Supabase's own API"
        return Finding("policies", State.FAILED, detail, "waybill migrate")
    bucket = f"; {rules} rules of the bucket" if hosted else ""
    return Finding("policies", State.OK, f"each tenant sees its own rows alone{bucket}")
