"""Starts programs tier by tier, starts a dead one again, and stops all in reverse order.

No program outlives this process: on Linux each asks for a signal at its parent's death, and services
watch their standard input everywhere. Call `run` in the main thread: that signal comes when the
thread ends that spawned them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from waybill.stack.process import Account, Process, launched
from waybill.stack.state import Phase, ProgramState

FIRST_DELAY_SECONDS = 0.1
MOST_DELAY_SECONDS = 5.0
# Healthy for so long, a program has earned an immediate restart again.
HEALTHY_SECONDS = 10.0
READY_POLL_SECONDS = 0.1
TIER_SECONDS = 60.0
# So many exits before it ever answered mean that it cannot start at all.
EXITS_BEFORE_READY = 5
LAST_LINES = 8
LOG_BYTES = 10 * 1024 * 1024


class StartFailed(Exception):
    """A program cannot be started; the text names it and its last words."""


@dataclass(frozen=True)
class Program:
    """What to run, and how to tell that it works.

    Args:
        name: Of its log and its place in the state.
        command: The whole command line.
        environment: The whole environment.
        ready: Whether it answers; called in a thread, repeatedly. Not asked of a job.
        prepare: Called in a thread before each start.
        job: Runs to its end once; exit 0 is success.
        stop_signal: Asks it to end; also sent when we die.
        grace_seconds: Then it is killed.
        account: Whom it runs as.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool] = lambda: True
    prepare: Callable[[], None] = lambda: None
    job: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0  # a service drains for ten
    account: Account | None = None


@dataclass
class Supervisor:
    """Keeps tiers of programs running.

    Args:
        tiers: The next starts when all of one are ready.
        logs: One file a program.
        report: Told at each change: the phase, what runs, and the failure's text.
    """

    tiers: Sequence[Sequence[Program]]
    logs: Path
    report: Callable[[Phase, Mapping[str, ProgramState], str], None]
    _phase: Phase = Phase.STARTING
    _failure: str = ""
    _keepers: list[list[_Keeper]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set or a program cannot be started; leaves no program behind."""
        boot = asyncio.create_task(self._boot())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({boot, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                boot.result()
                self._enter(Phase.SERVING)
                await stopped
        except StartFailed as failure:
            self._failure = str(failure)
        finally:
            for task in (boot, stopped):
                task.cancel()
            await asyncio.gather(boot, stopped, return_exceptions=True)
            self._enter(Phase.STOPPING)
            for tier in reversed(self._keepers):
                await asyncio.gather(*(keeper.stop() for keeper in tier))
            self._enter(Phase.FAILED if self._failure else Phase.STOPPED)

    async def _boot(self) -> None:
        for tier in self.tiers:
            keepers = [_Keeper(program, self.logs / f"{program.name}.log", self._changed) for program in tier]
            self._keepers.append(keepers)
            await asyncio.gather(*(keeper.start() for keeper in keepers))

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._changed()

    def _changed(self) -> None:
        running = {
            keeper.program.name: ProgramState(keeper.process, keeper.restarts)
            for tier in self._keepers
            for keeper in tier
            if keeper.process is not None
        }
        self.report(self._phase, running, self._failure)


class _Keeper:
    """Keeps one program alive until it is told to stop."""

    def __init__(self, program: Program, log: Path, changed: Callable[[], None]) -> None:
        self.program = program
        self.process: Process | None = None
        self.restarts = 0
        self._log = log
        self._changed = changed
        self._stopping = asyncio.Event()
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the program is ready, or the job is done."""
        self._task = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(TIER_SECONDS):
                await asyncio.shield(self._up)
        except TimeoutError:
            raise self._failed(f"did not answer within {TIER_SECONDS:.0f} s") from None

    async def stop(self) -> None:
        """Asks, waits, kills; returns when the process is gone."""
        self._stopping.set()
        if self._task is None:
            return
        self._signal(self.program.stop_signal)
        done, _ = await asyncio.wait({self._task}, timeout=self.program.grace_seconds)
        if not done:
            self._signal(signal.SIGKILL)
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        delay = 0.0
        early_exits = 0
        while not self._stopping.is_set():
            code, healthy_seconds = await self._live()
            if self.program.job:
                self._settle(None if code == 0 else self._failed(f"ended with exit code {code}"))
                return
            early_exits += not self._up.done()
            if early_exits >= EXITS_BEFORE_READY:
                self._settle(self._failed(f"ends at its start, the last time with exit code {code}"))
                return
            delay = 0.0 if healthy_seconds >= HEALTHY_SECONDS else delay
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(max(delay * 2, FIRST_DELAY_SECONDS), MOST_DELAY_SECONDS)
            self.restarts += not self._stopping.is_set()

    async def _live(self) -> tuple[int, float]:
        """One life of the program: its exit code, and how long it was ready."""
        try:
            await asyncio.to_thread(self.program.prepare)
            child = await self._spawn()
        except Exception as error:  # whatever stands in the way may be gone at the next try
            # A full disk, of which the log says nothing then.
            with contextlib.suppress(OSError), self._log.open("a") as output:
                output.write(f"cannot be started: {error}\n")
            return 1, 0.0
        watch = asyncio.create_task(self._ready_since())
        try:
            code = await child.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # what it had started itself and left behind
            watch.cancel()
            self.process = None
            self._changed()
        since = (await asyncio.gather(watch, return_exceptions=True))[0]
        return code, time.monotonic() - since if isinstance(since, float) else 0.0

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self.program
        rotate(self._log)
        with self._log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *launched(program.command, program.stop_signal, program.account),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(program.environment),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            )
        self._child = child
        self.process = Process.of(child.pid)
        self._changed()
        if self._stopping.is_set():
            self._signal(program.stop_signal)
        return child

    async def _ready_since(self) -> float:
        if self.program.job:
            return time.monotonic()
        while not await asyncio.to_thread(self.program.ready):  # noqa: ASYNC110 nothing to await there
            await asyncio.sleep(READY_POLL_SECONDS)
        self._settle(None)
        return time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        if self._child is None or self._child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)

    def _settle(self, failure: StartFailed | None) -> None:
        if self._up.done():
            return
        if failure is None:
            self._up.set_result(None)
        else:
            self._up.set_exception(failure)

    def _failed(self, how: str) -> StartFailed:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        # Each start that fails writes the same again.
        last_words = "\n".join(line[:1000] for line in dict.fromkeys(lines[-LAST_LINES:]))
        return StartFailed(f"{self.program.name} {how}; the end of {self._log}:\n{last_words}")


def rotate(log: Path) -> None:
    """Sets a large log aside; the one before it goes."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
