"""Each extra brings what its part needs, and no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.conftest import installed
from waybill.settings import FIXED_PORTS

pytestmark = pytest.mark.slow


def test_the_command_line_alone_does_what_needs_no_stack_and_says_what_the_rest_needs(
    wheel: Path, tmp_path: Path
) -> None:
    made = installed(wheel, tmp_path, "[cli]")
    assert "WAYBILL_CHUNK_TOKENS" in made.run("waybill", "config").stdout
    assert "waybill up" in made.run("waybill", "status").stderr
    for command in ("up", "migrate", "demo"):
        done = made.run("waybill", command)
        assert done.returncode
        assert "pip install 'waybill[stack]'" in done.stderr, command
    assert not list(made.work.iterdir()), "what cannot start leaves no state behind"


@pytest.mark.parametrize("service", FIXED_PORTS)
def test_a_service_needs_its_own_extra_alone(wheel: Path, tmp_path: Path, service: str) -> None:
    made = installed(wheel, tmp_path, f"[{service}]")
    done = made.run("python", "-P", "-m", "waybill.stack.service", service, WAYBILL_BIND="nowhere")
    assert done.returncode == 1
    assert "cannot start, the environment needs mending" in done.stderr
    if service != "embedder":
        assert made.run("python", "-c", "import openai").returncode
