"""`python -m waybill.sim openai`, `llamacloud` or `supabase`: a simulator until it is told to end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

from waybill.sim.limits import Limits
from waybill.sim.llamacloud.settings import JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator
from waybill.sim.simulator import Simulator
from waybill.sim.supabase.settings import BUCKET, SupabaseSettings
from waybill.sim.supabase.simulator import SupabaseSimulator

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def all_vendors() -> None:
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


Plan = Literal["free", "starter", "pro"]
Port = Annotated[int, typer.Option(help="The vendor's port; 0 is a free one.")]
ControlPort = Annotated[int, typer.Option(help="The simulator's own port; 0 is a free one.")]
Faults = Annotated[list[str] | None, typer.Option(help="Such as 429:0.1,503:n=7.")]
Latency = Annotated[str, typer.Option(metavar="DURATION", help="Of a good answer: 500ms, 2s.")]
Keys = Annotated[Path | None, typer.Option(exists=True, help="The good keys, one a line.")]
JournalFile = Annotated[Path | None, typer.Option(help="Every request, as JSON lines.")]
StopOnEof = Annotated[bool, typer.Option(help="End when standard input is closed.")]


@app.command()
def openai(
    port: Port = 0,
    control_port: ControlPort = 0,
    fault: Faults = None,
    latency: Latency = "500ms",
    seed: int = 0,
    keys: Keys = None,
    journal: JournalFile = None,
    requests_per_minute: int = 10_000,
    tokens_per_minute: int = 10_000_000,
    stop_on_eof: StopOnEof = False,
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
    _run(OpenAISimulator(settings, port, control_port), stop_on_eof)


@app.command()
def llamacloud(
    port: Port = 0,
    control_port: ControlPort = 0,
    fault: Faults = None,
    latency: Latency = "100ms",
    seed: int = 0,
    keys: Keys = None,
    journal: JournalFile = None,
    requests_per_minute: int = 10_000,
    plan: Annotated[Plan, typer.Option(help="Of keys that name none; free is 20 requests a minute.")] = "pro",
    queued: Annotated[str, typer.Option(metavar="DURATION", help="A job waits before it runs.")] = "1s",
    page: Annotated[str, typer.Option(metavar="DURATION", help="A page takes, in the fast tier.")] = "200ms",
    stop_on_eof: StopOnEof = False,
) -> None:
    """LlamaCloud's files and parse jobs; any key that begins with llx- is good."""
    settings = LlamaCloudSettings(
        seed=seed,
        latency_seconds=seconds(latency),
        limits=Limits(requests_per_minute),
        faults=",".join(fault or ()),
        keys_file=keys,
        journal_file=journal,
        plan=plan,
        jobs=JobTimes(queued_seconds=seconds(queued), page_seconds=seconds(page)),
    )
    _run(LlamaCloudSimulator(settings, port, control_port), stop_on_eof)


@app.command()
def supabase(
    port: Port = 0,
    control_port: ControlPort = 0,
    fault: Faults = None,
    latency: Latency = "20ms",
    seed: int = 0,
    keys: Keys = None,
    journal: JournalFile = None,
    data: Annotated[
        Path | None, typer.Option(file_okay=False, help="Objects are kept there over a restart.")
    ] = None,
    bucket: Annotated[str, typer.Option(help="There from the start; empty for none.")] = BUCKET,
    strict_parts: Annotated[
        bool, typer.Option(help="Parts of 6 MiB exactly, as on hosted projects.")
    ] = False,
    stop_on_eof: StopOnEof = False,
) -> None:
    """Supabase Storage; any key that begins with sb_secret_ or sb_publishable_ is good."""
    settings = SupabaseSettings(
        seed=seed,
        latency_seconds=seconds(latency),
        faults=",".join(fault or ()),
        keys_file=keys,
        journal_file=journal,
        data=data,
        bucket=bucket,
        strict_parts=strict_parts,
    )
    _run(SupabaseSimulator(settings, port, control_port), stop_on_eof)


def _run(simulator: Simulator, stop_on_eof: bool) -> None:
    try:
        asyncio.run(_serve(simulator, stop_on_eof))
    except (OSError, ValueError) as error:
        typer.echo(f"The simulator did not start: {error}", err=True)
        raise typer.Exit(1) from error


async def _serve(simulator: Simulator, stop_on_eof: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with simulator as running:
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
