"""The free question to a vendor, and what its answer says of key, subject and limits.

The vendors that take a key as a bearer and answer in HTTP's own words need no more than their row in the
registry; another one is a subclass, in a file of its own.
"""

from __future__ import annotations

import http.client
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from waybill.cli.checks.clock import of_date
from waybill.cli.checks.finding import Finding, State, why_silent
from waybill.runtime.config import backend_of
from waybill.runtime.settings import MODE
from waybill.settings import MASK
from waybill.vendors.registry import Vendor

SECONDS = 10.0
MOST_BYTES = 64_000
# What is raised where a host does not answer, or no HTTP.
NO_ANSWER = (OSError, http.client.HTTPException, ValueError)
RESTART = "waybill restart"
# Of simulators nothing is set; a restart begins them anew.
ANEW = f"{RESTART} (it is the stack's simulator, which then begins anew)"
# A vendor's settings without their prefix, and the mode under its own name.
Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a vendor answered to the free question; of its body the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def works(vendor: Vendor, settings: Mapping[str, str]) -> bool:
    """Whether a vendor does its service's work: the settings name its backend, or the mode says so."""
    named = settings.get(f"{vendor.service.upper()}_BACKEND")
    return (named or backend_of(settings.get(MODE.name) or "local", vendor.name)) == vendor.name


