"""Postgres and the supervisor's own death, in a folder that is deep and has a space in its name."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import open_folder
from tests.waiting import PATIENCE_SECONDS
from waybill.stack import operate, postgres, state
from waybill.stack.database import asked
from waybill.stack.home import Home
from waybill.stack.ports import free_ports
from waybill.stack.postgres import Postgres
from waybill.stack.process import Process, command_line, wait_until
from waybill.stack.state import Phase, StackState

HOST = Path(__file__).with_name("host.py")
NAMES = ("postgres", "first", "second")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = open_folder(tmp_path_factory) / "a space"
    for part in ("d" * 80, "e" * 80):
        folder = folder / part
    place = Home(folder)
    place.prepare()
    return place


@pytest.fixture
def start(home: Home) -> Iterator[Callable[[], StackState]]:
    """Starts a supervisor over Postgres and two stand-ins; what is left is ended."""
    where = json.dumps(dict(zip(NAMES, (f"127.0.0.1:{port}" for port in free_ports(3)), strict=True)))
    children = []

    def run() -> StackState:
        environ = os.environ | {"PYTHONPATH": str(HOST.parents[2])}
        children.append(subprocess.Popen([sys.executable, str(HOST), str(home.folder), where], env=environ))
        assert wait_until(lambda: serving(home), PATIENCE_SECONDS), home.log("postgres").read_text()[-2000:]
        return found(home)

    yield run
    operate.down(home)
    for child in children:
        child.wait(PATIENCE_SECONDS)


def serving(home: Home) -> bool:
    now = operate.running(home)
    return now is not None and now.phase is Phase.SERVING


def found(home: Home) -> StackState:
    now = state.read(home)
    assert now is not None
    return now


def everyone(now: StackState) -> list[Process]:
    return [now.supervisor, *(program.process for program in now.programs.values())]


def remember(home: Home, number: int) -> None:
    with psycopg.connect(operate.admin_url(home, found(home))) as connection:
        connection.execute("create table if not exists kept (number int)")
        connection.execute("insert into kept values (%s)", (number,))


def remembered(home: Home) -> list[int]:
    with psycopg.connect(operate.admin_url(home, found(home))) as connection:
        return [number for (number,) in connection.execute("select number from kept order by number")]


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_finds_the_data(
    home: Home, start: Callable[[], StackState]
) -> None:
    before = start()
    remember(home, 1)
    os.kill(before.supervisor.pid, signal.SIGKILL)
    gone = wait_until(lambda: not any(process.alive() for process in everyone(before)), PATIENCE_SECONDS)
    assert gone, [command_line(process.pid) for process in everyone(before) if process.alive()]

    after = start()
    assert not set(everyone(before)) & set(everyone(after))
    assert 1 in remembered(home)


def test_a_killed_postgres_is_started_again_with_its_data(
    home: Home, start: Callable[[], StackState]
) -> None:
    before = start()
    remember(home, 2)
    os.kill(before.programs["postgres"].process.pid, signal.SIGKILL)

    def back() -> bool:
        program = found(home).programs.get("postgres")
        return program is not None and program.restarts > 0 and asked(home, found(home)) is not None

    assert wait_until(back, PATIENCE_SECONDS)
    assert 2 in remembered(home)
    assert found(home).programs["first"] == before.programs["first"]


def test_down_stops_everything_and_says_whether_there_was_something(
    home: Home, start: Callable[[], StackState]
) -> None:
    before = start()
    assert operate.down(home)
    assert not any(process.alive() for process in everyone(before))
    assert found(home).phase is Phase.STOPPED
    assert not operate.down(home)


def test_down_ends_what_a_killed_supervisor_could_not_take_along(home: Home) -> None:
    child = subprocess.Popen(["/bin/sleep", "3600"], start_new_session=True)
    dead = Process(os.getpid(), "another boot")
    left = state.ProgramState(Process.of(child.pid))
    state.write(home, StackState(dead, Phase.SERVING, {}, {"first": left}))
    assert operate.down(home)
    assert child.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_a_stale_pid_file_whose_number_someone_else_has_does_not_stop_the_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", free_ports(1)[0], secrets.token_urlsafe(8))
    server.prepare()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    with postgres.running(server, folder / "log"):
        assert server.ready()


def test_a_server_that_outlived_its_supervisor_is_ended_before_the_next_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", free_ports(1)[0], secrets.token_urlsafe(8))
    with postgres.running(server, folder / "log"):
        old = Process.of(int((server.data / "postmaster.pid").read_text().split()[0]))
        postgres.clear_stale_pid(server.data)
        assert not old.alive()
        with postgres.running(server, folder / "log2"):
            assert server.ready()
