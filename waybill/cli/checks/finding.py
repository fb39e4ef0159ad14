"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "OK"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and the command that mends what it found; empty where nothing is to be done."""

    check: str
    state: State
    detail: str
    mend: str = ""
