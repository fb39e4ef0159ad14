"""The command `waybill`: its groups, one file each, and how what nobody has caught ends."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from waybill.cli import (
    audit,
    bill,
    budget,
    call,
    config,
    delete,
    demo,
    doctor,
    documents,
    doubts,
    forecast,
    heal,
    ingest,
    logs,
    migrate_space,
    mode,
    opening,
    plan,
    prices,
    reconcile,
    runs,
    search,
    stack,
    stored,
    trace,
    types,
)
from waybill.cli.exits import Exit
from waybill.cli.plain import plain
from waybill.cli.session import given_token
from waybill.runtime.places import DOCS

GROUPS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Documents": (
        ingest.ingest,
        plan.plan,
        search.search,
        documents.documents,
        documents.chunks,
        documents.collections,
        delete.delete,
        types.types,
    ),
    "Runs, and what they cost": (
        runs.runs,
        runs.run,
        runs.cancel,
        runs.retry,
        heal.heal,
        trace.trace,
        bill.bill,
        forecast.forecast,
        prices.prices,
        reconcile.reconcile,
        audit.audit,
    ),
    "The stack on this machine": (
        stack.up,
        stack.down,
        stack.restart,
        stack.status,
        stack.health,
        mode.mode,
        logs.logs,
        doctor.doctor,
        config.config,
        stack.migrate,
    ),
    "To try, and to test": (demo.demo, call.call),
}


# A disk that is full, over quota or broken.
_OUTPUT_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class _Commands(TyperGroup):
    """Says in our own words what is wrong with a command line, and with where output goes."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Runs a command and leaves with its exit code."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except TyperException as error:
            where = getattr(error, "ctx", None)
            command = where.command_path if where else "waybill"
            # Without a command there is no message: the help is shown already.
            # typer leaves pydantic's words in front of its own.
            if message := plain(error.format_message()).replace("Value error, ", "", 1):
                _say(f"error: USAGE: {message}", f"next:  {command} --help")
            code = Exit.USAGE
        except OSError as error:
            if error.errno not in _OUTPUT_FAILS:
                raise
            _close_output()
            reason = f"error: OUTPUT_FAILED: What was to be written cannot be: {error.strerror}."
            _say(reason, "next:  Make room, or write elsewhere; what the command did stays done.")
            code = Exit.REFUSED
        except SystemExit as left:
            # typer and its help leave with 1 where the reader of stdout has gone.
            if not isinstance(left.__context__, BrokenPipeError):
                raise
            _close_output()
            code = Exit.PIPE_CLOSED
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """A reader that has gone ends the command without a word, as it ends `cat`."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _close_output()
            raise typer.Exit(Exit.PIPE_CLOSED) from None


app = typer.Typer(
    name="waybill",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"The pages that messages name are in {plain(str(DOCS))}",
)
for panel, commands in GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
    if panel == "Documents":
        app.command("open", rich_help_panel=panel)(opening.open_source)
        app.add_typer(stored.app, name="objects", rich_help_panel=panel)
app.add_typer(migrate_space.app, rich_help_panel="Documents")
app.add_typer(budget.app, rich_help_panel="Runs, and what they cost")
app.add_typer(doubts.app, rich_help_panel="Runs, and what they cost")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"waybill {version('waybill')}", flush=True)  # noqa: T201 before there is a screen
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="What calls show, in place of WAYBILL_TOKEN. Others on this machine see it in the list of "
            "processes; WAYBILL_TOKEN_FILE keeps it to yourself.",
        ),
    ] = None,
) -> None:
    """Every document carries its own bill. Exit codes and JSON keys: docs/cli.md"""
    given_token.set(token)


@app.command(
    rich_help_panel="To try, and to test",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def sim(context: typer.Context) -> None:
    """A vendor's simulator to point tests at, and break: waybill sim openai --help"""
    from waybill.sim.command import app as simulators  # imports numpy, which no other command needs

    simulators(context.args, prog_name="waybill sim")


def _say(*lines: str) -> None:
    with suppress(OSError):  # stderr may be what is full
        for line in lines:
            print(line, file=sys.stderr)  # noqa: T201 a screen may be what failed


def _close_output() -> None:
    """Nothing more goes to stdout, at the interpreter's end neither."""
    with suppress(io.UnsupportedOperation):  # no file of the system's, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character
    app()
