"""LlamaCloud's webhook: whether somebody listens where the stack says, and whether its address leads there.

The listener takes POST alone: a GET that it answers by 405 changes nothing anywhere, and tells all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from waybill.cli.checks.check import NO_ANSWER, RESTART, ask, simulated, works
from waybill.cli.checks.finding import Finding, State, why_silent
from waybill.llamaparse_settings import (
    LLAMA_CLOUD_WEBHOOK_BIND,
    LLAMA_CLOUD_WEBHOOK_SECRET,
    LLAMA_CLOUD_WEBHOOK_URL,
)
from waybill.vendors.llamaparse import webhook_fault
from waybill.vendors.registry import LLAMAPARSE

CHECK = f"{LLAMAPARSE.name} webhook"
_POST_ALONE, _OTHER_HOST = 405, 400


def findings(settings: Mapping[str, str], *, runs: bool) -> Iterator[Finding]:
    """What there is of it; nothing where LlamaParse does not work.

    Args:
        settings: Those in force.
        runs: Whether they are a running stack's, which then listens.
    """
    if not works(LLAMAPARSE, settings):
        return
    url = settings.get(LLAMA_CLOUD_WEBHOOK_URL.name, "").rstrip("/")
    if not url:
        yield Finding(CHECK, State.SKIPPED, "none is set: each parse is asked for until it has ended")
    elif fault := webhook_fault(url, allow_local=simulated(settings)):
        yield Finding(
            CHECK, State.FAILED, fault, f"export {LLAMA_CLOUD_WEBHOOK_URL.name}=https://…; {RESTART}"
        )
    elif not settings.get(LLAMA_CLOUD_WEBHOOK_SECRET.name):
        mend = f"export {LLAMA_CLOUD_WEBHOOK_SECRET.name}=$(openssl rand -hex 32); {RESTART}"
        yield Finding(CHECK, State.FAILED, "no secret is set that events are signed with", mend)
    elif not runs:
        yield Finding(CHECK, State.SKIPPED, f"{url}; its listener runs with the stack")
    else:
        bind = settings.get(LLAMA_CLOUD_WEBHOOK_BIND.name) or LLAMA_CLOUD_WEBHOOK_BIND.default or ""
        yield from _ways(url, bind)


def _ways(url: str, bind: str) -> Iterator[Finding]:
    host = urlsplit(url).hostname or ""
    listener = _listener(bind, host)
    yield listener
    if listener.state is State.OK:
        yield _public(url, bind, host)


def _listener(bind: str, host: str) -> Finding:
    check = f"{CHECK} here"
    try:
        status = ask(f"http://{_reached(bind)}", {"Host": host}).status
    except NO_ANSWER as error:
        detail = f"the parser does not listen at {bind} ({why_silent(error)})"
        return Finding(check, State.FAILED, detail, f"waybill logs parser; {RESTART}")
    if status != _POST_ALONE:
        detail = f"another program answers at {bind}, by HTTP {status}"
        mend = f"export {LLAMA_CLOUD_WEBHOOK_BIND.name}=127.0.0.1:PORT, a free one; {RESTART}"
        return Finding(check, State.FAILED, detail, mend)
    return Finding(check, State.OK, f"the parser listens at {bind}")


def _public(url: str, bind: str, host: str) -> Finding:
    elsewhere = f"curl -i {url} from elsewhere shall say 405"
    try:
        reply = ask(url, {})
    except NO_ANSWER as error:
        detail = f"{url} does not answer this machine ({why_silent(error)})"
        return Finding(CHECK, State.FAILED, detail, f"lead {host} to {bind} through a proxy; {elsewhere}")
    if reply.status == _POST_ALONE:
        return Finding(CHECK, State.OK, f"{url} leads to the parser's listener")
    detail = f"{url} does not lead to the listener: HTTP {reply.status}"
    mend = f"let the proxy of {host} pass {urlsplit(url).path}/… on to http://{bind}; {elsewhere}"
    if place := reply.headers.get("location", ""):
        detail = f"{url} redirects to {place}, which LlamaCloud may not follow"
        mend = f"export {LLAMA_CLOUD_WEBHOOK_URL.name}={place}; {RESTART}"
    elif reply.status == _OTHER_HOST:
        mend = f"let the proxy pass the header Host on as it came, {host}; {elsewhere}"
    return Finding(CHECK, State.FAILED, detail, mend)


def _reached(bind: str) -> str:
    """Where a listener of this machine is reached: one on all addresses, by loopback."""
    host, _, port = bind.rpartition(":")
    return f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 - is compared
