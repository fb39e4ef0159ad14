"""`waybill config`: what is in force, and who says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Waybill
from tests.conftest import open_folder
from waybill.cli.config import Line, in_force
from waybill.runtime.errors import Precondition
from waybill.settings import FIXED_PORTS, MASK, SETTINGS
from waybill.stack.home import Home
from waybill.stack.operate import up
from waybill.stack.ports import LINKS, SIMULATORS
from waybill.stack.process import Process
from waybill.stack.state import Phase, StackState

ADDRESSES = {name: f"127.0.0.1:{place}" for place, name in enumerate((*FIXED_PORTS, LINKS))}


def lines(home: Home, started_with: dict[str, str] | None = None, **environ: str) -> dict[str, Line]:
    found = None
    if started_with is not None:
        found = StackState(Process(1, "now"), Phase.SERVING, ADDRESSES, settings=started_with)
    return {line.setting: line for line in in_force(home, found, environ)}


def test_a_value_comes_from_the_environment_else_from_its_default(tmp_path: Path) -> None:
    told = lines(Home(tmp_path), WAYBILL_CHUNK_TOKENS="300")
    assert set(told) == set(SETTINGS)
    chunks, overlap = told["WAYBILL_CHUNK_TOKENS"], told["WAYBILL_CHUNK_OVERLAP_TOKENS"]
    assert (chunks.value, chunks.source) == ("300", "environment")
    assert (overlap.value, overlap.source) == ("0", "default")
    assert told["WAYBILL_HOME"].value == str(tmp_path)


def test_a_key_in_a_file_is_said_to_come_from_it_and_masked(tmp_path: Path) -> None:
    line = lines(Home(tmp_path), OPENAI_API_KEY_FILE="/keys/openai")["OPENAI_API_KEY"]
    assert (line.value, line.source) == (MASK, "/keys/openai")


def test_a_running_stack_has_what_it_was_started_with_and_this_shell_has_to_wait(tmp_path: Path) -> None:
    home = Home(tmp_path)
    told = lines(home, {"WAYBILL_CHUNK_TOKENS": "300"}, WAYBILL_CHUNK_TOKENS="400", WAYBILL_KEEP_DAYS="3")
    chunks, kept = told["WAYBILL_CHUNK_TOKENS"], told["WAYBILL_KEEP_DAYS"]
    assert (chunks.value, chunks.source, chunks.waiting) == ("300", str(home.state), "400")
    assert (kept.value, kept.source, kept.waiting) == ("90", "default", "3")
    assert told["WAYBILL_PARSER_ADDRESS"].value == ADDRESSES["parser"]
    assert told["WAYBILL_OBJECTS_HTTP"].value == ADDRESSES["links"]


def test_an_address_that_this_shell_sets_is_the_one_that_its_commands_use(tmp_path: Path) -> None:
    line = lines(Home(tmp_path), {}, WAYBILL_PARSER_ADDRESS="a:1")["WAYBILL_PARSER_ADDRESS"]
    assert (line.value, line.source) == ("a:1", "environment")


def test_the_command_shows_the_settings_by_group_and_as_json(
    waybill: Waybill, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = open_folder(tmp_path_factory)
    environ = {"WAYBILL_HOME": str(folder), "OPENAI_API_KEY": "sk-planted"}
    text = waybill("config", **environ).stdout
    assert "Chunks\n  WAYBILL_CHUNK_TOKENS" in text
    assert f"{folder}  (environment)" in text
    told = json.loads(waybill("config", "--json", **environ).stdout)["settings"]
    assert {line["setting"] for line in told} == set(SETTINGS)
    assert "sk-planted" not in text + json.dumps(told)


def test_the_stack_is_open_to_others_by_tls_and_token_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_BIND", "0.0.0.0:7401")
    with pytest.raises(Precondition, match=r"WAYBILL_BIND is '0\.0\.0\.0:7401'.*WAYBILL_TLS_CERT_FILE"):
        up(Home(tmp_path / "state"), "free")
    assert not (tmp_path / "state").exists()


def test_a_backend_that_is_not_named_is_that_of_the_mode_in_force(tmp_path: Path) -> None:
    home, names = Home(tmp_path), ("PARSER_BACKEND", "EMBEDDER_BACKEND", "STORAGE_BACKEND")
    quiet, simulated = lines(home), lines(home, WAYBILL_MODE="simulator")
    assert [quiet[name].value for name in names] == ["local"] * 3
    assert [simulated[name].value for name in names] == ["llamaparse", "openai", "supabase"]
    assert simulated["PARSER_BACKEND"].source == "WAYBILL_MODE=simulator"
    named = lines(home, WAYBILL_MODE="simulator", PARSER_BACKEND="local")["PARSER_BACKEND"]
    assert (named.value, named.source) == ("local", "environment")


def test_a_stack_s_mode_is_told_by_its_programs_however_it_was_given(tmp_path: Path) -> None:
    running = {**ADDRESSES, **dict.fromkeys(SIMULATORS, "127.0.0.1:1")}
    found = StackState(Process(1, "now"), Phase.SERVING, running, settings={})
    told = {line.setting: line.value for line in in_force(Home(tmp_path), found, {})}
    assert (told["WAYBILL_MODE"], told["PARSER_BACKEND"]) == ("simulator", "llamaparse")
