"""A given server is looked at before anything is started: TLS, poolers, rights, versions, room."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests import certificates
from tests.conftest import open_folder
from tests.given_server import ADMIN, DATABASE, GivenServer, given_server
from tests.waiting import eventually
from waybill.cli.checks import database
from waybill.cli.checks.finding import State
from waybill.runtime import schema
from waybill.runtime.config import ConfigError, Settings
from waybill.runtime.errors import Precondition, Unavailable
from waybill.settings import DATABASE_ADMIN_URL
from waybill.stack import fitness, migrate, postgres
from waybill.stack.home import Home
from waybill.stack.ports import free_ports

POOLER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/opt/homebrew/bin:/usr/local/bin")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GivenServer]:
    with given_server(open_folder(tmp_path_factory)) as server:
        migrate.migrate(server.admin_url, {"waybill_storage": "s"})
        yield server


@contextmanager
def done(server: GivenServer, statement: str, undone: str) -> Iterator[None]:
    """Something of the platform's, for the length of the block."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(statement.encode())
        try:
            yield
        finally:
            connection.execute("set default_transaction_read_only = off")
            connection.execute(undone.encode())


def plain(server: GivenServer, port: int | None = None, user: str = ADMIN) -> str:
    return f"postgresql://{user}:{ADMIN}@127.0.0.1:{port or server.plain_port}/{DATABASE}"


def test_each_role_gets_in_by_tls_and_finds_the_type_where_it_is(server: GivenServer) -> None:
    given, _ = fitness.fit(server.admin_url)
    with psycopg.connect(given.url("waybill_storage", "s")) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select '[1]'::halfvec <=> '[1]'").fetchone() == (0.0,)
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_the_certificate_of_another_authority_is_refused(server: GivenServer, tmp_path: Path) -> None:
    other = certificates.made(tmp_path)
    url = server.admin_url.replace(str(server.tls.authority), str(other.authority))
    with pytest.raises(Unavailable, match=r"DATABASE_UNAVAILABLE: .*SSL error"):
        fitness.fit(url)


def test_a_door_that_wants_tls_is_not_passed_without(server: GivenServer) -> None:
    with pytest.raises(Unavailable, match="DATABASE_UNAVAILABLE"):
        fitness.fit(plain(server, server.door) + "?sslmode=disable")


@pytest.mark.parametrize(
    ("statement", "undone", "told"),
    [
        (f"alter role {ADMIN} nocreaterole", f"alter role {ADMIN} createrole", "may not create roles"),
        ("alter role waybill_storage connection limit 2", "alter role waybill_storage connection limit -1",
         "allows 2 connections"),
        (f"alter database {DATABASE} connection limit 9", f"alter database {DATABASE} connection limit -1",
         "allows 9 connections"),
        (f"alter role {ADMIN} set default_transaction_read_only = on",
         f"alter role {ADMIN} reset default_transaction_read_only", "takes no writes"),
        (f"revoke admin option for waybill_ledger from {ADMIN}",
         f"grant waybill_ledger to {ADMIN} with admin option",
         "Another role .* waybill_ledger. Connect as that one"),
    ],
    ids=["no createrole", "role limit", "database limit", "read-only", "another's roles"],
)  # fmt: skip
def test_what_a_server_lacks_is_told_before_anything_starts(
    server: GivenServer, statement: str, undone: str, told: str
) -> None:
    with done(server, statement, undone), pytest.raises(Precondition, match=f"(?s)DATABASE_UNFIT: .*{told}"):
        fitness.fit(server.admin_url)


def test_a_server_that_has_the_extension_for_superusers_alone_says_so(server: GivenServer) -> None:
    with done(server, f"create database bare owner {ADMIN}", "drop database bare with (force)"):
        url = plain(server).replace(DATABASE, "bare")
        fitness.fit(url)
        with pytest.raises(Unavailable, match=r"(?s)MIGRATION_FAILED: \S+_roles\.sql .*vector.*superuser"):
            migrate.migrate(url, {})


