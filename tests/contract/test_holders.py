"""Many callers of two ledgers, all of whom are killed: in small what `tests.soak.holders` does for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MigratedPostgres
from tests.soak.holders import Soak, ledger_environment

pytestmark = pytest.mark.slow


def test_no_budget_loses_or_keeps_a_nano_dollar_of_callers_that_were_killed(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    environment = ledger_environment(database.url("ledger"), database.owner_url("ledger"))
    soak = Soak(database.admin_url, environment, tmp_path, seed=1, processes=2, callers=3)
    assert soak.play(kills=4) == []
