"""`waybill doctor` against a vendor that answers as told."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waybill.cli.checks.check import Check
from waybill.cli.checks.every import CHECKS
from waybill.cli.checks.finding import Finding, State
from waybill.cli.checks.money import bought
from waybill.vendors.registry import LLAMAPARSE, OPENAI, VENDORS, Vendor

KEY = "sk-planted-9f31"


@contextmanager
def vendor(status: int, **headers: str) -> Iterator[str]:
    """A server that answers every question so; yields its base URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def check_of(vendor: Vendor) -> Check:
    return CHECKS[VENDORS.index(vendor)]


def findings(base: str, **settings: str) -> dict[str, Finding]:
    found = check_of(OPENAI).findings({"OPENAI_BASE_URL": base, "OPENAI_API_KEY": KEY, **settings})
    return {finding.check: finding for finding in found}


def test_each_vendor_of_the_registry_is_checked_by_its_own_row() -> None:
    assert [check.vendor for check in CHECKS] == [*VENDORS]


def test_a_good_key_and_model_are_said_with_the_limits() -> None:
    with vendor(200, x_ratelimit_limit_requests="500", x_ratelimit_limit_tokens="1000000") as base:
        found = findings(base)
    assert {finding.state for finding in found.values()} == {State.OK}
    assert found["openai limits"].detail == "500 requests, 1000000 tokens a minute"


@pytest.mark.parametrize(
    ("status", "check", "variable"),
    [
        (401, "openai key", "OPENAI_API_KEY"),
        (403, "openai key", "OPENAI_PROJECT"),
        (404, "openai model", "OPENAI_MODEL"),
        (503, "openai model", "waybill doctor"),
        (307, "openai model", "waybill doctor"),
    ],
)
def test_each_fault_comes_with_the_command_that_mends_it(status: int, check: str, variable: str) -> None:
    with vendor(status, location="http://127.0.0.1:1/") as base:
        found = findings(base)
    assert found[check].state is State.FAILED
    assert variable in found[check].mend
    assert KEY not in repr(found)


def test_a_vendor_that_is_away_is_told_apart_from_a_bad_key() -> None:
    found = findings("http://127.0.0.1:1/v1")
    assert [finding.check for finding in found.values()] == ["openai reachability"]


def test_the_vendors_own_address_is_not_what_mends_a_network_that_does_not_reach_it() -> None:
    assert "OPENAI_BASE_URL=" in findings("http://127.0.0.1:1/v1")["openai reachability"].mend
    away = dataclasses.replace(OPENAI, base_url="http://127.0.0.1:2/v1")
    own = {"OPENAI_BASE_URL": away.base_url, "OPENAI_API_KEY": KEY}
    (finding,) = Check(away).findings(own)
    assert finding.mend.startswith(f"curl -sS {away.base_url} ")


def test_no_key_is_a_fault_only_where_the_backend_needs_one() -> None:
    base = "http://127.0.0.1:1/v1"
    assert findings(base, OPENAI_API_KEY="")["openai key"].state is State.SKIPPED
    needed = findings(base, OPENAI_API_KEY="", EMBEDDER_BACKEND="openai")["openai key"]
    assert needed.state is State.FAILED
    for mode in ("real", "hybrid"):
        assert findings(base, OPENAI_API_KEY="", WAYBILL_MODE=mode)["openai key"].state is State.FAILED
        assert set(bought({"WAYBILL_MODE": mode})) == {"openai", "llamaparse"}
        assert set(bought({"WAYBILL_MODE": mode, "EMBEDDER_BACKEND": "local"})) == {"llamaparse"}
    assert not bought({})


def test_a_simulator_is_not_mended_by_the_vendors_own_settings() -> None:
    found = findings("http://127.0.0.1:1/v1", WAYBILL_MODE="simulator")["openai reachability"]
    assert (found.state, found.mend.startswith("waybill restart")) == (State.FAILED, True)


def test_a_refused_key_of_a_file_is_mended_in_that_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    file.chmod(0o600)
    with vendor(401) as base:
        found = findings(base, OPENAI_API_KEY_FILE=str(file))["openai key"]
    assert (found.state, str(file) in found.mend, "export" in found.mend) == (State.FAILED, True, False)


def test_llamaparse_tells_region_rate_and_version() -> None:
    with vendor(200) as base:
        settings = {
            "LLAMA_CLOUD_BASE_URL": base, "LLAMA_CLOUD_API_KEY": KEY, "LLAMA_CLOUD_TIER": "fast",
            "LLAMA_CLOUD_REQUESTS_PER_MINUTE": "60",
        }  # fmt: skip
        found = {one.check: one for one in check_of(LLAMAPARSE).findings(settings)}
    assert found["llamaparse key"].state == State.OK
    assert found["llamaparse version"].detail == "fast 2026-06-15"
    assert found["llamaparse rate"].detail.startswith("60 requests a minute")
