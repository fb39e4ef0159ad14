"""Disk full, of the objects and of Postgres, and a clock that is stepped back, while runs are under way."""

from __future__ import annotations

import datetime
import os
import resource
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.pipeline.clock import Clock
from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_sweep import check_money
from tests.pipeline.workbench import FAULTS, Workbench, refusal
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.client import Upload
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, IngestRequest, ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import NotFound, Unavailable
from waybill.stack import operate, state
from waybill.stack.home import Home
from waybill.storage.v1.object_storage_service_pb2 import StatObjectRequest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux"),
    pytest.mark.timeout(300),  # a stack of its own, with a clock in between, takes its time to start
]
TEXT = b"# Sluice\n\n" + b"The sluice is opened at low water by two people. " * 40
UNTIL = "parser.parse.under_way"
DISK_BYTES = 512 * 1024
UP = "import sys, pathlib; from waybill.stack import home, operate; " + (
    "operate.up(home.Home(pathlib.Path(sys.argv[1])), 'free')"
)
MOUNTED = 'mount -t tmpfs -o size=$1,mode=700 none "$2" && shift 2 && exec "$@"'
# Postgres' own word for a full disk, on each row of one tenant.
FULL = """
create function public.disk_is_full() returns trigger language plpgsql as $$
begin
    raise exception 'could not extend file' using errcode = 'disk_full';
end $$;
create trigger full_disk before insert on waybill_index.chunks for each row
    when (new.tenant = '{tenant}') execute function public.disk_is_full();
"""
EMPTIED = """
drop trigger if exists full_disk on waybill_index.chunks; drop function if exists public.disk_is_full()
"""


def pid_of(bench: Workbench, name: str) -> int:
    found = state.read(bench.home)
    assert found is not None
    return found.programs[name].process.pid


def objects(bench: Workbench) -> Path:
    """The folder of the objects, as the process sees it for which alone it may be mounted."""
    return Path(f"/proc/{pid_of(bench, 'storage')}/root{bench.home.objects}")


def check_refused(bench: Workbench, path: Path, *reasons: str) -> None:
    """The document is refused with a typed error, and nothing of it is to be seen."""
    upload = Upload.of(path, IngestRequest.Header(document_key=path.name, request_id=str(uuid.uuid4())))
    error = refusal(lambda: bench.client.orchestrator.Ingest(iter(upload)))  # an iterator is sent once
    assert isinstance(error, Unavailable)
    assert error.reason in reasons
    with pytest.raises(NotFound):
        bench.client.storage.StatObject(StatObjectRequest(key=f"sources/{upload.header.sha256}"))
    assert not bench.client.orchestrator.ListRuns(ListRunsRequest()).runs
    assert bench.indexed() == []
    assert list((objects(bench) / "incoming").iterdir()) == [], "something half written was left"


def waits(bench: Workbench, service: str, why: str) -> bool:
    """Whether a service has said that it will try again, and what for."""
    lines = bench.home.log(service).read_text().splitlines()
    return any(why in line and ("waits" in line or "retry_scheduled" in line) for line in lines)


def check_ready(bench: Workbench, run_id: str) -> None:
    """The run ends well, and its trace and its bill are whole."""
    run = bench.finish(run_id)
    assert run.state == Run.STATE_READY, run.message
    check_money(bench, run_id)
    check_whole(bench, run_id)


def ingest_held(bench: Workbench) -> str:
    """A run whose parse is under way until it is released."""
    bench.arm(UNTIL, "hold")
    run_id = bench.client.ingest(bench.file("sluice.md", TEXT)).run_id
    eventually(lambda: bench.used(UNTIL), "the parse is under way")
    return run_id


def test_an_object_that_its_file_system_refuses_is_not_there_in_part_and_can_be_sent_again(
    bench: Workbench,
) -> None:
    pid = pid_of(bench, "storage")
    # The limit holds for its log too.
    most = bench.home.log("storage").stat().st_size + 200_000
    path = bench.file("large.md", (TEXT * (most // len(TEXT) + 50))[: most + 50_000])
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        check_refused(bench, path, "STORAGE_FULL", "STORAGE_UNAVAILABLE")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert pid_of(bench, "storage") == pid
    check_ready(bench, bench.client.ingest(path).run_id)


def test_a_run_waits_while_the_disk_of_postgres_is_full(bench: Workbench) -> None:
    bench.change(FULL.format(tenant=bench.tenant))
    try:
        run_id = bench.client.ingest(bench.file("sluice.md", TEXT)).run_id
        eventually(lambda: waits(bench, "orchestrator", run_id), "the run waits for the database")
        run = bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run
        assert (run.state, run.step) == (Run.STATE_RUNNING, "chunk")
        assert bench.indexed() == []
    finally:
        bench.change(EMPTIED)
    check_ready(bench, run_id)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Workbench]:
    """A stack with a small disk for its objects, and whose services' clock is one that tests set."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    home = Home(open_folder(tmp_path_factory) / "odd")
    home.objects.mkdir(parents=True)
    (home.folder / FAULTS).mkdir()
    environment = os.environ | {"WAYBILL_FAULTS": str(home.folder / FAULTS), **clock.environment}
    mounted = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", str(DISK_BYTES), str(home.objects)]
    command = [*mounted, sys.executable, "-c", UP, str(home.folder)]
    up = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS, check=False
    )
    try:
        if "mount" in up.stderr or "unshare" in up.stderr:
            pytest.skip(f"may not mount: {up.stderr.strip()}")
        assert up.returncode == 0, up.stderr
        with Workbench.of(home, "odd", tmp_path_factory.mktemp("odd")) as bench:
            yield bench
    finally:
        operate.down(home)


@contextmanager
def full_disk(bench: Workbench) -> Iterator[None]:
    """No byte fits on the disk of the objects, for the length of the block."""
    filler = objects(bench) / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    try:
        yield
    finally:
        filler.unlink()


def test_a_full_disk_is_a_typed_error_and_what_is_under_way_waits_for_space(odd: Workbench) -> None:
    with odd.as_tenant(f"t{uuid.uuid4().hex[:12]}") as bench:
        path = bench.file("sluice.md", TEXT)
        with full_disk(bench):
            check_refused(bench, path, "STORAGE_FULL")
        run_id = ingest_held(bench)
        with full_disk(bench):
            bench.release(UNTIL)
            log = bench.home.log("parser")
            eventually(lambda: "STORAGE_FULL" in log.read_text(), "the parse finds no room for its result")
            assert (
                bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run.state == Run.STATE_RUNNING
            )
        check_ready(bench, run_id)
        bench.disarm()


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_stepped_during_a_run_costs_it_nothing(
    odd: Workbench, clock: Clock, seconds: int
) -> None:
    with odd.as_tenant(f"t{uuid.uuid4().hex[:12]}") as bench:
        run_id = ingest_held(bench)
        try:
            clock.set(seconds)
            bench.release(UNTIL)
            check_ready(bench, run_id)
            later = bench.client.ingest(bench.file("later.md", TEXT + b"Later."))
            step = later.create_time.seconds - time.time()
            assert abs(step - seconds) < 600, "the clock was not stepped"
            check_ready(bench, later.run_id)
            soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=max(0, seconds) + 600)
            bounded = bench.client.ingest(bench.file("soon.md", TEXT + b"Soon."), complete_by=soon)
            check_ready(bench, bounded.run_id)
        finally:
            clock.set(0)
            bench.disarm()
        # Back again, a run of before is still what it was.
        assert bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run.state == Run.STATE_READY
