"""What is asked where nobody can answer."""

from __future__ import annotations

import sys

import pytest
import typer

from tests.cli.fakes import make_screen
from waybill.cli.asking import agree
from waybill.cli.exits import Exit


def test_a_closed_standard_input_agrees_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(typer.Exit) as left:
        agree(make_screen(), "Delete it?", yes=False)
    assert left.value.exit_code == Exit.REFUSED
