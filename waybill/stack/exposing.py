"""What others than this machine's reach of a stack, and what its callers show."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from waybill.runtime.auth_settings import AUTH, certificate, lacking_to_be_open
from waybill.runtime.config import Settings, backend_of
from waybill.runtime.errors import Precondition
from waybill.runtime.settings import BIND
from waybill.runtime.tls import is_loopback
from waybill.settings import EMBEDDER_ALSO
from waybill.vendors.registry import VENDORS

# What the command line and `connect()` call; parser and embedder are called by the orchestrator alone.
SERVICES = ("orchestrator", "storage", "ledger")
FIRST_PORT = 7441


def public(environ: Mapping[str, str]) -> Mapping[str, str]:
    """host:port beyond loopback, by service; none where WAYBILL_BIND is not set.

    Raises:
        Precondition: BIND_REFUSED: it is loopback or no address, or what such an address needs is not set;
            the text names all that is missing.
    """
    bind = environ.get(BIND.name, "")
    if not bind:
        return {}
    host, first = _split(bind)
    if is_loopback(f"{host}:0"):
        raise Precondition(
            "BIND_REFUSED",
            f"{BIND.name} is {bind!r}, but the stack gives each service an address on loopback itself; "
            "`--ports` chooses ports. Name a host that others reach, such as 0.0.0.0, or unset it.",
        )
    settings = Settings(environ)
    if lacking := lacking_to_be_open(settings):
        raise Precondition(
            "BIND_REFUSED",
            f"{BIND.name} is {bind!r}: other machines reach the stack by TLS and with a token only. "
            f"Also set {', '.join(lacking)}.",
        )
    certificate(settings)
    if settings.faults:
        raise Precondition("BIND_REFUSED", f"{'; '.join(settings.faults)}.")
    return {name: f"{host}:{first + place}" for place, name in enumerate(SERVICES)}


def check_free(addresses: Mapping[str, str]) -> None:
    """Raises Precondition BIND_REFUSED where one cannot be listened on."""
    for name, address in addresses.items():
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host.strip("[]"), int(port)))
            except OSError as error:
                said = f"{name} cannot listen on {address}: {error.strerror}."
                raise Precondition("BIND_REFUSED", said) from error


def asks_for_token(environ: Mapping[str, str], mode: str) -> bool:
    """Whether callers show the stack's token: a backend is real, and no JWT is asked for.

    Args:
        environ: What the services inherit.
        mode: WAYBILL_MODE; in `simulator` nothing is real.
    """
    if mode == "simulator" or environ.get(AUTH.name) == "jwt":
        return False
    backends = [
        environ.get(f"{vendor.service.upper()}_BACKEND") or backend_of(mode, vendor.name)
        for vendor in VENDORS
    ]
    return any(one not in ("local", "none", "") for one in [*backends, environ.get(EMBEDDER_ALSO.name, "")])


def _split(bind: str) -> tuple[str, int]:
    """Host and first port. Raises Precondition BIND_REFUSED."""
    host, colon, port = bind.rpartition(":")
    if (bind.startswith("[") and bind.endswith("]")) or not colon:
        return bind, FIRST_PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 65_534:
        raise Precondition("BIND_REFUSED", f"{BIND.name} is {bind!r}; the stack takes a host, or host:port.")
    return host, int(port)
