"""The whole stack, as processes, on free ports."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.pipeline.clock import Clock
from tests.pipeline.workbench import Workbench, own_stack
from waybill.stack.home import Home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The state folder of a stack that runs for the session; what a test kills comes back.

    A module that needs another stack has a `home` of its own, which `bench` then is about.
    """
    with own_stack(tmp_path_factory) as home:
        yield home


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """A wall clock for the stack of a module, which starts it with `clock.environment`."""
    return Clock(open_folder(tmp_path_factory))


@pytest.fixture
def bench(home: Home, tmp_path: Path) -> Iterator[Workbench]:
    """The stack, seen by a tenant of the test's own."""
    with Workbench.of(home, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench:
        yield bench
        bench.disarm()
