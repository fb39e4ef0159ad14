"""The CLI against stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from tests.cli.fakes import Ledger, Orchestrator, serving
from waybill.cli.main import app

Waybill = Callable[..., Result]


@pytest.fixture
def orchestrator() -> Orchestrator:
    """An empty one."""
    return Orchestrator()


@pytest.fixture
def ledger() -> Ledger:
    """An empty one."""
    return Ledger()


@pytest.fixture
def waybill(orchestrator: Orchestrator, ledger: Ledger) -> Iterator[Waybill]:
    """Runs the command at 60 columns without a terminal; `input` is typed, other keywords are variables."""
    with serving(orchestrator, ledger) as addresses:

        def run(*arguments: str, input: str | None = None, **environ: str) -> Result:
            env = {"COLUMNS": "60", **addresses, **environ}
            return CliRunner().invoke(app, arguments, input=input, env=env)

        yield run
