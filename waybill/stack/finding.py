"""Where the services are and what they are shown: as given, as set, or as the stack here has it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from waybill.runtime.errors import Credential, InvalidRequest, Unavailable
from waybill.settings import ADDRESSES, TOKEN, TOKEN_FILE, unknown
from waybill.stack import home, state

_FIRST = "orchestrator"
_DEFAULTS = {name: one.default or "" for name, one in ADDRESSES.items()}
# Loopback answers or refuses in microseconds; a laden machine may take longer.
_LOOK_SECONDS = 1.0


def addresses(
    given: Mapping[str, str],
    environ: Mapping[str, str],
    start: Path | None = None,
    defaults: Mapping[str, str] = MappingProxyType(_DEFAULTS),
) -> Mapping[str, str]:
    """host:port of each service: given, else of the environment, else of the running stack, else the default.

    Args:
        given: host:port by service.
        environ: Where WAYBILL_<NAME>_ADDRESS and WAYBILL_HOME are read.
        start: The folder to look upward from for a stack's state; the one that we are in by default.
        defaults: host:port by service.

    Raises:
        InvalidRequest: SETTING_UNKNOWN: a variable of ours is misspelt, perhaps the very address.
        Unavailable: NOT_REACHABLE: nothing is given or set, and no stack runs here.
        NotFound: WORKING_FOLDER_GONE.
    """
    named = {name: given.get(name) or environ.get(one.name, "") for name, one in ADDRESSES.items()}
    if all(named.values()):
        return named
    if faults := list(unknown(environ)):
        raise InvalidRequest("SETTING_UNKNOWN", f"{'; '.join(faults)}.")
    file = home.find(environ, start).state
    running, seen = _running(file)
    if not any(named.values()) and not running and not _answers(defaults[_FIRST]):
        tried = f"{ADDRESSES[_FIRST].name} (not set), {file} ({seen}), {defaults[_FIRST]} (nothing answers)"
        raise Unavailable("NOT_REACHABLE", f"No stack runs here. Tried {tried}.")
    return {name: address or running.get(name, defaults[name]) for name, address in named.items()}


def token(environ: Mapping[str, str]) -> Callable[[], str]:
    """What calls show: WAYBILL_TOKEN, else what WAYBILL_TOKEN_FILE holds at that moment, else nothing.

    The answer raises Credential TOKEN_UNREADABLE where the file cannot be read.
    """
    given, file = environ.get(TOKEN.name, ""), environ.get(TOKEN_FILE.name, "")
    return partial(_of_file, Path(file)) if file and not given else lambda: given


def _of_file(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Credential("TOKEN_UNREADABLE", f"{TOKEN_FILE.name} is {file}: {why}.") from None


def _running(file: Path) -> tuple[Mapping[str, str], str]:
    """The addresses of the stack whose state this is, none if it does not run; and what the file says."""
    try:
        found = state.read(home.Home(file.parent))
    except OSError as error:
        return {}, f"cannot be read: {error.strerror}"
    if found is None:
        return {}, "not there"
    return (found.addresses, "") if found.supervisor.alive() else ({}, "its stack is down")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _LOOK_SECONDS).close()
    except OSError:
        return False
    return True
