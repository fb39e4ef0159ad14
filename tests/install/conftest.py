"""A wheel of this checkout, and fresh environments that it is installed into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from waybill.runtime.places import ROOT

# Of the one who runs the tests; in a fresh environment nothing of it is meant.
FOREIGN = ("PYTHONPATH", "VIRTUAL_ENV", "WAYBILL_HOME")


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Args:
        folder: Where it is.
        work: An empty folder to run commands in.
    """

    folder: Path
    work: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its programs, named without a path, in the work folder, with more variables."""
        command, told = [self.folder / "bin" / words[0], *words[1:]], {**environ(), **more}
        return subprocess.run(command, cwd=self.work, env=told, capture_output=True, text=True)


def environ() -> Mapping[str, str]:
    """What the commands get: ours, without what leads to this checkout."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


def uv(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs uv in the checkout."""
    return subprocess.run(["uv", *words], cwd=ROOT, env=environ(), capture_output=True, text=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, extra: str, *others: str) -> Environment:
    """A fresh environment with the wheel, in versions that the lock file names."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed, and pip would take minutes")
    made = Environment(folder / "environment", folder / "an empty folder")
    made.work.mkdir()
    assert uv("venv", "--python", sys.executable, made.folder).returncode == 0
    into = ("pip", "install", "--python", made.python)
    reached = uv(*into, "--dry-run", "grpcio")
    if reached.returncode:
        pytest.skip(f"no package index can be reached: {reached.stderr}")
    wanted = f"waybill{extra} @ {wheel.as_uri()}"
    result = uv(*into, "-c", ROOT / "requirements-dev.lock", wanted, *others)
    assert result.returncode == 0, result.stderr
    return made
