"""`waybill config`: each setting that is in force, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from rich.text import Text

from waybill.cli.plain import plain
from waybill.cli.screen import Screen
from waybill.cli.session import Json
from waybill.cli.stack import at_home
from waybill.objects_settings import OBJECTS_HTTP
from waybill.runtime.config import backend_of
from waybill.runtime.settings import MODE, Setting
from waybill.settings import ADDRESSES, HOME, MASK, SETTINGS, shown
from waybill.stack import operate
from waybill.stack.home import Home
from waybill.stack.ports import LINKS
from waybill.stack.state import StackState

DEFAULT, ENVIRONMENT = "default", "environment"
# Read by the command line itself, whatever the running stack was started with.
_OURS = {HOME.name, *(one.name for one in ADDRESSES.values())}


@dataclass(frozen=True, slots=True)
class Line:
    """A setting in force.

    Attributes:
        setting: Its name.
        group: Its heading in docs/configuration.md.
        value: What holds; empty where nothing is set. Secrets are masked.
        source: `default`, `environment`, or the file that says it.
        waiting: What this shell has instead, which a restarted stack will use.
    """

    setting: str
    group: str
    value: str
    source: str
    waiting: str = ""


def config(as_json: Json = False) -> None:
    """Show every setting in force, and where it comes from: default, environment or a file."""
    with at_home(as_json) as (screen, home):
        lines = list(in_force(home, operate.running(home), os.environ))
        if as_json:
            screen.emit({"settings": [asdict(line) for line in lines]})
            return
        told = [line for line in lines if line.value]
        for group in dict.fromkeys(line.group for line in told):
            screen.show(Text(group, "bold"))
            for line in told:
                if line.group == group:
                    _show(screen, line)
        unset = len(lines) - len(told)
        screen.note(f"{unset} others are not set. docs/configuration.md says what each one does.")


def _show(screen: Screen, line: Line) -> None:
    """Two lines where one is too narrow: a value is for copying, and so is never cut."""
    parts = (f"  {line.setting}  ", (plain(line.value), "bold"), (f"  ({plain(line.source)})", "dim"))
    screen.tell(Text.assemble(*parts))
    if line.waiting:
        waiting = f"    {plain(line.waiting)} in this shell; `waybill restart` puts it in force"
        screen.tell(Text(waiting, "yellow"))


def in_force(home: Home, found: StackState | None, environ: Mapping[str, str]) -> Iterator[Line]:
    """Every setting: the running stack's, else what this environment would start.

    Args:
        home: The state folder.
        found: The running stack.
        environ: Ours.
    """
    own = shown(environ)
    for name, one in SETTINGS.items():
        given: Mapping[str, str] = own
        source = ENVIRONMENT
        if found is not None and (name not in _OURS or name not in own):
            given, source = _of(found), str(home.state)
        if name in given:
            value = given[name]
        else:
            value, source = _otherwise(one, home, given)
        waiting = own[name] if found and name in own and own[name] != value else ""
        yield Line(name, one.group, value, source, waiting)


def _of(found: StackState) -> Mapping[str, str]:
    """What the stack was started with, and where its services are."""
    mode = {MODE.name: found.mode}
    doors = {OBJECTS_HTTP.name: found.addresses[LINKS]} if LINKS in found.addresses else {}
    services = {one.name: found.addresses[name] for name, one in ADDRESSES.items()}
    return {**found.settings, **mode, **doors, **services}


def _otherwise(setting: Setting, home: Home, given: Mapping[str, str]) -> tuple[str, str]:
    """What holds for a setting that is not set, and who says so."""
    if setting is HOME:
        return str(home.folder), DEFAULT
    if setting.name.endswith("_BACKEND"):
        mode = given.get(MODE.name) or MODE.default or ""
        return backend_of(mode, setting.choices[-1]), f"{MODE.name}={mode}"
    if file := given.get(f"{setting.name}_FILE"):
        return MASK, file
    return setting.default or setting.otherwise.replace("`", ""), DEFAULT
