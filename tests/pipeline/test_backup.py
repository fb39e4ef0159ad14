"""A backup is restored, as docs/operations.md says: bytes, chunks, vectors, runs and bills are all there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.given_server import GivenServer, given_server
from tests.pipeline.workbench import Workbench, started
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.settings import DATABASE_ADMIN_URL
from waybill.stack.home import Home
from waybill.stack.postgres import binaries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TEXT = b"# Weir\n\n" + b"The weir keeper opens the sluice at low water. " * 60
TENANT = "acme"


def remembered(bench: Workbench, run: Run) -> tuple[list[str], Sequence[Entry], Run]:
    """What of a run must be the same after a restore: its hits, its bill, itself."""
    hits = bench.client.orchestrator.Search(SearchRequest(query="who opens the sluice")).hits
    return [hit.chunk.text for hit in hits], bench.entries(run.run_id), bench.finish(run.run_id)


def assert_whole(bench: Workbench, path: Path, before: tuple[list[str], Sequence[Entry], Run]) -> None:
    assert remembered(bench, before[2]) == before
    assert before[0]
    assert bench.ingest(path).state == Run.STATE_UNCHANGED
    assert bench.ingest(bench.file("later.md", TEXT + b"Later.")).state == Run.STATE_READY


def test_a_copy_of_the_state_folder_is_the_stack(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(open_folder(tmp_path_factory) / "first")
    with started(home), Workbench.of(home, TENANT, tmp_path) as bench:
        path = bench.file("weir.md", TEXT)
        before = remembered(bench, bench.ingest(path))
    copy = Home(open_folder(tmp_path_factory) / "copy")
    subprocess.run(["cp", "-a", str(home.folder), str(copy.folder)], check=True)
    shutil.rmtree(home.folder)
    with started(copy), Workbench.of(copy, TENANT, tmp_path) as bench:
        assert_whole(bench, path, before)


def tool(name: str, *words: str, text: str | None = None) -> str:
    """A program of Postgres', as an administrator runs it."""
    command = [str(binaries() / name), *words]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def dumped(server: GivenServer, file: Path) -> str:
    """Dumps the database under way; answers the roles' statements."""
    tool("pg_dump", "--format=custom", f"--file={file}", server.superuser_url)
    return tool("pg_dumpall", "--roles-only", "--no-role-passwords", "-d", server.superuser_url)


def restored(server: GivenServer, roles: str, file: Path) -> None:
    ours = "\n".join(line for line in roles.splitlines() if "waybill_" in line)
    tool("psql", "--quiet", "--set=ON_ERROR_STOP=1", server.superuser_url, text=ours)
    clean = ("--exit-on-error", "--clean", "--if-exists")
    tool("pg_restore", *clean, f"--dbname={server.superuser_url}", str(file))


def test_a_dump_of_a_running_stack_is_restored_on_another_server(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home, file = Home(open_folder(tmp_path_factory) / "first"), tmp_path / "waybill.dump"
    with given_server(open_folder(tmp_path_factory)) as server:
        given = {DATABASE_ADMIN_URL.name: server.admin_url}
        with started(home, **given), Workbench.of(home, TENANT, tmp_path) as bench:
            path = bench.file("weir.md", TEXT)
            before = remembered(bench, bench.ingest(path))
            # The database first: a file that comes later is in no row yet.
            roles = dumped(server, file)
            objects = tmp_path / "objects"
            shutil.copytree(home.objects, objects)
    with given_server(open_folder(tmp_path_factory)) as server:
        restored(server, roles, file)
        other = Home(open_folder(tmp_path_factory) / "second")
        shutil.copytree(objects, other.objects)
        given = {DATABASE_ADMIN_URL.name: server.admin_url}
        with started(other, **given), Workbench.of(other, TENANT, tmp_path) as bench:
            assert_whole(bench, path, before)
