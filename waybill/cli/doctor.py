"""`waybill doctor`: is all there that the services need of others, and which command mends what is not.

A vendor is asked only for what costs nothing: OpenAI for its model's description.
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

from waybill.cli.inert import inert
from waybill.cli.stack import Json, here
from waybill.stack import operate
from waybill.stack.table import at_simulators

OPENAI = "https://api.openai.com/v1"
MODEL = "text-embedding-3-small"
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
    findings = [*_stack(), *openai_findings(_settings(os.environ))]
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<8} {finding.check:<20} {inert(finding.detail)}")
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
    if found is None or "openai" not in found.addresses:
        return environ
    return {**environ, **at_simulators(found.addresses)}


def openai_findings(settings: Mapping[str, str]) -> Iterator[Finding]:
    """What OpenAI, or who stands in for it, says to the settings."""
    key, base = _key(settings), settings.get("OPENAI_BASE_URL") or OPENAI
    model = settings.get("OPENAI_MODEL") or MODEL
    if not key:
        if settings.get("EMBEDDER_BACKEND") == "openai":
            yield Finding("openai key", State.FAILED, "none is set", f"export OPENAI_API_KEY=…; {RESTART}")
        else:
            yield Finding("openai key", State.SKIPPED, "none is set; the local embedder needs none")
        return
    try:
        reply = _ask(f"{base.rstrip('/')}/models/{quote(model, safe='')}", key)
    except (OSError, http.client.HTTPException, ValueError) as error:
        detail = f"{base} does not answer ({type(error).__name__})"
        yield Finding(
            "openai reachability", State.FAILED, detail, f"export OPENAI_BASE_URL={OPENAI}; {RESTART}"
        )
        return
    yield Finding("openai reachability", State.OK, f"{base} answers")
    yield _key_finding(reply)
    yield _model_finding(reply, model)
    yield _limits(reply)


def _key(settings: Mapping[str, str]) -> str:
    if file := settings.get("OPENAI_API_KEY_FILE"):
        try:
            return next(iter(Path(file).read_text(encoding="utf-8").split()), "")
        except OSError:
            return ""
    return settings.get("OPENAI_API_KEY", "")


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


def _key_finding(reply: Reply) -> Finding:
    if reply.status == 401:
        return Finding("openai key", State.FAILED, "refused", f"export OPENAI_API_KEY=…; {RESTART}")
    if reply.status == 403:
        detail = "accepted, but it may not use this model or project"
        return Finding("openai key", State.FAILED, detail, f"export OPENAI_PROJECT=…; {RESTART}")
    return Finding("openai key", State.OK, "accepted")


def _model_finding(reply: Reply, model: str) -> Finding:
    if reply.status == 200:
        return Finding("openai model", State.OK, model)
    if reply.status == 404:
        return Finding(
            "openai model", State.FAILED, f"{model} is not there", f"export OPENAI_MODEL={MODEL}; {RESTART}"
        )
    state = State.SKIPPED if reply.status in (401, 403) else State.FAILED
    mend = "" if state is State.SKIPPED else "waybill doctor (again in a minute: the vendor has trouble)"
    return Finding("openai model", state, f"not told: HTTP {reply.status}", mend)


def _limits(reply: Reply) -> Finding:
    told = {unit: reply.headers.get(f"x-ratelimit-limit-{unit}", "") for unit in ("requests", "tokens")}
    if not all(told.values()):
        return Finding("openai limits", State.SKIPPED, "told by the vendor with each embedding, not here")
    return Finding(
        "openai limits", State.OK, f"{told['requests']} requests, {told['tokens']} tokens a minute"
    )
