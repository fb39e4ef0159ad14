"""Keys of all three vendors change while runs and searches are under way: none fails, and the old keys rest.

The stack reads each key from a file. The vendors are simulators, whose journals say which key came with what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import hostile_pdfs
from tests.conftest import open_folder
from tests.pipeline.workbench import Workbench, started
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.settings import HOME
from waybill.sim.journal import Entry as Line
from waybill.sim.keys import fingerprint
from waybill.sim.llamacloud.settings import JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import simulator as llamacloud
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import simulator as openai
from waybill.sim.remote import Remote
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import simulator as supabase
from waybill.sim.threaded import threaded
from waybill.stack import probe
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE, VENDORS, Vendor

pytestmark = pytest.mark.slow

PREFIX = {OPENAI.name: "sk-", LLAMAPARSE.name: "llx-", SUPABASE.name: "sb_secret_"}
RUNS, SEARCHERS = 12, 2


@dataclass
class Rotating:
    """A stack whose keys stand in files, and the vendors that take them.

    Attributes:
        keys: The one in each vendor's file now.
    """

    home: Home
    vendors: Mapping[str, Remote]
    folder: Path
    keys: dict[str, str]

    def write(self, vendor: Vendor, key: str) -> None:
        """Puts a key into a vendor's file, as a rotation does: beside it, then in its place."""
        beside = self.folder / f"{vendor.name}.new"
        beside.write_text(f"{key}\n")
        beside.chmod(0o600)
        beside.replace(self.folder / vendor.name)
        self.keys[vendor.name] = key

    def sent(self, key: str, vendor: Vendor, since: int = 0) -> Sequence[Line]:
        """The requests that came with a key."""
        return [line for line in self.vendors[vendor.name].journal[since:] if line.key == fingerprint(key)]


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    folder = open_folder(tmp_path_factory)
    keys = {vendor.name: f"{PREFIX[vendor.name]}{uuid.uuid4().hex}" for vendor in VENDORS}
    with ExitStack() as running:

        def over(simulator: object, vendor: Vendor) -> Remote:
            return running.enter_context(threaded(simulator, keys[vendor.name]))  # type: ignore[arg-type]

        jobs = JobTimes(queued_seconds=0.2, page_seconds=0.02, billed_seconds=0)
        vendors = {
            OPENAI.name: over(openai(OpenAISettings(latency_seconds=0.1)), OPENAI),
            LLAMAPARSE.name: over(
                llamacloud(LlamaCloudSettings(latency_seconds=0.05, jobs=jobs)), LLAMAPARSE
            ),
            SUPABASE.name: over(supabase(SupabaseSettings(latency_seconds=0.02)), SUPABASE),
        }
        made = Rotating(Home(folder / "a stack"), vendors, folder, keys)
        settings: dict[str, str] = {}
        for vendor in VENDORS:
            made.write(vendor, keys[vendor.name])
            settings |= {
                f"{vendor.service.upper()}_BACKEND": vendor.name,
                f"{vendor.settings}{vendor.address}": vendors[vendor.name].base_url,
                f"{vendor.settings}{vendor.key}_FILE": str(folder / vendor.name),
            }
        running.enter_context(started(made.home, **settings))
        yield made


@pytest.fixture(scope="module")
def home(rotating: Rotating) -> Home:
    return rotating.home


class Load:
    """Runs and searches, one after the other for each caller, until it is told to stop.

    Attributes:
        searches: That were answered.
    """

    def __init__(self, bench: Workbench) -> None:
        self.searches = 0
        self._bench = bench
        self._stop = threading.Event()

    def run(self, number: int) -> Run:
        """One document, through all three vendors."""
        content = hostile_pdfs.simple(f"Pump {number} {uuid.uuid4()}", pages=1 + number % 3)
        return self._bench.ingest(self._bench.file(f"pump-{number}.pdf", content))

    def search(self) -> int:
        """Questions, each of its own words, so that each is embedded. Raises what the service raises."""
        asked = 0
        while not self._stop.is_set():
            self._bench.client.orchestrator.Search(SearchRequest(query=f"pump {uuid.uuid4()}", limit=3))
            asked += 1
        return asked

    def stop(self) -> None:
        """Ends the searches."""
        self._stop.set()


