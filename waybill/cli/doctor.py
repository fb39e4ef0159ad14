"""`waybill doctor`: is all there that the services need of others, and which command mends what is not.

A vendor is asked only for what costs nothing.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, urlsplit

import typer
from rich.text import Text

from waybill.cli.plain import plain
from waybill.cli.session import Json
from waybill.cli.stack import at_home
from waybill.llamaparse_settings import LLAMA_CLOUD_REQUESTS_PER_MINUTE
from waybill.settings import MASK
from waybill.stack import operate, process
from waybill.stack.home import Home
from waybill.stack.state import StackState
from waybill.stack.table import at_simulators
from waybill.vendors.llamaparse import REGIONS, VERSIONS, webhook_fault
from waybill.vendors.registry import LLAMAPARSE, VENDORS, Vendor

SECONDS = 10.0
RESTART = "waybill restart"


class State(StrEnum):
    """How a check ended."""

    OK = "OK"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


_STYLES = {State.OK: "green", State.SKIPPED: "dim", State.FAILED: "bold red"}


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
    with at_home(as_json) as (screen, home):
        found = operate.running(home)
        settings = settings_in_force(found, os.environ)
        findings = [*_stack(home), _asked(found)]
        findings += (one for vendor in VENDORS for one in vendor_findings(vendor, settings))
        if as_json:
            screen.emit({"findings": [asdict(finding) for finding in findings]})
        for finding in () if as_json else findings:
            screen.tell(_line(finding))
            if finding.mend:
                screen.tell(Text(f"         next: {finding.mend}"))
        raise typer.Exit(any(finding.state is State.FAILED for finding in findings))


def _line(finding: Finding) -> Text:
    state = (f"{finding.state:<8}", _STYLES[finding.state])
    return Text.assemble(state, f" {finding.check:<20} {plain(finding.detail)}")


def _stack(home: Home) -> Iterator[Finding]:
    found = operate.status(home)
    lines = (*found.services, found.postgres)
    ill = [line.name for line in lines if line.health != "SERVING"]
    if not any(line.pid for line in lines):
        yield Finding("stack", State.FAILED, "no stack is running", "waybill up")
    elif ill:
        yield Finding("stack", State.FAILED, f"not SERVING: {', '.join(ill)}", "waybill health; waybill logs")
    else:
        yield Finding("stack", State.OK, f"{len(lines)} programs are SERVING")


def _asked(found: StackState | None) -> Finding:
    whose = "of this shell, as no stack runs" if found is None else "of the running stack"
    return Finding("settings", State.OK, whose)


def settings_in_force(found: StackState | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What the running stack was started with; ours where none runs.

    A key of the stack's is masked where the system does not show what its process was started with.
    """
    if found is None:
        return environ
    told = process.environment(found.supervisor.pid) or found.settings
    return {**told, **at_simulators(found.addresses)}


def vendor_findings(vendor: Vendor, settings: Mapping[str, str]) -> Iterator[Finding]:
    """What a vendor, or who stands in for it, says to the settings."""
    given = {
        name.removeprefix(vendor.settings): value
        for name, value in settings.items()
        if name.startswith(vendor.settings)
    }
    region = given.get("REGION", "")
    key, base = _key(vendor, given), given.get(vendor.address) or REGIONS.get(region, vendor.base_url)
    subject = given.get(vendor.subject.upper()) or vendor.default_subject
    if not key:
        if settings.get(f"{vendor.service.upper()}_BACKEND") == vendor.name:
            yield Finding(f"{vendor.name} key", State.FAILED, "none is set", _mend(vendor, vendor.key))
        else:
            detail = f"none is set; the local {vendor.service} needs none"
            yield Finding(f"{vendor.name} key", State.SKIPPED, detail)
        return
    if key == MASK:
        yield Finding(f"{vendor.name} key", State.SKIPPED, "of the stack; this system does not show it")
        return
    reached = f"{vendor.name} reachability"
    try:
        reply = _ask(f"{base.rstrip('/')}/{vendor.question.format(quote(subject, safe=''))}", key)
    except (OSError, http.client.HTTPException, ValueError) as error:
        detail = f"{base} does not answer ({type(error).__name__})"
        theirs = base.rstrip("/") in {vendor.base_url, *REGIONS.values()}
        mend = f"curl -sS {base} shows what this machine's network refuses"
        change = _mend(vendor, vendor.address, vendor.base_url)
        yield Finding(reached, State.FAILED, detail, mend if theirs else change)
        return
    yield Finding(reached, State.OK, f"{base} answers")
    yield _key_finding(vendor, reply)
    yield _subject_finding(vendor, reply, subject)
    if vendor is LLAMAPARSE:
        yield from _llamaparse(given, base)
    else:
        yield _limits(vendor, reply)


def _llamaparse(given: Mapping[str, str], base: str) -> Iterator[Finding]:
    """What only this vendor has: regions, a plan's rate that it does not tell, versions, webhooks."""
    name = LLAMAPARSE.name
    region = next((one for one, url in REGIONS.items() if url == base.rstrip("/")), "")
    yield Finding(f"{name} region", State.OK, region or f"none of {', '.join(REGIONS)}: {base}")
    rate = given.get("REQUESTS_PER_MINUTE") or (LLAMA_CLOUD_REQUESTS_PER_MINUTE.default if region else "0")
    limit = "no limit" if rate == "0" else f"{rate} requests a minute"
    yield Finding(f"{name} rate", State.OK, f"{limit}, as set; the free plan allows 20")
    tier = given.get("TIER") or LLAMAPARSE.default_subject
    yield Finding(f"{name} version", State.OK, f"{tier} {given.get('VERSION') or VERSIONS.get(tier, '')}")
    hook = given.get("WEBHOOK_URL", "")
    fault = webhook_fault(hook) if hook else ""
    if fault:
        yield Finding(f"{name} webhook", State.FAILED, fault, _mend(LLAMAPARSE, "WEBHOOK_URL", "https://…"))
    else:
        detail = hook or "none is set; parses are looked at instead"
        yield Finding(f"{name} webhook", State.OK if hook else State.SKIPPED, detail)


def _mend(vendor: Vendor, setting: str, value: str = "…") -> str:
    return f"export {vendor.settings}{setting}={value}; {RESTART}"


def _key(vendor: Vendor, given: Mapping[str, str]) -> str:
    if file := given.get(f"{vendor.key}_FILE"):
        try:
            return next(iter(Path(file).read_text(encoding="utf-8").split()), "")
        except OSError:
            return ""
    return given.get(vendor.key, "")


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
        return Finding(check, State.FAILED, "refused", _mend(vendor, vendor.key))
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
