"""Runs under load, on the whole stack against simulated vendors. Asserts nothing.

python -m bench.load [--callers 1,4,16] [--runs 32]       at the predecessor's latencies: documents a minute,
                                                          seconds by step, memory, errors
python -m bench.load --soak 1000 [--kills 10 --seed 7]    under faults and kills: availability, as an interval
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.intervals import wilson
from bench.processes import Programs
from waybill.client import FINAL_STATES, Client, connect
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import ServiceError
from waybill.settings import HOME
from waybill.sim.remote import Remote
from waybill.stack import operate, state
from waybill.stack.home import Home
from waybill.stack.process import wait_until
from waybill.stack.table import SERVICES
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE, VENDORS, Vendor

# Seconds of one call, as the predecessor measured them.
LATENCIES = {SUPABASE.name: 0.04, OPENAI.name: 0.5, LLAMAPARSE.name: 0.3}
# Of a hundred requests to each vendor: two are refused for now, one is a 500, of one (a create, a write, an
# embedding) the reply is lost with its work done.
FAULTS = {
    OPENAI.name: "429:0.02,O10:0.01,O03:0.01",
    LLAMAPARSE.name: "F02/0:0.02:op=*,F03:0.01:op=*,F08:0.01",
    SUPABASE.name: "F8:0.02,F9:0.01,F7:0.01",
}
PAGES = 3
SOAK_CALLERS = 8
DEADLINE_SECONDS = 600.0
READY_AGAIN_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """A document's way.

    Attributes:
        accepted: Whether it became a run.
        good: READY, with every page.
        why: State and reason of the run, or of the refusal.
        seconds: From the first byte to the end.
        steps: Seconds by step.
    """

    accepted: bool
    good: bool
    why: str
    seconds: float = 0.0
    steps: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Stack:
    """A running stack in simulator mode."""

    home: Home
    client: Client
    folder: Path
    vendors: Mapping[str, Remote]

    def programs(self) -> Mapping[str, int]:
        """Pids by name."""
        found = state.read(self.home)
        assert found is not None
        return {name: program.process.pid for name, program in found.programs.items()}

    def send(self, number: int, *, traced: bool) -> Ended:
        """A document that no other call sends, until its run has ended."""
        path = self.folder / f"pump-{number}.html"
        path.write_text("\f".join(f"Pump {number} {uuid.uuid4()} runs dry at noon." for _ in range(PAGES)))
        began = time.monotonic()
        try:
            run = self.client.ingest(path)
        except ServiceError as error:
            return Ended(False, False, f"refused {error.reason}")
        try:
            if run.state not in FINAL_STATES:
                *_, run = self.client.watch(run.run_id)
        except ServiceError as error:
            return Ended(True, False, f"never ended {error.reason}")
        seconds = time.monotonic() - began
        good = run.state == Run.STATE_READY and run.pages == PAGES
        why = f"{Run.State.Name(run.state).removeprefix('STATE_')} {run.reason}".strip()
        return Ended(True, good, why, seconds, self.steps(run.run_id) if traced else None)

    def steps(self, run_id: str) -> Mapping[str, float]:
        """Seconds by step, from the run's trace."""
        request = GetTraceRequest(run_id=run_id)
        (trace,) = self.client.orchestrator.GetTrace(request).traces
        spent: dict[str, float] = defaultdict(float)
        for span in trace.spans:
            if span.parent_span_id == trace.spans[0].span_id and span.duration_nano:
                spent[span.name.partition(" ")[0]] += span.duration_nano / 1e9
        return spent


@contextmanager
def started() -> Iterator[Stack]:
    """A stack of its own, in simulator mode; parses take no longer than a look at them."""
    with tempfile.TemporaryDirectory(prefix="waybill-load-") as folder:
        Path(folder).chmod(0o711)  # the database's unprivileged user goes through
        home = Home(Path(folder) / "stack")
        found = operate.up(home, "free", "simulator")
        try:
            vendors = {one.name: _vendor(found.addresses, one) for one in VENDORS}
            vendors[LLAMAPARSE.name].change("/jobs", queued_seconds=0, page_seconds=0, billed_seconds=0)
            with connect(
                found.addresses,
                tenant="load",
                deadline_seconds=DEADLINE_SECONDS,
                environ={HOME.name: str(home.folder)},
            ) as client:
                yield Stack(home, client, Path(folder), vendors)
        finally:
            operate.down(home)


def _vendor(addresses: Mapping[str, str], one: Vendor) -> Remote:
    base = f"http://{addresses[one.name]}{one.simulator_path}"
    return Remote(base, f"http://{addresses[one.control]}", one.simulator_key)


