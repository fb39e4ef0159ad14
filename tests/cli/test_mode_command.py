"""`waybill mode`: what it shows, what it asks for, and what it says of spaces."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from tests.cli.fakes import Ledger, Modes, Orchestrator, serving
from tests.cli.test_commands import documented
from waybill.cli.main import app
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.orchestrator.v1.mode_service_pb2 import SetModeRequest


def asked(modes: Modes, *words: str) -> Result:
    """The command against a stand-in."""
    with serving(Orchestrator(), Ledger(), modes) as env:
        return CliRunner().invoke(app, ["mode", *words], env={"COLUMNS": "60", **env})


def test_it_shows_each_service_its_mode_and_who_works() -> None:
    modes = Modes()
    modes.found[1].choice.backend, modes.found[1].choice.reason = "", "VENDOR_UNREACHABLE"
    answer = asked(modes)
    lines = answer.stdout.splitlines()
    assert [line.split()[:3] for line in lines[-3:]] == [
        ["parser", "hybrid", "llamaparse"],
        ["embedder", "hybrid", "nobody"],
        ["storage", "local", "local"],
    ]
    assert all("settings" in line for line in lines[-3:])
    assert "embedder: its vendor does not serve (VENDOR_UNREACHABLE)" in answer.stderr
    shown = json.loads(asked(modes, "--json").stdout)["services"]
    assert [list(one) for one in shown] == [documented("mode of a service")] * 3
    assert modes.asked == []


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["hybrid"], SetModeRequest(mode=Mode.MODE_HYBRID)),
        (["local", "--service", "parser"], SetModeRequest(mode=Mode.MODE_LOCAL, services=["parser"])),
        (["real"], SetModeRequest(mode=Mode.MODE_REAL, vendor_kind=CostKind.COST_KIND_REAL)),
        (["simulator"], SetModeRequest(mode=Mode.MODE_REAL, vendor_kind=CostKind.COST_KIND_SIMULATED)),
        (["default"], SetModeRequest()),
    ],
    ids=str,
)
def test_each_word_is_its_request(words: list[str], request_: SetModeRequest) -> None:
    modes = Modes()
    assert asked(modes, *words).exit_code == 0
    assert modes.asked == [request_]


def test_a_vendor_that_is_a_simulator_is_called_so() -> None:
    shown = json.loads(asked(Modes(), "simulator", "--json").stdout)["services"]
    assert [(one["mode"], one["source"], one["set_by"]) for one in shown[:2]] == [
        ("simulator", "switch", "local")
    ] * 2


def test_a_switch_to_another_model_says_what_becomes_of_searches() -> None:
    assert "found by its words alone" in " ".join(asked(Modes(), "local").stderr.split())
    assert "words" not in asked(Modes(), "real").stderr


def test_a_service_without_a_mode_is_a_mistake_of_the_command_line() -> None:
    assert asked(Modes(), "--service", "parser").exit_code == 2
    assert asked(Modes(), "sometimes").exit_code == 2
