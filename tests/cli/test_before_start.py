"""A stack that cannot work is refused before anything is started, with all that it lacks."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, nullcontext
from itertools import combinations
from pathlib import Path

import pytest

from tests.cli.conftest import Waybill
from tests.cli.test_doctor import vendor
from waybill.cli.checks import before
from waybill.runtime.errors import Credential, Precondition, Unavailable
from waybill.stack.ports import free_ports

REAL = {"PARSER_BACKEND": "llamaparse", "EMBEDDER_BACKEND": "openai", "STORAGE_BACKEND": "supabase"}


def test_every_missing_setting_is_named_in_one_message() -> None:
    with pytest.raises(Precondition) as caught:
        before.check(REAL, "local")
    assert caught.value.reason == "SETTING_MISSING"
    for name in ("OPENAI_API_KEY", "LLAMA_CLOUD_API_KEY", "SUPABASE_KEY", "SUPABASE_URL"):
        assert f"{name} is not set, which " in caught.value.message


@pytest.mark.parametrize("local", [name for n in range(1, 4) for name in combinations(REAL, n)], ids=" ".join)
def test_production_names_every_local_backend_at_once_with_the_keys_that_others_lack(
    local: tuple[str, ...],
) -> None:
    given = {"WAYBILL_ENV": "production"} | REAL | dict.fromkeys(local, "local")
    with pytest.raises(Precondition) as caught:
        before.check(given, "local")
    assert caught.value.reason == ("LOCAL_REFUSED" if len(local) == len(REAL) else "SETTING_MISSING")
    for name, vendor_name in REAL.items():
        assert (f"{name} is 'local', which WAYBILL_ENV=production refuses" in caught.value.message) == (
            name in local
        )
        assert (f"{name}={vendor_name} needs" in caught.value.message) == (name not in local)


@pytest.mark.parametrize("mode", ["hybrid", "simulator"])
def test_production_names_what_a_mode_would_do_without_vendors_before_anything_is_started(mode: str) -> None:
    with pytest.raises(Precondition) as caught:
        before.check({"WAYBILL_ENV": "production"}, mode)
    assert ("PARSER_BACKEND is not set" if mode == "hybrid" else "'simulator'") in caught.value.message


def test_nothing_is_asked_of_local_engines_and_simulators() -> None:
    before.check({}, "local")
    before.check(REAL, "simulator")


def test_a_file_of_keys_is_a_key_and_a_server_of_one_s_own_is_an_address(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sk-planted\n")
    with vendor(200) as host:
        given = {
            "OPENAI_API_KEY_FILE": str(tmp_path / "keys"),
            "OPENAI_BASE_URL": host,
            "LLAMA_CLOUD_API_KEY": "llx-planted",
            "LLAMA_CLOUD_BASE_URL": host,
            "SUPABASE_KEY": "sb_secret_planted",
            "SUPABASE_STORAGE_URL": host,
        }
        before.check(REAL | given, "local")


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("LLAMA_CLOUD_API_KEY", "LLAMACLOUD_API_KEY"),
        ("LLAMA_CLOUD_API_KEY", "LLAMA_PARSE_API_KEY"),
        ("LLAMA_CLOUD_API_KEY", "LLAMA_CLOUD_KEY"),
        ("OPENAI_API_KEY", "OPEN_AI_KEY"),
        ("OPENAI_API_KEY", "OPENAI_APIKEY"),
        ("SUPABASE_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
    ],
)
def test_what_is_meant_by_a_name_that_is_nearly_right_is_said_without_its_value(
    setting: str, written: str
) -> None:
    with pytest.raises(Precondition) as caught:
        before.check(REAL | {written: "planted-1234", "ANTHROPIC_API_KEY": "x", "API_KEY": "y"}, "local")
    assert f"{setting} is not set, " in caught.value.message
    assert f"is {written} meant for it?" in caught.value.message
    assert "planted-1234" not in caught.value.message


def test_a_vendor_that_nobody_answers_for_is_told_at_once() -> None:
    (port,) = free_ports(1)
    chosen = {"EMBEDDER_BACKEND": "openai", "OPENAI_API_KEY": "sk-planted"}
    with pytest.raises(Unavailable) as caught:
        before.check(chosen | {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}, "local")
    assert caught.value.reason == "VENDOR_UNREACHABLE"
    assert f"OpenAI: http://127.0.0.1:{port}/v1 does not answer" in caught.value.message


def test_a_host_that_no_network_knows_is_told_in_plain_words() -> None:
    chosen = {"EMBEDDER_BACKEND": "openai", "OPENAI_API_KEY": "sk-planted"}
    with pytest.raises(Unavailable) as caught:
        before.check(chosen | {"OPENAI_BASE_URL": "http://nobody.invalid/v1"}, "local", seconds=120)
    assert "http://nobody.invalid/v1 does not answer (no such host is known here" in caught.value.message
    assert "DNS" in caught.value.message
    assert "gaierror" not in caught.value.message


@pytest.mark.parametrize(("status", "refused"), [(200, False), (401, True), (429, False), (503, False)])
def test_a_key_that_is_refused_is_told_and_a_vendor_s_trouble_is_no_reason_not_to_start(
    status: int, refused: bool
) -> None:
    chosen = {"EMBEDDER_BACKEND": "openai", "OPENAI_API_KEY": "sk-planted"}
    with vendor(status) as base, pytest.raises(Credential) if refused else nullcontext():
        before.check(chosen | {"OPENAI_BASE_URL": base}, "local")


@pytest.mark.skipif(sys.platform != "linux", reason="what is over a queue's length is dropped on Linux alone")
def test_a_vendor_that_is_silent_is_not_waited_for_long() -> None:
    chosen = {"EMBEDDER_BACKEND": "openai", "OPENAI_API_KEY": "sk-planted"}
    with ExitStack() as held:
        server = held.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Unavailable, match="OpenAI: no answer in"):
            before.check(chosen | {"OPENAI_BASE_URL": address}, "local", 0.3)


def test_up_starts_nothing_where_a_key_is_missing(
    waybill: Waybill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PARSER_BACKEND", "llamaparse")
    monkeypatch.delenv("LLAMA_CLOUD_API_KEY", raising=False)
    done = waybill("up", "--ports", "free")
    assert done.exit_code != 0
    assert "SETTING_MISSING" in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()
