"""`waybill logs`: what the stack's programs have written, in the order of its times."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from waybill.cli.plain import plain
from waybill.cli.screen import Screen
from waybill.cli.session import Json
from waybill.cli.stack import at_home
from waybill.runtime.errors import NotFound
from waybill.stack.home import Home

LOOK_SECONDS = 0.3
# Of each file's end, for the lines to show first.
_TAIL_BYTES = 512 * 1024
# As Postgres begins its lines, and our services' `timestamp`.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?")
# Said at the line's head, or of no use there.
_HEAD = ("timestamp", "service", "level", "event", "exception")
_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log. `time` sorts as text; of a line that has none, it is that of the line before."""

    time: str
    fields: Mapping[str, Any]


def logs(
    service: Annotated[str, typer.Argument(help="One program's; all when absent.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay, and show what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Newest lines to begin with.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what the stack's programs have written."""
    with at_home(as_json) as (screen, home):
        files = [_File(path) for path in _paths(home, service)]
        newest = sorted((line for file in files for line in file.new()), key=lambda line: line.time)
        _show(screen, newest[-lines:] if lines else [])
        pause = threading.Event()
        while follow:
            pause.wait(LOOK_SECONDS)
            _show(screen, sorted((line for file in files for line in file.new()), key=lambda line: line.time))


def _paths(home: Home, service: str) -> Sequence[Path]:
    paths = sorted(home.logs.glob("*.log"))
    if service and home.log(service) not in paths:
        known = ", ".join(path.stem for path in paths) or "none at all"
        raise NotFound(
            "SERVICE_UNKNOWN", f"There is no log of {service!r} in {home.logs}; there are {known}."
        )
    return [home.log(service)] if service else paths


class _File:
    """A log that grows, and is set aside when it is large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = max(0, path.stat().st_size - _TAIL_BYTES)
        self._time = ""

    def new(self) -> Iterator[Line]:
        """The whole lines since the last look."""
        with self._path.open("rb") as file:
            if self._path.stat().st_size < self._place:
                self._place = 0
            file.seek(self._place)
            whole, end, _ = file.read().rpartition(b"\n")
        self._place += len(whole) + len(end)
        for text in whole.decode(errors="replace").splitlines():
            fields = self._fields(text)
            found = _TIME.match(str(fields.get("timestamp", text)))
            self._time = found[0].replace(" ", "T") if found else self._time
            yield Line(self._time, fields)

    def _fields(self, text: str) -> Mapping[str, Any]:
        try:
            said = json.loads(text) if text.startswith("{") else None
        except ValueError:
            said = None
        return said if isinstance(said, dict) else {"service": self._path.stem, "event": text}


def _show(screen: Screen, lines: Sequence[Line]) -> None:
    for line in lines:
        if screen.as_json:
            screen.emit(line.fields)
            continue
        fields = line.fields
        said = " ".join(f"{name}={value}" for name, value in fields.items() if name not in _HEAD)
        level = str(fields.get("level", ""))
        text = Text.assemble(
            (f"{line.time[11:19]:<8} {plain(str(fields.get('service', ''))):<12} ", "dim"),
            (plain(str(fields.get("event", ""))), _STYLES.get(level, "")),
            (f"  {plain(said)}" if said else "", "dim"),
        )
        screen.tell(text)
        for row in str(fields.get("exception", "")).splitlines():
            screen.tell(Text(f"  {plain(row)}", "dim"))
