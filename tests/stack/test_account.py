"""Whose files a database is, when root starts the stack."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import psycopg
import pytest

from tests.conftest import open_folder
from waybill.stack import ports, postgres
from waybill.stack.postgres import Postgres

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as somebody else")


def owners(folder: Path) -> set[tuple[int, int]]:
    found = [folder, *folder.rglob("*")]
    return {(entry.stat().st_uid, entry.stat().st_gid) for entry in found}


def test_no_other_account_of_the_machine_may_read_the_database(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", ports.free_ports(1)[0], "secret")
    with postgres.running(server, folder / "log"):
        ((uid, gid),) = owners(server.data)
        assert server.data.stat().st_mode & 0o777 == 0o700
        assert server.folder.stat().st_mode & 0o007 == 0, "initdb runs as nobody"
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    assert gid not in {entry.pw_gid for entry in pwd.getpwall()}


def test_a_database_of_the_release_before_which_nobody_owns_is_taken_over_with_its_data(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", ports.free_ports(1)[0], "secret")
    with postgres.running(server, folder / "log"), psycopg.connect(server.url()) as connection:
        connection.execute("create table kept as select 7 as number")
    nobody = pwd.getpwnam("nobody")
    for entry in [server.data, *server.data.rglob("*")]:
        os.chown(entry, nobody.pw_uid, nobody.pw_gid)
    os.chown(server.folder, 0, 0)
    server.folder.chmod(0o755)
    with postgres.running(server, folder / "log"):
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select number from kept").fetchone() == (7,)
        assert nobody.pw_uid not in {uid for uid, _ in owners(server.data)}
