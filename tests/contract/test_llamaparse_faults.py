"""Fault by fault: what becomes of a document, what goes over the wire, and whose money it was."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import MigratedPostgres
from tests.contract.llamaparse_faults import CANCELLED, HURRIED, ROWS, Row
from tests.contract.makers_faults import Outcome, hurried_stage, stage
from tests.contract.makers_llamaparse import Hurry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GROUPS = [[*rows] for _, rows in itertools.groupby(ROWS, lambda row: int(row.name[1:]) // 6)]


@pytest.mark.parametrize("rows", GROUPS, ids=[f"{rows[0].name}-{rows[-1].name}" for rows in GROUPS])
async def test_each_fault_ends_as_the_table_says_and_the_bill_is_the_invoice(
    database: MigratedPostgres, tmp_path: Path, rows: Sequence[Row]
) -> None:
    async with stage(database, tmp_path) as one:
        for row in rows:
            _hold_to(row, await one.played(row))


async def test_a_long_retry_after_is_waited_for_and_the_parse_is_bought_once(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with hurried_stage(database, tmp_path, clock := Hurry()) as one:
        for row in HURRIED:
            _hold_to(row, await one.played(row))
    assert clock.seconds >= 120


async def test_a_parse_that_is_cancelled_ends_as_the_table_says(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with stage(database, tmp_path) as one:
        for row in CANCELLED:
            _hold_to(row, await one.played(row, cancel=True))


def _hold_to(row: Row, came: Outcome) -> None:
    expected = (
        row.answer, row.failed_pages, row.creates, row.jobs, row.settled, row.released, row.doubt, 0, 0,
    )  # fmt: skip
    got = (
        came.answer, came.failed_pages, came.creates, came.jobs, came.settled, came.released, came.doubt,
        came.held, came.violations,
    )  # fmt: skip
    assert got == expected, (row.fault, came)
    assert came.owed <= came.invoice <= came.owed + came.uncertain, (row.fault, came)


def test_every_fault_of_the_catalogue_has_a_row() -> None:
    named = {row.name for row in (*ROWS, *HURRIED, *CANCELLED)}
    assert {f"F{number:02}" for number in range(1, 44)} <= named
    # As the simulator's catalogue names them: a variant is a fault of its own.
    of_f02 = {row.fault.partition(":")[0] for row in (*ROWS, *HURRIED) if row.name == "F02"}
    assert of_f02 == {f"F02/{variant}" for variant in ("0", "1", "120", "date", "garbage")}