def test_doctor_says_what_is_in_the_way_before_the_stack_is_started(
    server: GivenServer, tmp_path: Path
) -> None:
    settings = {DATABASE_ADMIN_URL.name: server.admin_url}
    (fit,) = database.findings(Home(tmp_path), None, settings)
    assert (fit.state, fit.mend) == (State.OK, "")
    assert "pgvector 0.8" in fit.detail
    with done(server, f"alter role {ADMIN} nocreaterole", f"alter role {ADMIN} createrole"):
        (unfit,) = database.findings(Home(tmp_path), None, settings)
    assert unfit.state is State.FAILED
    assert "createrole" in unfit.detail
    (away,) = database.findings(Home(tmp_path), None, {DATABASE_ADMIN_URL.name: plain(server, 1)})
    assert "does not let us in" in away.detail


def test_a_wrong_database_or_password_is_told_and_the_password_is_not(server: GivenServer) -> None:
    for url in (plain(server).replace(DATABASE, "nowhere"), plain(server).replace(f":{ADMIN}@", ":sesame@")):
        with pytest.raises(Unavailable, match=r"nowhere|password authentication failed") as caught:
            fitness.fit(url)
        assert "sesame" not in str(caught.value)


def test_a_database_that_a_later_release_has_changed_is_left_alone(
    server: GivenServer,
) -> None:
    """What a project of the user's own has applied there is no matter of ours."""
    folder = Settings({}).migrations()
    note = "insert into supabase_migrations.schema_migrations values ('2999%s', '{{%s}}', 'later')"
    forget = "delete from supabase_migrations.schema_migrations where version like '2999%'"
    with done(server, note % ("1", "create table public.theirs ()"), forget):
        assert migrate.migrate(server.admin_url, {}) == []
    with done(server, note % ("2", "alter table waybill_runs.runs add x int"), forget):
        with pytest.raises(Precondition, match=r"later release .*29992_later\.sql"):
            migrate.migrate(server.admin_url, {})
        given, _ = fitness.fit(server.admin_url)
        with pytest.raises(ConfigError, match="later release"):
            schema.verify(given.url("waybill_storage", "s"), folder)


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("", 0, '"applied": \\[\\]'),
        ("postgresql://u:sesame@h:6543/d", 5, "DATABASE_UNFIT.*session pooler"),
    ],
    ids=["up to date", "transaction pooler"],
)
def test_migrate_takes_the_url_of_a_server(
    server: GivenServer, url: str, code: int, said: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-P", "-m", "waybill.cli", "migrate", "--json", "--database-url"]
    command.append(url or server.admin_url)
    environ = {**os.environ, "WAYBILL_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stdout + done.stderr)
    assert "sesame" not in done.stdout + done.stderr


@contextmanager
def pooler(server: GivenServer, folder: Path, mode: str) -> Iterator[int]:
    """PgBouncer before the server; its clients need no password, and it has the administrator's."""
    assert POOLER
    port = free_ports(1)[0]
    place = f"host=127.0.0.1 port={server.plain_port} dbname={DATABASE}"
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{DATABASE} = {place} user={ADMIN} password={ADMIN}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
        f"pool_mode = {mode}\nunix_socket_dir =\ndefault_pool_size = 10\n"
    )
    config.chmod(0o644)
    folder.chmod(0o755)
    account = ["-u", "nobody"] if postgres.account() else []
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([POOLER, "-q", *account, str(config)], stderr=log)

    def answers() -> bool:
        assert child.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(plain(server, port)).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        eventually(answers, "pgbouncer answers")
        yield port
    finally:
        child.terminate()
        child.wait()


@pytest.mark.skipif(not POOLER, reason="pgbouncer is not installed")
def test_a_pooler_in_transaction_mode_is_refused_by_what_it_does(
    server: GivenServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        pooler(server, open_folder(tmp_path_factory), "transaction") as port,
        pytest.raises(Precondition, match=r"(?s)DATABASE_UNFIT: .*transaction mode.*session pooler"),
    ):
        fitness.fit(plain(server, port))


@pytest.mark.skipif(not POOLER, reason="pgbouncer is not installed")
def test_a_pooler_in_session_mode_serves_and_its_project_follows_each_role(
    server: GivenServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pooler(server, open_folder(tmp_path_factory), "session") as port:
        given, url = fitness.fit(plain(server, port, f"{ADMIN}.abcd"))
        assert given.suffix == ".abcd"
        assert migrate.migrate(url, {"waybill_storage": "s"}) == []
