"""`waybill doctor`: is all there that the services need of others, and which command mends what is not.

A vendor is asked only for what costs nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import typer
from rich.text import Text

from waybill.cli.checks import callers, database, machine, services, webhook
from waybill.cli.checks.check import RESTART
from waybill.cli.checks.every import CHECKS
from waybill.cli.checks.finding import Finding, State
from waybill.cli.plain import plain
from waybill.cli.session import Json
from waybill.cli.stack import at_home
from waybill.runtime.settings import MODE
from waybill.settings import ADDRESSES, HOME, MASK, SETTINGS, TOKEN, TOKEN_FILE
from waybill.stack import operate, process
from waybill.stack.home import Home
from waybill.stack.state import StackState
from waybill.stack.table import at_simulators

# What the stack keeps over a restart, and what is a caller's alone.
_KEPT = {one.name for one in (MODE, HOME, TOKEN, TOKEN_FILE, *ADDRESSES.values())}
_STYLES = {State.OK: "green", State.SKIPPED: "dim", State.FAILED: "bold red"}


def doctor(as_json: Json = False) -> None:
    """Check all that a deployment needs: stack, database, money, machine, vendors; exit 1 if one failed."""
    with at_home(as_json) as (screen, home):
        found = operate.running(home)
        findings = list(_findings(home, found))
        if as_json:
            screen.emit({"findings": [asdict(finding) for finding in findings]})
        for finding in () if as_json else findings:
            screen.tell(_line(finding))
            if finding.mend:
                screen.tell(Text(f"         next: {finding.mend}"))
        raise typer.Exit(any(finding.state is State.FAILED for finding in findings))


def _findings(home: Home, found: StackState | None) -> Iterator[Finding]:
    settings = settings_in_force(found, os.environ)
    # Those that ask others are under way at once: each may wait for somebody who does not answer.
    asking = [
        *(functools.partial(check.findings, settings) for check in CHECKS),
        functools.partial(webhook.findings, settings, runs=found is not None),
        functools.partial(callers.findings, settings),
    ]
    with ThreadPoolExecutor(len(asking)) as pool:
        answers = pool.map(lambda ask: list(ask()), asking)
        near = [*_stack(home), _asked(found, settings), *database.findings(home, found, settings)]
        near += [*_rows(home, found), *machine.findings(home, settings)]
        near += services.findings(home, found, settings)
        for finding in (*near, *(one for answer in answers for one in answer)):
            # What does not run is not restarted.
            yield finding if found else replace(finding, mend=finding.mend.replace(RESTART, "waybill up"))


def _line(finding: Finding) -> Text:
    state = (f"{finding.state:<8}", _STYLES[finding.state])
    return Text.assemble(state, f" {finding.check:<23} {plain(finding.detail)}")


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


def _rows(home: Home, found: StackState | None) -> Iterator[Finding]:
    if found is None:
        yield Finding("migrations", State.SKIPPED, "they are compared in a running stack")
        return
    from waybill.cli.checks import rows  # psycopg, which the command line alone does not need

    yield from rows.findings(home, found)


def _asked(found: StackState | None, settings: Mapping[str, str]) -> Finding:
    if found is None:
        return Finding("settings", State.OK, "of this shell, as no stack runs")
    others = [name for name in SETTINGS if _differs(name, found, settings)]
    if not others:
        return Finding("settings", State.OK, "of the running stack, and this shell has the same")
    detail = f"of the running stack; this shell has other {', '.join(others)}"
    return Finding("settings", State.OK, detail, f"set them here as you want them before `{RESTART}`")


def _differs(name: str, found: StackState, settings: Mapping[str, str]) -> bool:
    """Whether a restart from this shell would change a setting of the stack's."""
    if name in _KEPT or name in at_simulators(found.addresses):
        return False
    return settings.get(name, "") not in (os.environ.get(name, ""), MASK)


def settings_in_force(found: StackState | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What the running stack was started with; ours where none runs.

    A key of the stack's is masked where the system does not show what its process was started with.
    """
    if found is None:
        return environ
    told = process.environment(found.supervisor.pid) or found.settings
    # A mode that `up --mode` named is in no variable.
    return {**told, MODE.name: found.mode, **at_simulators(found.addresses)}