def many(send: Callable[[int], Ended], numbers: Sequence[int], callers: int) -> list[Ended]:
    """So many callers, each with one document at a time."""
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(send, numbers))


def level(stack: Stack, callers: int, runs: int, first: int) -> None:
    """Prints what so many callers see."""
    programs = Programs({pid: name for name, pid in stack.programs().items()})
    programs.forget_peaks()
    before = programs.read()
    ended = many(partial(stack.send, traced=True), range(first, first + runs), callers)
    used = programs.read().since(before)
    good = [one for one in ended if one.good]
    print(f"\n{callers} callers, {runs} documents of {PAGES} pages")
    print(f"  {len(good) / used.wall_seconds * 60:.1f} documents a minute; errors {1 - len(good) / runs:.2%}")
    print(f"  {'seconds':<12}{'p50':>8}{'p95':>8}{'p99':>8}")
    by_step: dict[str, list[float]] = defaultdict(list)
    for one in good:
        by_step["whole run"].append(one.seconds)
        for name, seconds in (one.steps or {}).items():
            by_step[name].append(seconds)
    for name, values in by_step.items():
        cells = "".join(f"{value:>8.2f}" for value in np.percentile(values, [50, 95, 99]))
        print(f"  {name:<12}{cells}")
    peaks = programs.peaks_mb()
    print("  RSS at its peak, MB: " + ", ".join(f"{name} {peaks[name]:.0f}" for name in SERVICES))
    cpu = {name: used.cpu_seconds.get(name, 0.0) for name in (*SERVICES, "postgres")}
    print("  CPU, ms a document: " + ", ".join(f"{n} {c / runs * 1000:.0f}" for n, c in cpu.items()))
    for why, count in Counter(one.why for one in ended if not one.good).items():
        print(f"  {count} × {why}")


def soak(stack: Stack, runs: int, kills: int, seed: int) -> None:
    """Prints how many accepted runs ended as they must, under faults of every vendor and kills."""
    for name, faults in FAULTS.items():
        stack.vendors[name].faults.add(faults)
    luck, done = random.Random(seed), Counter[str]()
    lock, all_sent = threading.Lock(), threading.Event()

    def send(number: int) -> Ended:
        ended = stack.send(number, traced=False)
        with lock:
            done["ended"] += 1
        return ended

    def kill() -> None:
        for turn in range(1, kills + 1):
            while done["ended"] < turn * runs // (kills + 1) and not all_sent.wait(0.5):
                pass
            if all_sent.is_set():
                return
            name = luck.choice(SERVICES)
            os.kill(stack.programs()[name], signal.SIGKILL)
            done[f"killed {name}"] += 1
            wait_until(lambda: operate.status(stack.home).serving, READY_AGAIN_SECONDS)

    began, killer = time.monotonic(), threading.Thread(target=kill)
    killer.start()
    try:
        ended = many(send, range(runs), SOAK_CALLERS)
    finally:
        all_sent.set()
        killer.join()
    accepted = [one for one in ended if one.accepted]
    good = sum(one.good for one in accepted)
    low, high = wilson(good, len(accepted))
    seconds = time.monotonic() - began
    print(f"{runs} documents sent in {seconds:.0f} s by {SOAK_CALLERS} callers, seed {seed}")
    print(f"  accepted {len(accepted)}, ended as they must {good}: {good / len(accepted):.3%}")
    print(f"  95 % interval (Wilson): {low:.3%} to {high:.3%}")
    for name, vendor in stack.vendors.items():
        lines = vendor.journal
        broken = sum(bool(line.fault) for line in lines)
        print(f"  {name}: {broken} of {len(lines)} requests broken ({FAULTS[name]})")
    killed = {name.removeprefix("killed "): count for name, count in done.items() if name != "ended"}
    print(f"  killed by kill -9: {killed or 'none'}")
    for why, count in Counter(one.why for one in ended if not one.good).items():
        print(f"  {count} × {why}")


def main() -> None:
    """Reads the arguments and prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("--callers", default="1,4,16")
    parser.add_argument("--runs", type=int, default=32, help="documents at each number of callers")
    parser.add_argument("--soak", type=int, default=0, metavar="RUNS")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start")
    with started() as stack:
        if given.soak:
            for vendor in stack.vendors.values():
                vendor.delay(0)
            soak(stack, given.soak, given.kills, given.seed)
            return
        for name, seconds in LATENCIES.items():
            stack.vendors[name].delay(seconds)
        stack.send(0, traced=False)  # what is loaded once is loaded
        for n, callers in enumerate(map(int, given.callers.split(","))):
            level(stack, callers, given.runs, 1 + n * given.runs)


if __name__ == "__main__":
    main()
