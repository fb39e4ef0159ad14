"""What only the running services tell: the mode, prices and budgets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from waybill.cli.checks import modes, money
from waybill.cli.checks.finding import Finding, State
from waybill.cli.session import given_token
from waybill.client import Client, connect
from waybill.orchestrator.v1.mode_service_pb2 import GetModeRequest
from waybill.runtime.errors import Credential, ServiceError
from waybill.settings import HOME, TOKEN, TOKEN_FILE
from waybill.stack.home import Home
from waybill.stack.state import StackState

SECONDS = 5.0


def findings(home: Home, found: StackState | None, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Asks them; nothing where no stack runs.

    Args:
        home: The state folder.
        found: The running stack.
        settings: Those in force.
    """
    if found is None:
        return
    # The addresses are the stack's, whatever this shell has set; the token is the caller's.
    environ = {one.name: os.environ.get(one.name, "") for one in (TOKEN, TOKEN_FILE)}
    environ[HOME.name] = str(home.folder)
    token = given_token.get()
    with connect(found.addresses, deadline_seconds=SECONDS, environ=environ, token=token) as client:
        try:
            yield _mode(client, found)
        except ServiceError as error:
            yield _untold(modes.CHECK, error)
        try:
            yield from money.findings(client, settings)
        except ServiceError as error:
            yield _untold("prices, budgets", error)


def _mode(client: Client, found: StackState) -> Finding:
    return modes.of_services(client.modes.GetMode(GetModeRequest()).services, found.mode)


def _untold(check: str, error: ServiceError) -> Finding:
    mend = "waybill health"
    if isinstance(error, Credential):
        mend = f"export {TOKEN_FILE.name}=a file with a caller's token; waybill doctor"
    return Finding(check, State.SKIPPED, f"not told: {error.reason}", mend)
