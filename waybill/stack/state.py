"""What the supervisor tells the rest of the machine: one JSON file, written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from waybill.runtime.settings import MODE
from waybill.stack.given import Given
from waybill.stack.home import Home, write_private
from waybill.stack.ports import mode_of
from waybill.stack.process import Process


class Phase(StrEnum):
    """How far the stack is."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class ProgramState:
    """A program's present process and how often it was started again."""

    process: Process
    restarts: int = 0


@dataclass(frozen=True)
class StackState:
    """The stack as its supervisor last saw it.

    Args:
        supervisor: Who wrote this; a dead one's word is history.
        phase: How far it is.
        addresses: host:port by name, Postgres among them.
        programs: By name.
        failure: Why it is FAILED.
        settings: The variables that it was started with, by name; secrets are masked.
        database: The Postgres that it was given; None where it has one of its own.
    """

    supervisor: Process
    phase: Phase
    addresses: Mapping[str, str]
    programs: Mapping[str, ProgramState] = field(default_factory=dict)
    failure: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    database: Given | None = None

    @property
    def mode(self) -> str:
        """The mode that it was started in."""
        return self.settings.get(MODE.name) or mode_of(self.addresses)

    def changed(self, phase: Phase, programs: Mapping[str, ProgramState], failure: str = "") -> StackState:
        """The next state."""
        return replace(self, phase=phase, programs=programs, failure=failure)


def write(home: Home, state: StackState) -> None:
    """Replaces the file."""
    write_private(home.state, json.dumps(asdict(state), indent=1))


def read(home: Home) -> StackState | None:
    """The last word, alive or not; None when there never was one."""
    try:
        raw = json.loads(home.state.read_text())
    except FileNotFoundError:
        return None
    programs = {
        name: ProgramState(Process(**program["process"]), program["restarts"])
        for name, program in raw["programs"].items()
    }
    return StackState(
        Process(**raw["supervisor"]),
        Phase(raw["phase"]),
        raw["addresses"],
        programs,
        raw["failure"],
        raw.get("settings", {}),
        Given(**raw["database"]) if raw.get("database") else None,
    )
