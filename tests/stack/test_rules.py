"""Where the state folder is, which ports are taken, and what the migrate job does."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.conftest import MigratedPostgres, open_folder
from tests.waiting import PATIENCE_SECONDS
from waybill.runtime import schema
from waybill.runtime.config import Settings
from waybill.runtime.errors import Precondition
from waybill.runtime.places import ROOT
from waybill.settings import DATABASE_SERVICES
from waybill.stack import home as homes
from waybill.stack import migrate, ports, postgres
from waybill.stack.home import Home
from waybill.stack.postgres import Postgres


def test_the_named_home_wins(tmp_path: Path) -> None:
    (tmp_path / ".waybill").mkdir()
    named = {"WAYBILL_HOME": str(tmp_path / "elsewhere")}
    assert homes.find(named, tmp_path, root=False) == Home(tmp_path / "elsewhere")


def test_the_nearest_home_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / ".waybill").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert homes.find({}, below, root=False) == Home(tmp_path / ".waybill")


def test_without_one_upward_the_home_is_the_checkouts(tmp_path: Path) -> None:
    assert homes.find({}, tmp_path, root=False) == Home(ROOT / ".waybill")


def test_root_below_a_closed_folder_gets_a_place_that_others_can_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    named = {"WAYBILL_HOME": str(closed / "state")}
    assert homes.find(named, tmp_path, root=True).folder.parent == homes.SHARED
    assert homes.find(named, tmp_path, root=False).folder == closed / "state"


def test_a_home_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Precondition, match=r"HOME_UNUSABLE: .*cannot be written"):
        Home(tmp_path / "file" / "below").prepare()


def test_passwords_are_made_once_and_only_we_can_read_them(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.prepare()
    assert home.passwords() == home.passwords()
    assert len(set(home.passwords().values())) == len(home.passwords())
    assert stat.S_IMODE((home.folder / "secrets.json").stat().st_mode) == 0o600


def test_data_without_its_passwords_is_not_started_empty(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(Precondition, match=r"HOME_UNUSABLE: .*bring it back"):
        Home(tmp_path).passwords()


def test_a_taken_port_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Precondition, match=f"PORT_TAKEN: Port {port} .*storage"):
            ports.check("storage", port)


def test_two_migrates_at_once_apply_each_file_once_and_a_third_nothing(database: MigratedPostgres) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("create database twice")
    url = f"{database.admin_url.rpartition('/')[0]}/twice"
    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(lambda _: migrate.migrate(url, {}), range(2)))
    known = [one.path.name for one in schema.migrations(ROOT / "supabase" / "migrations")]
    assert sorted(applied, key=len) == [[], known]
    assert migrate.migrate(url, {}) == []


@pytest.mark.parametrize("service", DATABASE_SERVICES)
def test_a_service_does_not_start_on_a_database_that_is_behind_and_names_the_command(
    database: MigratedPostgres, tmp_path: Path, service: str
) -> None:
    (tmp_path / "29990101000000_newer.sql").write_text("select 1;")
    environ = os.environ | {
        "WAYBILL_DATABASE_URL": database.url(service),
        "WAYBILL_OWNER_DATABASE_URL": database.owner_url(service),
        "WAYBILL_OBJECTS_DIR": str(tmp_path / "objects"),
        "WAYBILL_BIND": "127.0.0.1:0",
        "WAYBILL_MIGRATIONS": str(tmp_path),
    }
    command = [sys.executable, "-m", f"services.{service}"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert ended.returncode == 1
    assert "29990101000000_newer.sql" in ended.stderr
    assert "waybill migrate" in ended.stderr


def test_a_database_that_has_every_file_is_not_behind(database: MigratedPostgres) -> None:
    schema.verify(database.url("storage"), Settings({}).migrations())


def test_migrations_work_for_a_role_that_may_only_create_roles(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Supabase's `postgres` is no superuser; its platform has the extension's schema ready."""
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", ports.free_ports(1)[0], "secret")
    with postgres.running(server, folder / "log"):
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create role hosted login createrole password 'hosted'")
            connection.execute("grant create on database postgres to hosted")
            connection.execute("create schema extensions; create extension vector with schema extensions")
            connection.execute("grant usage on schema extensions to hosted with grant option")
        assert migrate.migrate(server.url("hosted", "hosted"), {"waybill_storage": "s"})
        psycopg.connect(server.url("waybill_storage", "s")).close()


def test_logs_of_the_stack_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.prepare()
    assert stat.S_IMODE(home.logs.stat().st_mode) == 0o700
    assert home.folder.stat().st_uid == os.geteuid()
