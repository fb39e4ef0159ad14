"""The supervisor in process, over stand-ins."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from tests.stack.host import standin
from tests.waiting import until
from waybill.stack.ports import free_ports
from waybill.stack.process import Process
from waybill.stack.state import Phase, ProgramState
from waybill.stack.supervisor import Program, Supervisor
from waybill.stack.table import serving


@dataclass
class Watched:
    """What the supervisor reported."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    phase: Phase = Phase.STARTING
    programs: Mapping[str, ProgramState] = field(default_factory=dict)
    failure: str = ""
    seen: set[Process] = field(default_factory=set)

    def report(self, phase: Phase, programs: Mapping[str, ProgramState], failure: str) -> None:
        self.phase, self.programs, self.failure = phase, dict(programs), failure
        self.seen |= {program.process for program in programs.values()}


@asynccontextmanager
async def supervised(tiers: Sequence[Sequence[Program]], logs: Path) -> AsyncIterator[Watched]:
    """A supervisor that is stopped at the end; nothing that it started is alive then."""
    watched = Watched()
    task = asyncio.create_task(Supervisor(tiers, logs, watched.report).run(watched.stop))
    try:
        await until(lambda: watched.phase is not Phase.STARTING)
        yield watched
    finally:
        watched.stop.set()
        await task
    assert not [process for process in watched.seen if process.alive()]


def addresses(count: int) -> list[str]:
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


async def test_a_killed_program_is_started_again_and_its_neighbour_left_alone(tmp_path: Path) -> None:
    one, two = addresses(2)
    tiers = [[standin("one", one, tmp_path / "journal"), standin("two", two, tmp_path / "journal")]]
    async with supervised(tiers, tmp_path) as watched:
        before = watched.programs
        os.kill(before["one"].process.pid, signal.SIGKILL)
        await until(lambda: watched.programs.get("one", before["one"]) != before["one"])
        assert watched.programs["one"].restarts == 1
        assert watched.programs["two"] == before["two"]
        await until(lambda: serving(one))


async def test_a_program_is_started_again_also_where_its_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "one.log").symlink_to("/dev/full")
    faults: list[OSError] = []

    def prepare() -> None:
        if faults:
            raise faults.pop()

    (where,) = addresses(1)
    program = replace(standin("one", where, tmp_path / "journal"), prepare=prepare)
    async with supervised([[program]], tmp_path) as watched:
        before = watched.programs["one"]
        faults.append(OSError("No space left on device"))
        os.kill(before.process.pid, signal.SIGKILL)
        await until(lambda: watched.programs.get("one", before).process != before.process)
        assert not faults
        await until(lambda: serving(where))


async def test_what_a_killed_program_had_started_itself_dies_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    shell = f"sleep 3600 & echo $! > {grandchild}; wait"
    async with supervised(
        [[Program("parent", ["/bin/sh", "-c", shell], {"PATH": os.defpath})]], tmp_path
    ) as watched:
        await until(lambda: grandchild.exists() and grandchild.read_text().endswith("\n"))
        left = Process.of(int(grandchild.read_text()))
        os.kill(watched.programs["parent"].process.pid, signal.SIGKILL)
        await until(lambda: not left.alive())


async def test_each_further_death_in_a_row_waits_twice_as_long(tmp_path: Path) -> None:
    births = tmp_path / "births"
    dying = Program("dying", ["/bin/sh", "-c", f"date +%s.%N >> {births}"], {"PATH": os.defpath})
    async with supervised([[dying]], tmp_path):
        await until(lambda: births.exists() and len(births.read_text().split()) >= 6)
    gaps = [later - earlier for earlier, later in pairwise(map(float, births.read_text().split()))]
    assert gaps[1] >= 0.1
    assert gaps[2] >= 0.2
    assert gaps[3] >= 0.4
    assert gaps[4] >= 0.8
    assert min(gaps[:3]) < 0.8, "the first deaths do not wait so long"


async def test_programs_stop_in_reverse_order_of_their_tiers(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    names = ("first", "second", "third")
    tiers = [[standin(name, where, journal)] for name, where in zip(names, addresses(3), strict=True)]
    async with supervised(tiers, tmp_path):
        pass
    assert journal.read_text().split() == ["third", "second", "first"]


async def test_the_next_tier_waits_until_the_one_before_it_serves(tmp_path: Path) -> None:
    (where,) = addresses(1)
    job = Program("job", ["/bin/sh", "-c", f"date > {tmp_path / 'ran'}"], {"PATH": os.defpath}, job=True)
    asked: list[bool] = []

    def opens_late() -> bool:
        asked.append((tmp_path / "ran").exists())
        return len(asked) > 3

    gate = Program("gate", ["/bin/sleep", "60"], {}, ready=opens_late)
    async with supervised(
        [[gate], [job], [standin("last", where, tmp_path / "journal")]], tmp_path
    ) as watched:
        assert watched.phase is Phase.SERVING
    assert asked[:4] == [False] * 4
    assert (tmp_path / "ran").exists()


async def test_a_program_that_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    (where,) = addresses(1)
    stubborn = standin("stubborn", where, tmp_path / "journal", "stubborn", grace_seconds=0.3)
    async with supervised([[stubborn]], tmp_path) as watched:
        assert watched.phase is Phase.SERVING


async def test_a_job_that_fails_stops_the_start_and_its_last_words_are_told(tmp_path: Path) -> None:
    (where,) = addresses(1)
    job = Program("job", ["/bin/sh", "-c", "echo no such table; exit 3"], {"PATH": os.defpath}, job=True)
    tiers = [[standin("one", where, tmp_path / "journal")], [job], [Program("never", ["/bin/false"], {})]]
    async with supervised(tiers, tmp_path) as watched:
        await until(lambda: watched.phase is Phase.FAILED)
    assert watched.failure.startswith("job ended with exit code 3")
    assert "no such table" in watched.failure
    assert not (tmp_path / "never.log").exists()


async def test_a_program_that_never_starts_is_given_up(tmp_path: Path) -> None:
    broken = Program("broken", ["/bin/sh", "-c", "echo bad setting; exit 2"], {}, ready=lambda: False)
    async with supervised([[broken]], tmp_path) as watched:
        await until(lambda: watched.phase is Phase.FAILED)
    assert "broken ends at its start" in watched.failure
    assert watched.failure.count("bad setting") == 1