@pytest.mark.parametrize("both_are_good_for_a_while", [True, False])
def test_keys_change_under_load_and_no_run_and_no_search_fails(
    rotating: Rotating, bench: Workbench, both_are_good_for_a_while: bool
) -> None:
    load, old = Load(bench), dict(rotating.keys)
    load.run(-1)
    with ThreadPoolExecutor(RUNS + SEARCHERS) as callers:
        searching = [callers.submit(load.search) for _ in range(SEARCHERS)]
        runs = [callers.submit(load.run, number) for number in range(RUNS)]
        try:
            eventually(lambda: all(rotating.sent(old[one.name], one) for one in VENDORS), "work is under way")
            for vendor in VENDORS:
                rotate(rotating, vendor, both_are_good_for_a_while)
            ended = [run.result() for run in runs]
        finally:
            load.stop()
        assert sum(one.result() for one in searching) > 0
    assert [(run.state, run.reason) for run in ended] == [(Run.STATE_READY, "")] * RUNS
    check_books(rotating, bench, ended)
    # From here on the old keys rest, though nobody was restarted.
    seen = {name: len(vendor.journal) for name, vendor in rotating.vendors.items()}
    assert load.run(RUNS).state == Run.STATE_READY
    bench.client.orchestrator.Search(SearchRequest(query=f"pump {uuid.uuid4()}", limit=3))
    for vendor in VENDORS:
        assert rotating.sent(old[vendor.name], vendor, seen[vendor.name]) == [], f"{vendor.name}'s old key"
        assert rotating.sent(rotating.keys[vendor.name], vendor, seen[vendor.name]), (
            f"{vendor.name}'s new key"
        )
    serving = [probe.check(address, "", PATIENCE_SECONDS) for address in bench.client.addresses.values()]
    assert serving == [probe.SERVING] * len(serving)


def rotate(rotating: Rotating, vendor: Vendor, both_are_good_for_a_while: bool) -> None:
    """New key into the file, then the old one is refused: once the new one is used, or at once."""
    remote, old = rotating.vendors[vendor.name], rotating.keys[vendor.name]
    rotating.write(vendor, new := f"{PREFIX[vendor.name]}{uuid.uuid4().hex}")
    if both_are_good_for_a_while:
        eventually(lambda: bool(rotating.sent(new, vendor)), f"{vendor.name}'s new key is used")
    remote.keys.revoke(old)


def check_books(rotating: Rotating, bench: Workbench, runs: Sequence[Run]) -> None:
    """Each purchase is settled once; what a refused key cost is a released row, and no doubt is left."""
    entries = [entry for run in runs for entry in bench.entries(run.run_id)]
    assert {entry.state for entry in entries} <= {Entry.STATE_SETTLED, Entry.STATE_RELEASED}
    settled = [entry for entry in entries if entry.state == Entry.STATE_SETTLED]
    assert len({entry.spend_key for entry in settled}) == len(settled) >= 2 * len(runs)
    lines = rotating.vendors[OPENAI.name].journal
    charged = {line.client_request_id for line in lines if line.billed_nano_usd}
    released = {entry.entry_id for entry in entries if entry.state == Entry.STATE_RELEASED}
    assert not released & charged, "what was bought was released"


def test_a_refused_key_is_repeated_once_with_the_key_that_the_file_has_by_then(
    rotating: Rotating, bench: Workbench
) -> None:
    old = dict(rotating.keys)
    for vendor in VENDORS:
        rotating.vendors[vendor.name].keys.revoke(old[vendor.name])
        # In the same number of bytes, at what may be the same moment: only the refusal shows it.
        rotating.write(vendor, f"{old[vendor.name][:-4]}{uuid.uuid4().hex[:4]}")
    seen = {name: len(vendor.journal) for name, vendor in rotating.vendors.items()}
    assert Load(bench).run(0).state == Run.STATE_READY
    for vendor in VENDORS:
        lines = rotating.vendors[vendor.name].journal[seen[vendor.name] :]
        # A probe of the vendor's health, a GET, may be refused at the same time.
        assert sum(line.status == 401 and line.method != "GET" for line in lines) <= 1, vendor.name


def test_the_doctor_asks_what_the_running_stack_has_and_not_this_shell(rotating: Rotating) -> None:
    file = rotating.folder / OPENAI.name
    assert diagnosed(rotating)["openai key"] == ("OK", "")
    file.chmod(0o644)
    try:
        assert diagnosed(rotating, failing=True)["openai key file"] == ("FAILED", f"chmod 600 {file}")
    finally:
        file.chmod(0o600)


def diagnosed(rotating: Rotating, *, failing: bool = False) -> Mapping[str, tuple[str, str]]:
    """State and command by check, as `waybill doctor` says it where the shell has another key and address."""
    shell = {"OPENAI_API_KEY": "sk-of-the-shell", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    told = subprocess.run(
        [sys.executable, "-m", "waybill.cli", "doctor", "--json"],
        env={**os.environ, **shell, HOME.name: str(rotating.home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    findings = json.loads(told.stdout)["findings"]
    failed = [one for one in findings if one["state"] == "FAILED"]
    assert (told.returncode, bool(failed)) == (int(failing), failing), failed
    asked = {"migrations", "policies", "clock", "disk", "telemetry", "alerts", "mode", "prices", "budgets"}
    assert asked <= {one["check"] for one in findings}
    return {one["check"]: (one["state"], one["mend"]) for one in findings}
