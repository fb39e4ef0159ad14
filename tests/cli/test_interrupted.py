"""Ctrl-C where a command is not at its work: while it loads, and while it looks on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.cli.fakes import make_screen
from waybill.cli import __main__ as command
from waybill.cli import migrate_space
from waybill.cli.exits import Exit


class Interrupted:
    """A finder of modules: Ctrl-C comes while one is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "waybill.cli.main":
            raise KeyboardInterrupt


def test_a_command_that_still_loads_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "waybill.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as left:
        command.main()
    assert left.value.code == Exit.INTERRUPTED


def test_a_command_whose_options_are_read_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "waybill.cli.main", SimpleNamespace(main=interrupted))
    with pytest.raises(SystemExit) as left:
        command.main()
    assert left.value.code == Exit.INTERRUPTED


def test_who_stops_looking_at_a_migration_is_told_that_it_goes_on() -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    screen, told = make_screen(), StringIO()
    screen.err.file = told
    client = SimpleNamespace(spaces=SimpleNamespace(GetMigration=interrupted))
    here: Any = SimpleNamespace(client=client, screen=screen)
    with pytest.raises(KeyboardInterrupt):
        migrate_space._follow(here, ["default"], True, lambda _: False)
    assert "It goes on in the stack" in told.getvalue()
