"""`waybill doctor`: is all there that the services need of others, and which command mends what is not.

A vendor is asked only for what costs nothing.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, urlsplit

import typer

from waybill.cli.plain import plain
from waybill.cli.stack import Json, here
from waybill.stack import operate
from waybill.stack.table import at_simulators
from waybill.vendors.registry import VENDORS, Vendor

SECONDS = 10.0
RESTART = "waybill down && waybill up"


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


@dataclass(frozen=True, slots=True)
class Reply:
    """What a vendor answered to the free question."""

    status: int
    headers: Mapping[str, str]


def doctor(as_json: Json = False) -> None:
    """Check the stack, and key, model, limits and reachability of vendors; exit 0 only when none failed."""
    settings = _settings(os.environ)
    findings = [*_stack(), *(one for vendor in VENDORS for one in vendor_findings(vendor, settings))]
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<8} {finding.check:<20} {plain(finding.detail)}")
            if finding.mend:
                typer.echo(f"         mend it: {finding.mend}")
    raise typer.Exit(any(finding.state is State.FAILED for finding in findings))


def _stack() -> Iterator[Finding]:
    found = operate.status(here())
    lines = (*found.services, found.postgres)
    ill = [line.name for line in lines if line.health != "SERVING"]
    if not any(line.pid for line in lines):
        yield Finding("stack", State.FAILED, "no stack is running", "waybill up")
    elif ill:
        yield Finding("stack", State.FAILED, f"not SERVING: {', '.join(ill)}", f"waybill health; {RESTART}")
    else:
        yield Finding("stack", State.OK, f"{len(lines)} programs are SERVING")


def _settings(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Ours, or those of the running stack where it started a simulator."""
    found = operate.running(here())
    return {**environ, **at_simulators(found.addresses if found else {})}


def vendor_findings(vendor: Vendor, settings: Mapping[str, str]) -> Iterator[Finding]:
    """What a vendor, or who stands in for it, says to the settings."""
    given = {
        name.removeprefix(vendor.settings): value
        for name, value in settings.items()
        if name.startswith(vendor.settings)
    }
    key, base = _key(given), given.get("BASE_URL") or vendor.base_url
    subject = given.get(vendor.subject.upper()) or vendor.default_subject
    if not key:
        if settings.get(f"{vendor.service.upper()}_BACKEND") == vendor.name:
            yield Finding(f"{vendor.name} key", State.FAILED, "none is set", _mend(vendor, "API_KEY"))
        else:
            detail = f"none is set; the local {vendor.service} needs none"
            yield Finding(f"{vendor.name} key", State.SKIPPED, detail)
        return
    reached = f"{vendor.name} reachability"
    try:
        reply = _ask(f"{base.rstrip('/')}/{vendor.question.format(quote(subject, safe=''))}", key)
    except (OSError, http.client.HTTPException, ValueError) as error:
        detail = f"{base} does not answer ({type(error).__name__})"
        yield Finding(reached, State.FAILED, detail, _mend(vendor, "BASE_URL", vendor.base_url))
        return
    yield Finding(reached, State.OK, f"{base} answers")
    yield _key_finding(vendor, reply)
    yield _subject_finding(vendor, reply, subject)
    yield _limits(vendor, reply)


def _mend(vendor: Vendor, setting: str, value: str = "…") -> str:
    return f"export {vendor.settings}{setting}={value}; {RESTART}"


def _key(given: Mapping[str, str]) -> str:
    if file := given.get("API_KEY_FILE"):
        try:
            return next(iter(Path(file).read_text(encoding="utf-8").split()), "")
        except OSError:
            return ""
    return given.get("API_KEY", "")


def _ask(url: str, key: str) -> Reply:
    """One request, no redirect: the key goes to this host alone."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", parts.path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


def _key_finding(vendor: Vendor, reply: Reply) -> Finding:
    check = f"{vendor.name} key"
    if reply.status == 401:
        return Finding(check, State.FAILED, "refused", _mend(vendor, "API_KEY"))
    if reply.status == 403:
        detail = f"accepted, but it may not use this {vendor.subject} or {vendor.access.lower()}"
        return Finding(check, State.FAILED, detail, _mend(vendor, vendor.access))
    return Finding(check, State.OK, "accepted")


def _subject_finding(vendor: Vendor, reply: Reply, subject: str) -> Finding:
    check = f"{vendor.name} {vendor.subject}"
    if reply.status == 200:
        return Finding(check, State.OK, subject)
    if reply.status == 404:
        mend = _mend(vendor, vendor.subject.upper(), vendor.default_subject)
        return Finding(check, State.FAILED, f"{subject} is not there", mend)
    state = State.SKIPPED if reply.status in (401, 403) else State.FAILED
    mend = "" if state is State.SKIPPED else "waybill doctor (again in a minute: the vendor has trouble)"
    return Finding(check, state, f"not told: HTTP {reply.status}", mend)


def _limits(vendor: Vendor, reply: Reply) -> Finding:
    check = f"{vendor.name} limits"
    told = {unit: reply.headers.get(f"x-ratelimit-limit-{unit}", "") for unit in ("requests", "tokens")}
    if not all(told.values()):
        return Finding(check, State.SKIPPED, "told by the vendor with each call that is charged, not here")
    return Finding(check, State.OK, f"{told['requests']} requests, {told['tokens']} tokens a minute")
