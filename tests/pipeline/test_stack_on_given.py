"""The whole stack on somebody else's Postgres: by TLS, without a superuser, through the server's troubles."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.given_server import ADMIN, GivenServer, given_server
from tests.pipeline.test_drills import waits
from tests.pipeline.workbench import Workbench, own_stack, refusal, started
from tests.waiting import eventually
from waybill.cli.checks import database
from waybill.cli.checks.finding import State
from waybill.client import Upload
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest, ListDocumentsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Precondition, Unavailable
from waybill.settings import DATABASE_ADMIN_URL
from waybill.stack import operate, process, state
from waybill.stack.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TEXT = b"# Sluice\n\n" + b"The sluice is opened at low water by two people. " * 40
UNDER_WAY = "parser.parse.under_way"
OURS = {"dbos", "supabase_migrations", "waybill_index", "waybill_ledger", "waybill_parser", "waybill_runs"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GivenServer]:
    with given_server(open_folder(tmp_path_factory)) as server:
        yield server


@pytest.fixture(scope="module")
def home(server: GivenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    given = {DATABASE_ADMIN_URL.name: server.admin_url}
    with own_stack(tmp_path_factory, **given) as home:
        yield home
    assert server.rows("select 1") == [(1,)], "down leaves it alone"


def restarts(home: Home) -> dict[str, int]:
    found = state.read(home)
    assert found is not None
    return {name: program.restarts for name, program in found.programs.items()}


def under_way(bench: Workbench) -> str:
    """A run whose parse has begun and goes on until it is released."""
    bench.arm(UNDER_WAY, "hold")
    run_id = bench.client.ingest(bench.file("sluice.md", TEXT + uuid.uuid4().bytes.hex().encode())).run_id
    eventually(lambda: bench.used(UNDER_WAY), "the parse is under way")
    return run_id


@contextlib.contextmanager
def read_only(server: GivenServer) -> Iterator[None]:
    server.set("default_transaction_read_only", "on")
    try:
        yield
    finally:
        server.set("default_transaction_read_only", "off")


def make_header(path: Path) -> IngestRequest.Header:
    return IngestRequest.Header(document_key=path.name, request_id=str(uuid.uuid4()))


def refused_ingest(bench: Workbench, path: Path) -> str:
    """Why a document is refused."""
    error = refusal(lambda: bench.client.orchestrator.Ingest(iter(Upload.of(path, make_header(path)))))
    assert isinstance(error, Unavailable)
    return error.reason


def test_the_demo_holds_on_a_given_server_and_leaves_what_is_not_ours(
    home: Home, server: GivenServer
) -> None:
    environ = os.environ | {"WAYBILL_HOME": str(home.folder)}
    demo = [sys.executable, "-P", "-m", "waybill.cli", "demo"]
    done = subprocess.run(demo, env=environ, capture_output=True, text=True, cwd=home.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bill = spans" in done.stdout
    schemas = {name for (name,) in server.rows("select nspname from pg_namespace where nspname !~ '^pg_'")}
    assert schemas - {"information_schema", "public"} == OURS
    theirs = "select relname from pg_class where relnamespace = 'public'::regnamespace"
    assert server.rows(theirs) == [("somebodys",)]
    assert server.rows("select count(*) > 0 from waybill_index.vectors") == [(True,)]


def test_status_shows_the_given_server_and_no_service_has_its_administrator(
    home: Home, server: GivenServer
) -> None:
    found = state.read(home)
    assert found is not None
    assert "postgres" not in found.programs
    now = operate.status(home)
    assert now.given
    assert now.postgres.address == f"127.0.0.1:{server.door}"
    assert now.database is not None
    assert now.database.version == server.rows("show server_version")[0][0]
    assert 0 < now.database.used < now.database.limit
    password = f":{ADMIN}@"
    assert password not in home.state.read_text()
    for name, program in found.programs.items():
        if sys.platform == "linux":
            environ = process.environment(program.process.pid)
            assert environ, name
            assert password not in str(environ), name
    answers, fit = database.findings(home, found, {DATABASE_ADMIN_URL.name: server.admin_url})
    assert [answers.state, fit.state] == [State.OK, State.OK]
    assert "yours" in answers.detail
    with pytest.raises(Precondition, match=f"DATABASE_UNFIT: .*{DATABASE_ADMIN_URL.name}"):
        operate.admin_url(home, found)
    with pytest.raises(Precondition, match=r"STACK_RUNS: .*another"):
        operate.restart(home)


def test_a_second_stack_does_not_change_the_passwords_under_the_first(
    home: Home, server: GivenServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = Home(open_folder(tmp_path_factory) / "another stack")
    given = {DATABASE_ADMIN_URL.name: server.admin_url}
    with pytest.raises(Precondition, match=r"(?s)DATABASE_UNFIT: .*WAYBILL_HOME"), started(second, **given):
        pass
    eventually(lambda: operate.status(home).serving, "the first one serves")


def test_a_restart_of_the_server_in_the_middle_of_a_run_ends_no_process_and_who_dies_meanwhile_comes_back(
    bench: Workbench, home: Home, server: GivenServer
) -> None:
    before = restarts(home)
    run_id = under_way(bench)
    server.stop()
    try:
        eventually(lambda: not operate.status(home).serving, "the stack says that its database is away")
        path = bench.file("other.md", TEXT)
        assert refused_ingest(bench, path) == "DATABASE_UNAVAILABLE"
        assert restarts(home) == before
        bench.release(UNDER_WAY)
        bench.kill("orchestrator")
    finally:
        server.start()
    assert bench.finish(run_id).state == Run.STATE_READY
    eventually(lambda: operate.status(home).serving, "all serve again")
    after = restarts(home)
    assert after.pop("orchestrator") > before.pop("orchestrator"), "who starts meanwhile is started again"
    assert after == before


def test_while_the_server_is_read_only_runs_wait_and_what_is_there_can_be_read(
    bench: Workbench, home: Home, server: GivenServer
) -> None:
    assert bench.ingest(bench.file("first.md", TEXT)).state == Run.STATE_READY
    run_id = under_way(bench)
    with read_only(server):
        bench.release(UNDER_WAY)
        path = bench.file("other.md", TEXT + b"other")
        assert refused_ingest(bench, path) == "DATABASE_READ_ONLY"
        eventually(lambda: waits(bench, "orchestrator", "DATABASE_READ_ONLY"), "the run says why it waits")
        documents = bench.client.orchestrator.ListDocuments(ListDocumentsRequest()).documents
        assert [document.document_key for document in documents] == ["first.md"]
        now = operate.status(home)
        assert now.database is not None
        assert now.database.read_only
        (answers,) = database.findings(home, operate.running(home), {})
        assert answers.state is State.FAILED
        assert "takes no writes" in answers.detail
    assert bench.finish(run_id).state == Run.STATE_READY
