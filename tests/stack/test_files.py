"""What runs elsewhere is checked here as far as it can be: containers by schema and linter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from waybill.runtime.places import ROOT
from waybill.settings import ROLES, password_variable
from waybill.stack.ports import FIXED
from waybill.stack.table import SERVICES

BIN = Path(sys.executable).parent
ENVIRONMENT = ROOT / "scripts" / "environment.sh"


def run(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True)


def test_the_compose_file_keeps_the_schema_of_compose() -> None:
    checker = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    result = run(*checker, "docker-compose.yml")
    assert result.returncode == 0, result.stdout


def test_the_dockerfile_passes_its_linter() -> None:
    result = run(BIN / "hadolint", "Dockerfile")
    assert result.returncode == 0, result.stdout


def test_compose_runs_the_five_services_with_a_probe_each_on_the_fixed_ports() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {"postgres", "migrate", "jaeger", *SERVICES}
    for name in SERVICES:
        address = f"127.0.0.1:{FIXED[name]}"
        assert services[name]["environment"]["WAYBILL_BIND"] == address
        assert services[name]["environment"][f"WAYBILL_{name.upper()}_ADDRESS"] == address
        assert services[name]["healthcheck"]["test"] == ["CMD", "waybill", "health", address]
        for other, condition in services[name]["depends_on"].items():
            assert other in services
            jobs = {"migrate": "service_completed_successfully"}
            assert condition["condition"] == jobs.get(other, "service_healthy")


def test_compose_knows_every_role_and_no_password() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for role in ROLES:
        assert f"{role}:${{{password_variable(role)}}}@" in text


def test_the_locks_name_no_host_and_have_a_hash_for_each_package() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        packages = [line for line in text.splitlines() if not line.startswith(" ")]
        assert all(line.endswith("\\") for line in packages)
        assert not any(line.startswith("waybill") for line in packages)


def test_the_test_environment_holds_the_very_packages_of_the_run_time_one() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.rstrip(" \\") for line in lines if not line.startswith(" ")}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the locks and nothing installed."""
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def environment(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    fake = folder / "fake python"
    fake.write_text(python)
    fake.chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": str(fake)}
    return subprocess.run(["sh", ENVIRONMENT, "run"], cwd=folder, env=environ, capture_output=True, text=True)


def test_an_old_python_is_told_with_what_to_do(bare: Path) -> None:
    result = environment(bare, "#!/bin/sh\nexit 1\n")
    assert result.returncode == 1
    assert "needs Python 3.11" in result.stderr
    assert "make demo PYTHON=" in result.stderr


def test_a_missing_venv_package_is_told_with_what_to_do(bare: Path) -> None:
    no_venv = '#!/bin/sh\ncase "$*" in *venv*) exit 1 ;; -c*print*) echo "$0" ;; esac\n'
    result = environment(bare, no_venv)
    assert result.returncode == 1
    assert "apt install python3-venv" in result.stderr
    assert not (bare / ".venv").exists()
