"""Files that run elsewhere, beside the code: containers, the locks, the script of the environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from waybill import settings as declared
from waybill.runtime import auth_settings
from waybill.runtime.places import ROOT
from waybill.runtime.server import DRAIN_SECONDS
from waybill.runtime.settings import MODE, Setting
from waybill.settings import ROLES, SETTINGS, password_variable
from waybill.stack.ports import FIXED
from waybill.stack.table import SERVICES
from waybill.vendors.registry import VENDORS

ENVIRONMENT = ROOT / "scripts" / "environment.sh"


@pytest.fixture(scope="module")
def compose() -> Mapping[str, Any]:
    services: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_compose_runs_the_five_services_with_a_probe_each_on_the_fixed_ports(
    compose: Mapping[str, Any],
) -> None:
    assert set(compose) == {"postgres", "migrate", "jaeger", *SERVICES}
    for name in SERVICES:
        service, port = compose[name], FIXED[name]
        assert service["environment"]["WAYBILL_BIND"] == f"0.0.0.0:{port}"
        assert service["environment"][f"WAYBILL_{name.upper()}_ADDRESS"] == f"{name}:{port}"
        assert service["healthcheck"]["test"][-2:] == ["waybill.stack.probe", f"127.0.0.1:{port}"]
        for other, condition in service["depends_on"].items():
            assert other in compose
            jobs = {"migrate": "service_completed_successfully"}
            assert condition["condition"] == jobs.get(other, "service_healthy")


def test_compose_lets_nobody_but_this_machine_in(compose: Mapping[str, Any]) -> None:
    for service in compose.values():
        assert "network_mode" not in service
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_compose_builds_an_image_for_each_service_from_its_own_target(compose: Mapping[str, Any]) -> None:
    targets = re.findall(r"^FROM .* AS (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in (*SERVICES, "migrate"):
        assert (compose[name]["image"], compose[name]["build"]["target"]) == (f"waybill-{name}", name)
        assert name in targets


def test_compose_gives_a_service_longer_to_stop_than_it_drains(compose: Mapping[str, Any]) -> None:
    for name in SERVICES:
        assert int(compose[name]["stop_grace_period"].removesuffix("s")) >= 2 * DRAIN_SECONDS


@pytest.mark.parametrize("name", SERVICES)
def test_compose_passes_on_every_setting_that_a_user_may_change(
    compose: Mapping[str, Any], name: str
) -> None:
    """Those that its config names and those of its vendors, who may call, and the mode; less paths of this
    machine, and less webhooks, for which compose publishes no port."""
    config = (ROOT / "services" / name / "config.py").read_text()
    named = [getattr(declared, word) for word in re.findall(r"declared\.([A-Z_]+)\b", config)]
    own = {setting.name for setting in named if isinstance(setting, Setting)}
    vendors = tuple(vendor.settings for vendor in VENDORS if vendor.service == name)
    own |= {setting for setting in SETTINGS if setting.startswith(vendors)}
    own |= {value.name for value in vars(auth_settings).values() if isinstance(value, Setting)} | {MODE.name}
    not_here = ("_FILE", "_DIR", "_LOCAL_MODEL")
    expected = {one for one in own if not one.endswith(not_here) and "_WEBHOOK_" not in one}
    assert expected <= set(compose[name]["environment"])


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
