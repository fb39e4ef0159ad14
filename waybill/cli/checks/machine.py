"""This machine and what it sends to others: room on the disk, and who gets spans and alerts."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from waybill.cli.checks.check import RESTART
from waybill.cli.checks.finding import Finding, State, why_silent
from waybill.money_settings import ALERT_WEBHOOK_SECRET, ALERT_WEBHOOK_SECRET_FILE, ALERT_WEBHOOK_URL
from waybill.runtime import settings as declared
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
    try:
        place = urlsplit(endpoint)
        host, port = place.hostname, place.port or 4317
    except ValueError:
        host, port = None, 0
    if host is None:
        return Finding("telemetry", State.FAILED, f"{endpoint} is no http://host:port", mend)
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        detail = f"{endpoint} does not answer ({why_silent(error)}): it gets no spans"
        return Finding("telemetry", State.FAILED, detail, mend)
    return Finding("telemetry", State.OK, f"spans go to {endpoint}, too")


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
    return Finding("alerts", State.OK, f"signed, to {urlsplit(url).hostname}")
