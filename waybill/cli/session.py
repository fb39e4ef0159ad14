"""What every command shares: --tenant and --json, an open client, and errors as exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

import typer

from waybill.cli.exits import advice
from waybill.cli.screen import Screen
from waybill.client import Client, connect
from waybill.runtime.errors import InvalidRequest, ServiceError
from waybill.runtime.identity import DEFAULT_TENANT

Tenant = Annotated[str, typer.Option("--tenant", help="Whose documents, runs and money.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, on stdout alone.")]
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Session:
    """A command's client and screen."""

    client: Client
    screen: Screen


# Of --token, which stands before the command.
given_token: ContextVar[str | None] = ContextVar("waybill_token", default=None)


@contextmanager
def session(tenant: str, as_json: bool, correlation_id: str | None = None) -> Iterator[Session]:
    """Opens what a command on documents needs; ends it as `failing` does."""
    screen = Screen.open(as_json, "" if tenant == DEFAULT_TENANT else tenant)
    token = given_token.get()
    with failing(screen), connect(tenant=tenant, correlation_id=correlation_id, token=token) as client:
        yield Session(client, screen)


@contextmanager
def failing(screen: Screen) -> Iterator[None]:
    """A ServiceError inside is said, with what to do, and ends the command with its exit code."""
    try:
        yield
    except ServiceError as error:
        screen.fail(error)
        raise typer.Exit(advice(error).exit) from None
    except UnicodeEncodeError:
        refused = InvalidRequest("TEXT_INVALID", "An argument is not valid UTF-8 text.")
        screen.fail(refused)
        raise typer.Exit(advice(refused).exit) from None


def reachable(client: Client, *services: str) -> Client:
    """The client, once those services answer; the orchestrator where none is named."""
    for service in services or ("orchestrator",):
        client.wait_until_reachable(service, PATIENCE_SECONDS)
    return client
