"""The command `waybill`: its groups, one file each, and nothing else."""

from __future__ import annotations

import io
import sys

import typer

from waybill.cli import (
    bill,
    config,
    delete,
    demo,
    doctor,
    documents,
    ingest,
    runs,
    search,
    stack,
    trace,
    types,
)

app = typer.Typer(
    name="waybill",
    help="Every document carries its own bill. Exit codes and JSON keys: docs/cli.md",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    ingest.ingest,
    types.types,
    runs.runs,
    runs.run,
    runs.cancel,
    runs.retry,
    documents.documents,
    documents.chunks,
    documents.collections,
    delete.delete,
    search.search,
    trace.trace,
    bill.bill,
    stack.up,
    stack.down,
    stack.status,
    stack.health,
    stack.migrate,
    doctor.doctor,
    config.config,
    demo.demo,
):
    app.command()(command)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
def sim(context: typer.Context) -> None:
    """A vendor's simulator to point tests at, and break: waybill sim openai --help"""
    from waybill.sim.command import app as simulators  # imports numpy, which no other command needs

    simulators(context.args, prog_name="waybill sim")


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character
    app()
