"""Where the services are and what they are shown: as given, as set, or as the stack here has it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from waybill.runtime.auth_settings import STACK_TOKEN
from waybill.runtime.errors import Credential, InvalidRequest, ServiceError, Unavailable
from waybill.runtime.settings import TLS_CA_FILE
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


def token(environ: Mapping[str, str], start: Path | None = None) -> Callable[[str], str]:
    """What a call to an address shows, asked for each call.

    WAYBILL_TOKEN, else what WAYBILL_TOKEN_FILE holds at that moment. Else, at addresses of the stack that
    runs here, that stack's own token where it asks for one; else nothing.

    Args:
        environ: Where those and WAYBILL_HOME are read.
        start: As for `addresses`.

    Returns:
        The token for host:port; raises Credential TOKEN_UNREADABLE where its file cannot be read.
    """
    if given := environ.get(TOKEN.name, ""):
        return lambda _: given
    if named := environ.get(TOKEN_FILE.name, ""):
        return lambda _: _of_file(Path(named), TOKEN_FILE.name)
    try:
        here = home.find(environ, start)
        found = state.read(here)
    except (OSError, ServiceError):
        return lambda _: ""
    if found is None or STACK_TOKEN.name not in found.settings or not found.supervisor.alive():
        return lambda _: ""
    ours = frozenset(found.addresses.values())
    return lambda address: _of_file(here.token, "the stack's token") if address in ours else ""


def ca_file(environ: Mapping[str, str]) -> Path | None:
    """WAYBILL_TLS_CA_FILE."""
    return Path(named) if (named := environ.get(TLS_CA_FILE.name, "")) else None


def _of_file(file: Path, what: str) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Credential("TOKEN_UNREADABLE", f"{what} cannot be read from {file}: {why}.") from None


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
