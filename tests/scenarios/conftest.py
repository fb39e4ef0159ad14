"""One stack a mode for the whole folder, and the seed's own table at the end."""

from __future__ import annotations

import http.client
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import open_folder
from tests.pipeline.workbench import FAULTS, simulated, started
from tests.scenarios.stand import LIVE, LOCAL, SIMULATOR, VENDOR, Stand, standing
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.supabase import BUCKET_BYTES

# The predecessor's latencies of one call, by service, and what its 24 scenarios took.
SEED_LATENCIES = {"storage": 0.04, "embedder": 0.5, "parser": 0.3}
SEED_SECONDS = 3.63
LIVE_SETTINGS = {
    "OPENAI_API_KEY": "WAYBILL_LIVE_OPENAI_API_KEY",
    "LLAMA_CLOUD_API_KEY": "WAYBILL_LIVE_LLAMA_CLOUD_API_KEY",
    "SUPABASE_STORAGE_URL": "WAYBILL_LIVE_SUPABASE_URL",
    "SUPABASE_KEY": "WAYBILL_LIVE_SUPABASE_KEY",
}
BUCKET = {"file_size_limit": BUCKET_BYTES, "allowed_mime_types": ["application/*", "image/*", "text/*"]}
NODE = re.compile(r"test_scenario\[(\w+): \w+-(\w+)\]")
Stacks = Callable[[str], Home]


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """The stack of a mode, started when it is first asked for."""
    homes: dict[str, Home] = {}
    with ExitStack() as running:

        def of(mode: str) -> Home:
            if mode not in homes:
                home = Home(open_folder(tmp_path_factory) / "a stack")
                (home.folder / FAULTS).mkdir(parents=True)
                settings = {"WAYBILL_FAULTS": str(home.folder / FAULTS), **(live() if mode == LIVE else {})}
                simulating = SIMULATOR if mode == SIMULATOR else LOCAL
                running.enter_context(started(home, simulating, **settings))
                if mode == SIMULATOR:
                    prepare(home)
                homes[mode] = home
            return homes[mode]

        yield of


def live() -> Mapping[str, str]:
    """Settings of real backends; what is missing skips the test, and is named."""
    given = {name: os.environ.get(variable, "") for name, variable in LIVE_SETTINGS.items()}
    if missing := [LIVE_SETTINGS[name] for name, value in given.items() if not value]:
        pytest.skip(f"not without {', '.join(missing)}")
    backends = {f"{service.upper()}_BACKEND": vendor.name for service, vendor in VENDOR.items()}
    return {**given, **backends}


@pytest.fixture
def at(stacks: Stacks, mode: str, tmp_path: Path) -> Iterator[Stand]:
    """A tenant on the mode's stack, whose vendors are as quick as the seed's."""
    latencies = SEED_LATENCIES if mode == SIMULATOR else {}
    with standing(stacks(mode), mode, tmp_path, latencies) as at:
        yield at


def prepare(home: Home) -> None:
    """The bucket as the migration makes it, and parses that take no longer than a look at them."""
    simulated(home, VENDOR["parser"]).change("/jobs", queued_seconds=0, page_seconds=0, billed_seconds=0)
    change_bucket(simulated(home, VENDOR["storage"]), "PUT", "/waybill", BUCKET)


def change_bucket(vendor: Remote, method: str, path: str, body: object) -> None:
    """What an administrator asks of the vendor."""
    connection = http.client.HTTPConnection(urlsplit(vendor.base_url).netloc, timeout=30)
    headers = {"apikey": vendor.key, "Content-Type": "application/json"}
    connection.request(method, f"/storage/v1/bucket{path}", json.dumps(body), headers)
    assert connection.getresponse().status == 200
    connection.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The seed's table, by mode, of what pytest itself says of each scenario."""
    outcomes: dict[str, dict[str, list[bool]]] = {}
    seconds, skipped = Counter[str](), Counter[str]()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            if (named := NODE.search(report.nodeid)) is None:
                continue
            group, mode = named.groups()
            if outcome == "skipped":
                skipped[mode] += 1
                continue
            outcomes.setdefault(mode, {}).setdefault(group, []).append(outcome == "passed")
            seconds[mode] += report.duration
    for mode, groups in outcomes.items():
        every = [good for goods in groups.values() for good in goods]
        terminalreporter.write_line(f"\n{f'scenarios, {mode}':<22}tests  passed     rate")
        for group, goods in {**groups, "all": every}.items():
            rate = sum(goods) / len(goods)
            terminalreporter.write_line(f"{group:<22}{len(goods):>5}{sum(goods):>8}{rate:>9.1%}")
        terminalreporter.write_line(f"wall {seconds[mode]:.2f} s (predecessor: {SEED_SECONDS} s)")
    for mode, count in skipped.items():
        terminalreporter.write_line(f"{count} of the 24 not in {mode}: `-rs` says why")
