"""What a user gets who installs the wheel, and has no checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.install.conftest import Environment, installed
from waybill.runtime.places import ROOT

pytestmark = pytest.mark.slow

PLAIN = "def test_of_ones_own() -> None: pass\n"
WITH_SIMULATOR = "def test_of_a_simulator(openai_simulator) -> None: assert openai_simulator.base_url\n"
HEAVY = """
import sys
def test_the_plugin_brings_nothing_along() -> None:
    assert not {"numpy", "h11", "typer", "grpc"} & set(sys.modules)
"""
# Two kills, 26 chunks of four documents, and five questions. On a busy machine it takes minutes.
DEMO_SECONDS = 600


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An install without extras, and pytest."""
    return installed(wheel, tmp_path_factory.mktemp("bare"), "", "pytest")


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An install of the stack, and pytest."""
    return installed(wheel, open_folder(tmp_path_factory), "[stack]", "pytest")


def readme_script() -> str:
    """The README's Python."""
    (script,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    return str(script)


def test_a_wheel_claims_one_name_and_holds_what_the_stack_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"waybill"}
    assert {"waybill/py.typed", "waybill/bundle/services/ledger/prices.toml"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    # Messages name pages of docs/.
    for folder in ("supabase/migrations", "examples/documents", "docs"):
        files = (file for file in (ROOT / folder).iterdir() if file.is_file())
        wanted = {f"waybill/bundle/{folder}/{file.name}" for file in files}
        assert wanted <= set(names)


def test_a_plain_install_is_grpc_and_protobuf_alone(bare: Environment) -> None:
    script = "import waybill; from waybill.client import connect; connect('127.0.0.1:1').close()"
    assert bare.run("python", "-c", script).stderr == ""
    metadata = bare.run("python", "-c", "from importlib.metadata import metadata; print(metadata('waybill'))")
    assert "License-Expression: MIT" in metadata.stdout
    assert "Author: The Waybill authors" in metadata.stdout


def test_a_plain_install_leaves_pytest_alone(bare: Environment) -> None:
    (bare.work / "test_own.py").write_text(PLAIN)
    (bare.work / "test_sim.py").write_text(WITH_SIMULATOR)
    done = bare.run("pytest", "-W", "error", "test_own.py")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    asked = bare.run("pytest", "test_sim.py")
    assert asked.returncode == 1
    assert "pip install 'waybill[simulator]'" in asked.stdout


def test_the_command_without_its_extra_says_what_to_install(bare: Environment) -> None:
    done = bare.run("waybill", "status")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: NOT_INSTALLED: This command needs typer.",
        "next:  pip install 'waybill[cli]', or 'waybill[stack]' to run the services here",
    ]


def test_a_type_checker_knows_what_connect_gives(bare: Environment) -> None:
    script = bare.work / "readme.py"
    script.write_text(readme_script() + "\nreveal_type(client)\nreveal_type(run)\n")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(bare.python), script.name]
    done = subprocess.run(mypy, cwd=bare.work, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "waybill.client.Client"' in done.stdout
    assert 'Revealed type is "waybill.orchestrator.v1.run_pb2.Run"' in done.stdout


def test_the_plugin_imports_nothing_until_its_fixture_is_asked_for(whole: Environment) -> None:
    (whole.work / "test_heavy.py").write_text(HEAVY)
    (whole.work / "test_sim.py").write_text(WITH_SIMULATOR)
    done = whole.run("pytest", "-W", "error", "test_heavy.py", "test_sim.py")
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.timeout(DEMO_SECONDS)
def test_the_demo_runs_from_the_wheel_alone(whole: Environment) -> None:
    done = whole.run("waybill", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed in it" in done.stdout
    assert (whole.work / ".waybill").is_dir()
