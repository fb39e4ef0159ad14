"""What the chosen vendors need before the stack is started: settings, and an answer to the free question.

A service without them ends, or never serves, and the supervisor gives it a minute.
"""

from __future__ import annotations

import difflib
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from waybill.cli.checks.check import Check, Given, works
from waybill.cli.checks.every import CHECKS
from waybill.cli.checks.finding import Finding, State
from waybill.runtime.config import Settings
from waybill.runtime.errors import Credential, Precondition, Unavailable
from waybill.runtime.settings import ENV, MODE
from waybill.settings import EMBEDDER_BACKEND, PARSER_BACKEND, SETTINGS
from waybill.supabase_settings import STORAGE_BACKEND

# Long enough for a slow network's names and a lost packet or two.
SECONDS = 8.0
# Findings with which no start can succeed; a vendor's trouble may pass.
_REACHABILITY = "reachability"
_BARRING = (_REACHABILITY, "key")
# Of two names, without what separates words.
_ALIKE = 0.74


def check(environ: Mapping[str, str], mode: str, seconds: float = SECONDS) -> None:
    """Looks at the vendors that the backends name; simulators need nothing.

    Args:
        environ: What the services would be started with.
        mode: "local" or "simulator".
        seconds: In all, for the vendors' hosts.

    Raises:
        Precondition: SETTING_MISSING, with every setting that is, and what may be meant for it;
            LOCAL_REFUSED, production wants vendors. Either names all that is wrong.
        Unavailable: VENDOR_UNREACHABLE, nobody answers there.
        Credential: VENDOR_KEY_REFUSED.
    """
    refused = _refused({**environ, MODE.name: mode})
    asked = () if mode == "simulator" else CHECKS
    chosen = {one: given for one in asked if (given := _given(one, environ, mode)) is not None}
    if lacking := [text for one, given in chosen.items() for text in _lacking(one, given, environ)]:
        raise Precondition("SETTING_MISSING", f"Nothing was started. {' '.join([*refused, *lacking])}")
    if refused:
        raise Precondition("LOCAL_REFUSED", f"Nothing was started. {' '.join(refused)}")
    faults = _faults(list(chosen), environ, seconds)
    if not faults:
        return
    told = "; ".join(f"{title}: {fault.detail}" for title, fault in faults.items())
    text = f"Nothing was started. {told}."
    if any(fault.check.endswith(_REACHABILITY) for fault in faults.values()):
        raise Unavailable("VENDOR_UNREACHABLE", text)
    raise Credential("VENDOR_KEY_REFUSED", text)


def _refused(environ: Mapping[str, str]) -> Sequence[str]:
    """What production refuses of the backends. Each service would name its own alone, start by start."""
    settings = Settings(environ)
    if settings.text(ENV) != "production":
        return []
    for setting in (STORAGE_BACKEND, PARSER_BACKEND, EMBEDDER_BACKEND):
        settings.backend(setting)
    return [f"{fault}." for fault in dict.fromkeys(settings.faults)]


def _given(one: Check, environ: Mapping[str, str], mode: str) -> Given | None:
    """A vendor's settings without their prefix; None where neither backend nor mode names it."""
    if not works(one.vendor, {**environ, MODE.name: mode}):
        return None
    prefix = one.vendor.settings
    return {
        name[len(prefix) :]: value for name, value in environ.items() if name.startswith(prefix) and value
    }


def _lacking(one: Check, given: Given, environ: Mapping[str, str]) -> Iterator[str]:
    vendor = one.vendor
    if not given.get(vendor.key) and not given.get(f"{vendor.key}_FILE"):
        yield _sentence(f"{vendor.settings}{vendor.key}", one, environ)
    if not one.base(given):
        yield _sentence(f"{vendor.settings}{vendor.address}", one, environ)


def _sentence(name: str, one: Check, environ: Mapping[str, str]) -> str:
    setting = f"{one.vendor.service.upper()}_BACKEND"
    named = f"{setting}={one.vendor.name}"
    backend = named if environ.get(setting) else f"the {one.vendor.service} in this mode"
    like = meant_for(name, environ)
    hint = f"; is {' or '.join(like)} meant for it?" if like else "."
    return f"{name} is not set, which {backend} needs{hint}"


def meant_for(name: str, environ: Mapping[str, str]) -> Sequence[str]:
    """Variables that are set, are no setting of ours, and are called nearly as this one is."""
    found = {
        other: difflib.SequenceMatcher(None, _letters(name), _letters(other)).ratio()
        for other, value in environ.items()
        if value and other not in SETTINGS
    }
    near = [other for other, ratio in found.items() if ratio >= _ALIKE or _ends(other) == _ends(name)]
    return sorted(near, key=lambda other: -found[other])[:2]


def _letters(name: str) -> str:
    return name.upper().replace("_", "")


def _ends(name: str) -> tuple[str, str]:
    """The first word and the last."""
    words = name.upper().split("_")
    return words[0], words[-1]


def _faults(chosen: Sequence[Check], environ: Mapping[str, str], seconds: float) -> Mapping[str, Finding]:
    """What bars each vendor, by its title; all are asked at once, and what takes too long is unreachable."""
    answers: queue.SimpleQueue[tuple[str, Sequence[Finding]]] = queue.SimpleQueue()

    def ask(one: Check) -> None:
        answers.put((one.vendor.title, list(one.findings(environ))))

    for one in chosen:
        # A daemon: a name that is not resolved holds a thread for longer than anybody waits.
        threading.Thread(target=ask, args=[one], daemon=True).start()
    late = Finding(_REACHABILITY, State.FAILED, f"no answer in {seconds:g} s")
    faults: dict[str, Finding] = {one.vendor.title: late for one in chosen}
    ends_at = time.monotonic() + seconds
    for _ in chosen:
        try:
            title, found = answers.get(timeout=max(0.0, ends_at - time.monotonic()))
        except queue.Empty:
            break
        del faults[title]
        barring = [one for one in found if one.state is State.FAILED and one.check.endswith(_BARRING)]
        if barring:
            faults[title] = barring[0]
    return faults
