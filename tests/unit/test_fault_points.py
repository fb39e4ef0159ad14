"""Faults that a test arms: who is held goes on when it is let."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import turns, until
from waybill.runtime import faults


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Path]:
    """The folder of this process's faults."""
    faults.arm("parser", tmp_path)
    yield tmp_path
    faults.arm("", None)


async def test_who_is_held_stands_still_until_the_used_file_is_taken_away_and_holds_nobody_else(
    armed: Path,
) -> None:
    used = armed / "parser.parse.done.used"
    (armed / "parser.parse.done").write_text("hold")
    held = asyncio.create_task(faults.point("parse.done"))
    await until(used.exists)
    await faults.point("parse.done")
    await turns(10)
    assert not held.done()
    used.unlink()
    await held
