"""`python -m waybill.sim openai`: a simulator until it is told to end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from waybill.sim.limits import Limits
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import simulator

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def vendors() -> None:
    """Simulated vendors on this machine: real sockets, limits, an invoice, and every fault on request."""


def seconds(text: str) -> float:
    """500ms, 2s or 0.5, in seconds.

    Raises:
        typer.BadParameter: It is anything else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s)?", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 500ms or 2s.")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


@app.command()
def openai(
    port: Annotated[int, typer.Option(help="The vendor's port; 0 is a free one.")] = 0,
    control_port: Annotated[int, typer.Option(help="The simulator's own port; 0 is a free one.")] = 0,
    fault: Annotated[list[str] | None, typer.Option(help="Such as 429:0.1,O03:n=7.")] = None,
    latency: Annotated[str, typer.Option(metavar="DURATION", help="Of a good answer: 500ms, 2s.")] = "500ms",
    seed: int = 0,
    keys: Annotated[Path | None, typer.Option(exists=True, help="The good keys, one a line.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Every request, as JSON lines.")] = None,
    requests_per_minute: int = 10_000,
    tokens_per_minute: int = 10_000_000,
    stop_on_eof: Annotated[bool, typer.Option(help="End when standard input is closed.")] = False,
) -> None:
    """OpenAI's embeddings, models, files and batches; any key that begins with sk- is good."""
    settings = OpenAISettings(
        seed=seed,
        latency_seconds=seconds(latency),
        limits=Limits(requests_per_minute, tokens_per_minute),
        faults=",".join(fault or ()),
        keys_file=keys,
        journal_file=journal,
    )
    try:
        asyncio.run(_serve(settings, port, control_port, stop_on_eof))
    except (OSError, ValueError) as error:
        typer.echo(f"The simulator did not start: {error}", err=True)
        raise typer.Exit(1) from error


async def _serve(settings: OpenAISettings, port: int, control_port: int, stop_on_eof: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with simulator(settings, port, control_port) as running:
        typer.echo(f"base_url {running.base_url}")
        typer.echo(f"control_url {running.control_url}")
        if stop_on_eof:
            # A thread, since a loop cannot watch a regular file; it must not hold up the end.
            threading.Thread(target=_wait_for_eof, args=(loop, stop), daemon=True).start()
        await stop.wait()


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stop.set)
