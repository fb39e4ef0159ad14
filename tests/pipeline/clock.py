"""The wall clock of a stack's services, as a test sets it; Postgres keeps its own."""

from __future__ import annotations

import datetime
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """A clock that is off by as much as is wanted.

    Args:
        folder: Where its parts are put.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("cc") is None:
            pytest.skip("needs cc")
        self._offset, library = folder / "offset", folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)], check=True)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._offset)}
        self.set(0)

    def now(self) -> datetime.datetime:
        """What the services take for the time, in UTC."""
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self._seconds)

    def advance(self, **time: float) -> None:
        """Steps it forward, by so many `hours`, `minutes` or `seconds`."""
        self.set(self._seconds + int(datetime.timedelta(**time).total_seconds()))

    def set(self, seconds: int) -> None:
        """Steps it to so much after the real time."""
        self._seconds = seconds
        self._offset.touch()
        with self._offset.open("r+b") as file:
            file.write(struct.pack("@l", seconds))
