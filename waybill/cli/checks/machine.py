"""This machine and what it sends to others: room on the disk, and who gets spans and alerts."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import grpc

from waybill.cli.checks.check import RESTART
from waybill.cli.checks.finding import Finding, State, why_silent
from waybill.money_settings import ALERT_WEBHOOK_SECRET, ALERT_WEBHOOK_SECRET_FILE, ALERT_WEBHOOK_URL
from waybill.runtime import settings as declared
from waybill.runtime.public_address import may_be_reached
from waybill.runtime.tls import Closed, channel_credentials, is_tls, target
from waybill.settings import HOME
from waybill.stack.home import Home

# Room for one largest object twice over, and for what Postgres writes beside its tables.
LEAST_FREE_BYTES = 2_000_000_000
SECONDS = 3.0


class Usage(Protocol):
    """What `shutil.disk_usage` answers."""

    @property
    def free(self) -> int:
        """Bytes."""


def findings(
    home: Home, settings: Mapping[str, str], usage: Callable[[Path], Usage] = shutil.disk_usage
) -> Iterator[Finding]:
    """What the machine says.

    Args:
        home: The state folder.
        settings: Those in force.
        usage: How full the disk is that a folder is on.
    """
    yield _disk(home, usage)
    yield _telemetry(settings)
    yield _alerts(settings)


def _disk(home: Home, usage: Callable[[Path], Usage]) -> Finding:
    folder = next(one for one in (home.folder, *home.folder.parents) if one.exists())
    free = usage(folder).free
    detail = f"{free / 1e9:.1f} GB are free at {folder}"
    if free < LEAST_FREE_BYTES:
        mend = f"make room there, or move it: {HOME.name} names another folder"
        return Finding("disk", State.FAILED, f"{detail}, and {LEAST_FREE_BYTES / 1e9:.0f} are needed", mend)
    return Finding("disk", State.OK, detail)


def _telemetry(settings: Mapping[str, str]) -> Finding:
    endpoint = settings.get(declared.OTEL_ENDPOINT.name, "")
    if not endpoint:
        return Finding("telemetry", State.OK, "spans go to the orchestrator alone: `waybill trace`")
    mend = f"export {declared.OTEL_ENDPOINT.name}=http://host:4317, or unset it; {RESTART}"
    address = endpoint.removeprefix("http://").rstrip("/")
    try:
        place = urlsplit(f"//{target(address)}")
        host, port = place.hostname or "", place.port
    except ValueError:
        host, port = "", None
    if "://" not in endpoint or not host or port is None:
        return Finding("telemetry", State.FAILED, f"{endpoint} is no http://host:port", mend)
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        detail = f"{endpoint} does not answer ({why_silent(error)}): it gets no spans"
        return Finding("telemetry", State.FAILED, detail, mend)
    if not _speaks_grpc(address, settings):
        detail = f"{endpoint} answers, but not by gRPC: it gets no spans. OTLP/gRPC is mostly at 4317"
        return Finding("telemetry", State.FAILED, detail, mend)
    return Finding("telemetry", State.OK, f"spans go to {endpoint}, too")


def _speaks_grpc(address: str, settings: Mapping[str, str]) -> bool:
    ca = settings.get(declared.TLS_CA_FILE.name, "")
    if is_tls(address):
        channel = grpc.secure_channel(target(address), channel_credentials(Path(ca) if ca else None))
    else:
        channel = grpc.insecure_channel(address)
    with channel:
        try:
            grpc.channel_ready_future(channel).result(SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _alerts(settings: Mapping[str, str]) -> Finding:
    url = settings.get(ALERT_WEBHOOK_URL.name, "")
    if not url:
        detail = "no webhook is set; alerts are in the log and in `waybill budget show`"
        return Finding(
            "alerts", State.SKIPPED, detail, f"export {ALERT_WEBHOOK_URL.name}=https://…; {RESTART}"
        )
    if not any(settings.get(one.name) for one in (ALERT_WEBHOOK_SECRET, ALERT_WEBHOOK_SECRET_FILE)):
        detail = "the webhook has no secret to sign with"
        mend = f"export {ALERT_WEBHOOK_SECRET.name}=whsec_…; {RESTART}"
        return Finding("alerts", State.FAILED, detail, mend)
    return _receiver(url, loopback=settings.get(declared.ENV.name) != "production")


def _receiver(url: str, *, loopback: bool) -> Finding:
    """Whether alerts come through; the connection alone is tried, and nothing is sent."""
    mend = f"export {ALERT_WEBHOOK_URL.name}=https://…, one that answers; {RESTART}"
    try:
        place = urlsplit(url)
        host, port = place.hostname or "", place.port or (80 if place.scheme == "http" else 443)
        private = not all(may_be_reached(one, loopback=loopback) for one in _addresses(host, port))
        if private:
            return Finding("alerts", State.FAILED, f"{host} is a private address, which gets none", mend)
        with socket.create_connection((host, port), SECONDS) as connection:
            if place.scheme == "https":
                context = ssl.create_default_context()
                context.sslsocket_class = Closed
                context.wrap_socket(connection, server_hostname=host).close()
    except (OSError, ValueError) as error:
        return Finding("alerts", State.FAILED, f"{host} does not answer ({why_silent(error)})", mend)
    return Finding("alerts", State.OK, f"signed, to {host}, which answers")


def _addresses(host: str, port: int) -> Iterator[str]:
    """Raises OSError where the name leads nowhere."""
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        yield str(place[0]).partition("%")[0]