class Check:
    """One vendor's.

    Args:
        vendor: Its row.
    """

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    def findings(self, settings: Mapping[str, str]) -> Iterator[Finding]:
        """What the vendor, or who stands in for it, says to the settings."""
        given = self.given(settings)
        key = _key(self.vendor, given)
        if (named := given.get(f"{self.vendor.key}_FILE")) and (fault := _file_fault(Path(named))):
            yield self.found("key file", State.FAILED, *fault)
        if not key:
            yield self._no_key(settings, given)
        elif key == MASK:
            yield self.found("key", State.SKIPPED, "of the stack; this system does not show it")
        elif not (base := self.base(given)):
            yield self.found("address", State.FAILED, "none is set", self.mend(given, self.vendor.address))
        else:
            yield from self._asked(key, base.rstrip("/"), given)

    def given(self, settings: Mapping[str, str]) -> Given:
        """The vendor's own of all settings."""
        prefix = self.vendor.settings
        own = {name[len(prefix) :]: value for name, value in settings.items() if name.startswith(prefix)}
        return {**own, MODE.name: settings.get(MODE.name, "")}

    def base(self, given: Given) -> str:
        """Where the vendor is by its settings; empty where none says."""
        return given.get(self.vendor.address) or self.vendor.base_url

    def is_the_vendors(self, base: str) -> bool:
        """Whether that is where the vendor itself is, so that no setting mends its silence."""
        return base == self.vendor.base_url

    def headers(self, key: str) -> Mapping[str, str]:
        """What shows the key."""
        return {"Authorization": f"Bearer {key}"}

    def read(self, reply: Reply, key: str, base: str, given: Given) -> Iterator[Finding]:
        """What an answer says."""
        yield self._of_key(reply, given)
        yield self._of_subject(reply, given)
        yield from self.more(reply, base, given)

    def more(self, reply: Reply, base: str, given: Given) -> Iterator[Finding]:
        """What only this vendor has."""
        told = {unit: reply.headers.get(f"x-ratelimit-limit-{unit}", "") for unit in ("requests", "tokens")}
        if all(told.values()):
            detail = f"{told['requests']} requests, {told['tokens']} tokens a minute"
            yield self.found("limits", State.OK, detail)
        else:
            detail = "told by the vendor with each call that is charged, not here"
            yield self.found("limits", State.SKIPPED, detail)

    def subject(self, given: Given) -> str:
        """What the question is about."""
        return given.get(self.vendor.subject.upper()) or self.vendor.default_subject

    def found(self, what: str, state: State, detail: str, mend: str = "") -> Finding:
        """A finding of this vendor's."""
        return Finding(f"{self.vendor.name} {what}", state, detail, mend)

    def mend(self, given: Given, setting: str, value: str = "…") -> str:
        """The command that sets a setting."""
        if simulated(given):
            return ANEW
        if setting == self.vendor.key and (file := given.get(f"{setting}_FILE")):
            return f"put a good key into {file}; it is read within a second"
        return f"export {self.vendor.settings}{setting}={value}; {RESTART}"

    def trouble(self, reply: Reply) -> Finding:
        """Where the answer tells nothing of the subject, and no setting mends that."""
        again = "waybill doctor (again in a minute: the vendor has trouble)"
        return self.found(self.vendor.subject, State.FAILED, f"not told: HTTP {reply.status}", again)

    def _no_key(self, settings: Mapping[str, str], given: Given) -> Finding:
        if works(self.vendor, settings):
            return self.found("key", State.FAILED, "none is set", self.mend(given, self.vendor.key))
        detail = f"none is set; the local {self.vendor.service} needs none"
        return self.found("key", State.SKIPPED, detail)

    def _asked(self, key: str, base: str, given: Given) -> Iterator[Finding]:
        began = time.monotonic()
        question = self.vendor.question.format(quote(self.subject(given), safe=""))
        try:
            reply = ask(f"{base}/{question}", self.headers(key))
        except NO_ANSWER as error:
            mend = self.mend(given, self.vendor.address, self.vendor.base_url or "…")
            if self.is_the_vendors(base):
                mend = f"curl -sS {base} shows what this machine's network refuses"
            detail = f"{base} does not answer ({why_silent(error)})"
            yield self.found("reachability", State.FAILED, detail, mend)
            return
        milliseconds = round((time.monotonic() - began) * 1000)
        yield self.found("reachability", State.OK, f"{base} answers in {milliseconds} ms")
        clock = of_date(f"{self.vendor.name} clock", f"{self.vendor.title}'s", reply.headers.get("date", ""))
        if clock is not None:
            yield clock
        yield from self.read(reply, key, base, given)

    def _of_key(self, reply: Reply, given: Given) -> Finding:
        vendor = self.vendor
        if reply.status == 401:
            return self.found("key", State.FAILED, "refused", self.mend(given, vendor.key))
        if reply.status == 403:
            detail = f"accepted, but it may not use this {vendor.subject} or {vendor.access.lower()}"
            return self.found("key", State.FAILED, detail, self.mend(given, vendor.access))
        return self.found("key", State.OK, "accepted")

    def _of_subject(self, reply: Reply, given: Given) -> Finding:
        vendor, subject = self.vendor, self.subject(given)
        if reply.status == 200:
            return self.found(vendor.subject, State.OK, subject)
        if reply.status == 404:
            mend = self.mend(given, vendor.subject.upper(), vendor.default_subject)
            return self.found(vendor.subject, State.FAILED, f"{subject} is not there", mend)
        if reply.status in (401, 403):
            return self.found(vendor.subject, State.SKIPPED, f"not told: HTTP {reply.status}")
        return self.trouble(reply)


def _file_fault(file: Path) -> tuple[str, str] | None:
    """What is wrong with a file of keys, and what mends it."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}", f"chmod 600 {shlex.quote(str(file))}"
    if mode & 0o044:
        return f"others can read {file}", f"chmod 600 {shlex.quote(str(file))}"
    return None


def _key(vendor: Vendor, given: Given) -> str:
    if file := given.get(f"{vendor.key}_FILE"):
        try:
            return next(iter(Path(file).read_text(encoding="utf-8").split()), "")
        except OSError:
            return ""
    return given.get(vendor.key, "")


def simulated(settings: Mapping[str, str]) -> bool:
    """Whether the stack's simulators stand in for the vendors."""
    return settings.get(MODE.name) == "simulator"


def ask(url: str, headers: Mapping[str, str]) -> Reply:
    """One GET, no redirect: a key goes to this host alone. Raises NO_ANSWER."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", parts.path or "/", headers=dict(headers))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, told, answer.read(MOST_BYTES))
    finally:
        connection.close()
