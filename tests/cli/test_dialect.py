"""What all commands have in common: help, version, errors, exit codes, and an output that fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger, Orchestrator, make_hit, make_run, serving
from tests.conftest import open_folder
from waybill.cli.doctor import settings_in_force
from waybill.cli.exits import Exit
from waybill.cli.main import GROUPS, app
from waybill.cli.plain import plain
from waybill.cli.screen import quoted
from waybill.stack import state
from waybill.stack.home import Home
from waybill.stack.process import Process
from waybill.stack.state import Phase, StackState

COMMAND = (sys.executable, "-m", "waybill.cli")
FULL = Path("/dev/full")


def test_help_shows_every_command_in_its_group_and_cuts_nothing() -> None:
    for flag in ("--help", "-h"):
        shown = CliRunner().invoke(app, [flag], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).stdout
        assert "…" not in shown
        assert "..." not in shown.replace("[ARGS]...", "")
        places = [shown.index(group) for group in GROUPS]
        assert places == sorted(places)
        for commands in GROUPS.values():
            assert all(re.search(rf"│ {command.__name__} ", shown) for command in commands)


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.split()[0]) == (0, "waybill")


def test_the_command_alone_shows_its_help_and_no_empty_error(waybill: Waybill) -> None:
    result = waybill()
    assert (result.exit_code, result.stderr) == (Exit.USAGE, "")
    assert all(group in result.stdout for group in GROUPS)


@pytest.mark.parametrize(
    "line",
    ["search", "search x --limit 0", "nosuch", "ingest a --within x", "runs --no", "bill --by colour"],
)
def test_a_command_line_that_cannot_be_understood_is_two_lines(waybill: Waybill, line: str) -> None:
    result = waybill(*line.split())
    error, follows = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert error.startswith("error: USAGE: ")
    assert "Value error" not in error
    assert re.fullmatch(r"next:  waybill( \w+)? --help", follows)


@pytest.mark.parametrize(
    ("line", "reason", "code"),
    [
        ("status", "NOT_REACHABLE", Exit.NOT_REACHABLE),
        ("health", "NOT_REACHABLE", Exit.NOT_REACHABLE),
        ("restart", "NOT_REACHABLE", Exit.NOT_REACHABLE),
        ("migrate", "NOT_REACHABLE", Exit.NOT_REACHABLE),
        ("logs parser", "SERVICE_UNKNOWN", Exit.NOT_FOUND),
        ("call nobody", "SERVICE_UNKNOWN", Exit.NOT_FOUND),
        ("call ledger Nothing", "METHOD_UNKNOWN", Exit.NOT_FOUND),
        ("call ledger ListEntries {", "INVALID_REQUEST", Exit.REFUSED),
    ],
)
def test_the_stacks_commands_fail_in_the_same_words_as_the_others(
    waybill: Waybill, tmp_path: Path, line: str, reason: str, code: Exit
) -> None:
    result = waybill(*line.split(), WAYBILL_HOME=str(tmp_path))
    error, follows = result.stderr.splitlines()
    assert result.exit_code == code
    assert error.startswith(f"error: {reason}: ")
    assert follows.startswith("next:  ")


def test_any_rpc_can_be_called_with_json(waybill: Waybill, orchestrator: Orchestrator) -> None:
    orchestrator.has(make_run(1), make_run(2))
    listed = json.loads(waybill("call", "orchestrator", "ListRuns", '{"correlationId": "label-1"}').stdout)
    assert [run["documentKey"] for run in listed["runs"]] == ["document-2.md", "document-1.md"]
    watched = waybill("call", "orchestrator", "WatchRun", json.dumps({"runId": make_run(1).run_id})).stdout
    assert [json.loads(line)["resumeToken"] for line in watched.splitlines()] == ["1", "2"]
    assert {"rpc": "Hold", "request": "HoldRequest"} in [
        json.loads(line) for line in waybill("call", "ledger").stdout.splitlines()
    ]


def test_logs_are_shown_in_the_order_of_their_times_and_are_inert(
    waybill: Waybill, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(open_folder(tmp_path_factory))
    home.prepare()
    said = {"event": "draining\x1b[31m", "level": "info", "service": "parser", "pages": 3}
    home.log("parser").write_text(json.dumps(said | {"timestamp": "2026-01-02T10:00:02.5Z"}) + "\n")
    home.log("postgres").write_text("2026-01-02 10:00:01.1 UTC [1] LOG:  ready\n\tand more\nhalf a li")
    shown = waybill("logs", WAYBILL_HOME=str(home.folder)).stdout.splitlines()
    assert [line.split()[:2] for line in shown] == [
        ["10:00:01", "postgres"],
        ["10:00:01", "postgres"],
        ["10:00:02", "parser"],
    ]
    assert shown[2].endswith("draining\\x1b[31m  pages=3")
    one = waybill("logs", "parser", "-n", "1", "--json", WAYBILL_HOME=str(home.folder)).stdout
    assert json.loads(one)["event"] == said["event"]


def test_an_output_that_is_full_or_closed_is_no_traceback() -> None:
    orchestrator = Orchestrator()
    orchestrator.hits = [make_hit("word " * 200, document_key=f"{number}.md") for number in range(100)]
    with serving(orchestrator, Ledger()) as addresses:
        environ = {**os.environ, **addresses}
        search = [*COMMAND, "search", "word", "--limit", "100"]
        if FULL.exists():
            with FULL.open("w") as full:
                result = subprocess.run(search, stdout=full, stderr=subprocess.PIPE, text=True, env=environ)
            assert result.returncode == Exit.REFUSED
            error, follows = result.stderr.splitlines()
            assert error.startswith("error: OUTPUT_FAILED: ")
            assert follows.startswith("next:  ")
        for flags in ([], ["--json"]):
            reader, writer = os.pipe()
            os.close(reader)
            result = subprocess.run(
                [*search, *flags], stdout=writer, stderr=subprocess.PIPE, text=True, env=environ
            )
            os.close(writer)
            assert (result.returncode, result.stderr) == (Exit.PIPE_CLOSED, "")


def test_a_deleted_working_folder_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL")}
    line = "import os; os.rmdir(os.getcwd()); from waybill.cli.main import app; app(['runs'])"
    result = subprocess.run(
        [sys.executable, "-P", "-c", line], cwd=gone, env=environ, capture_output=True, text=True
    )
    assert result.returncode == Exit.NOT_FOUND
    assert result.stderr.startswith("error: WORKING_FOLDER_GONE: ")


def test_doctor_asks_with_what_the_running_stack_was_started_with(
    waybill: Waybill, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(open_folder(tmp_path_factory))
    home.prepare()
    environ = {"OPENAI_API_KEY": "sk-of-the-stack", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environ) as stack:
        addresses = dict.fromkeys(("orchestrator", "storage", "parser", "embedder", "ledger"), "127.0.0.1:1")
        found = StackState(Process.of(stack.pid), Phase.SERVING, {**addresses, "postgres": "127.0.0.1:1"})
        state.write(home, found)
        result = waybill("doctor", "--json", WAYBILL_HOME=str(home.folder), OPENAI_API_KEY="")
        assert settings_in_force(found, {})["OPENAI_API_KEY"] == "sk-of-the-stack"
        stack.communicate(b"\n")
    told = {finding["check"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert told["openai reachability"]["detail"].startswith("http://127.0.0.1:1/v1 does not answer")
    assert told["settings"]["detail"].endswith("this shell has other OPENAI_API_KEY, OPENAI_BASE_URL")
    assert settings_in_force(None, {"OPENAI_API_KEY": "sk-ours"}) == {"OPENAI_API_KEY": "sk-ours"}


@pytest.mark.parametrize("tenant", ["größe", "a b", "漢字", ""])
def test_a_tenant_that_no_call_can_carry_is_refused_here(
    waybill: Waybill, orchestrator: Orchestrator, tenant: str
) -> None:
    result = waybill("runs", "--tenant", tenant)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    assert result.stderr.splitlines()[0].startswith("error: TENANT_INVALID: ")


@pytest.mark.parametrize("line", ["--help", "ingest --help", "--version"])
def test_help_and_version_end_as_any_command_where_the_reader_has_gone(line: str) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    done = subprocess.run(
        (*COMMAND, *line.split()), stdout=writable, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writable)
    assert (done.returncode, done.stderr) == (Exit.PIPE_CLOSED, "")


@pytest.mark.parametrize(
    "name",
    ["a b.txt", "two  blanks.txt", "it's \u202egnp.exe", "tab\t'\\n' and \x1b[31m.txt", "\x9bé\u2028.md"],
)
def test_a_name_in_a_command_to_try_is_harmless_and_still_that_name(name: str) -> None:
    words = quoted(name)
    assert all(plain(one) == one for one in words if one != " ")
    shown = subprocess.run(
        ["bash", "-c", f"printf %s {words}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert shown.stdout.decode() == name


@pytest.mark.parametrize(
    ("command", "usage"), [("ingest", "{PATH}..."), ("bill", "[ID]"), ("delete", "[DOCUMENT_KEY]")]
)
def test_a_usage_line_brackets_each_argument_once(command: str, usage: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).stdout
    assert f"Usage: waybill {command} [OPTIONS] {usage} " in shown.replace("\n", " ")
