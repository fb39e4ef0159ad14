"""Rounds of random faults against one real stack: `python -m tests.soak --rounds 300 --minutes 30`.

Seed and round fix the documents, the faults and the deeds, not the interleaving. A failing round is
played again by `--seed S --round N`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.pipeline.workbench import FAULTS, Workbench
from tests.soak import batches
from tests.soak.invariants import Invariants, stored
from tests.soak.plan import Plan
from tests.soak.processes import strays
from tests.soak.replicas import ORCHESTRATOR, replicas
from tests.soak.round import Round
from tests.waiting import settled
from waybill.client import Client, connect
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.stack import operate, state
from waybill.stack.home import Home

# The last words of a process' neighbours, spans under way, the sweep of replaced versions.
SETTLING_SECONDS = 40.0
MOST_FAILURES = 10
UNSWEPT = """
select v.state, count(*) from waybill_index.chunks c join waybill_index.document_versions v using (version_id)
where c.tenant = %s and v.state not in ('PUBLISHED', 'BUILDING') group by v.state
"""
# Holds last ten minutes; nobody waits for that.
TIME_PASSES = """
update waybill_ledger.entries set expires_at = clock_timestamp() where state = 'HELD' returning entry_id
"""
STILL_HELD = "select entry_id from waybill_ledger.entries where state = 'HELD'"


def main(words: Sequence[str]) -> int:
    """Plays rounds; the exit code says whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--round", type=int, help="play this one alone")
    asked = parser.parse_args(words)
    numbers = [asked.round] if asked.round is not None else range(asked.rounds)
    print(f"seed {asked.seed}", flush=True)
    ends_at = time.monotonic() + asked.minutes * 60
    with stack() as home, replicas(home) as second:
        soak = Soak(home, second, asked.seed)
        for number in numbers:
            if time.monotonic() > ends_at or soak.failures == MOST_FAILURES:
                print(f"stopped after {soak.rounds} rounds: the time is up, or too much fails")
                break
            soak.play(number)
        soak.finish()
    if asked.round is None:
        soak.play_batches()
    if soak.failures:
        print(f"logs and data stay in {home.folder}")
    else:
        shutil.rmtree(home.folder)
    print(soak.summary(), flush=True)
    return 1 if soak.failures else 0


@contextmanager
def stack() -> Iterator[Home]:
    """A stack of its own, with fault points. Its folder stays when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="waybill-soak-"))
    folder.chmod(0o711)
    home = Home(folder)
    (folder / FAULTS).mkdir()
    os.environ["WAYBILL_FAULTS"] = str(folder / FAULTS)
    try:
        operate.up(home, "free")
        yield home
    finally:
        operate.down(home)


class Soak:
    """Rounds on one stack, and what they came to."""

    def __init__(self, home: Home, second: Home, seed: int) -> None:
        self._home = home
        self._homes = (home, second)
        self._seed = seed
        self._left: list[Round] = []
        self._began_at = time.monotonic()
        self.rounds = 0
        self.failures = 0
        self.tally: Counter[str] = Counter()

    def play(self, number: int) -> None:
        """One round with all its checks; a failure is told, and the next round goes on."""
        plan = Plan.of(self._seed, number)
        began_at = time.monotonic()
        self.rounds += 1
        try:
            self._clear(but=1)
            tenant = f"soak-{plan.name}"
            folder = self._home.folder / "files" / tenant
            with Workbench.of(self._home, tenant, folder) as bench, self._other(tenant) as other:
                played = Round(bench, other, self._homes, plan)
                played.play()
                held = self._check(played)
            shutil.rmtree(folder)
        except Exception:  # whatever it is, it is told and counted below
            traceback.print_exc(limit=-3, chain=False)
            held = False
        if not held:
            self.failures += 1
            print(f"FAILED: --seed {self._seed} --round {number}\n  {plan}")
        print(f"round {number}: {time.monotonic() - began_at:.1f} s", flush=True)

    @contextmanager
    def _other(self, tenant: str) -> Iterator[Client]:
        """A client of the second orchestrator."""
        found = list(filter(None, map(state.read, self._homes)))
        addresses = {**found[0].addresses, "orchestrator": found[1].addresses[ORCHESTRATOR]}
        with connect(addresses, tenant=tenant, environ={}) as client:
            yield client

    def play_batches(self) -> None:
        """The batch tier, on a stack of its own."""
        try:
            complaints = batches.complaints()
        except Exception as error:  # it is told and counted, as a round's is
            traceback.print_exc(limit=-3, chain=False)
            complaints = [f"the batches broke: {error!r}"]
        self.failures += len(complaints)
        print("".join(f"  {complaint}\n" for complaint in complaints), end="")

    def finish(self) -> None:
        """Clears the last rounds, and sees that no hold outlives its time."""
        self._clear(but=0)
        self._let_holds_expire()

    def _let_holds_expire(self) -> None:
        """Holds of cancelled runs whose process died turn into doubts once their time is over."""
        with Workbench.of(self._home, "soak", self._home.folder) as bench:
            self.tally["holds left to expire"] = len(bench.rows(TIME_PASSES))
            if complaints := settled(lambda: [str(row) for row in bench.rows(STILL_HELD)], SETTLING_SECONDS):
                self.failures += 1
                print(f"still held after their time: {complaints}")

    def summary(self) -> str:
        """For people, and for docs/reliability.md."""
        minutes = (time.monotonic() - self._began_at) / 60
        lines = [f"seed {self._seed}: {self.rounds} rounds in {minutes:.1f} min, {self.failures} failed"]
        return "\n".join(lines + [f"  {name}: {count}" for name, count in sorted(self.tally.items())])

    def _check(self, played: Round) -> bool:
        complaints = settled(lambda: [*Invariants(played).broken(), *strays(self._homes)], SETTLING_SECONDS)
        seen = Invariants(played)
        complaints = complaints or seen.wrong_vectors()
        print("".join(f"  {complaint}\n" for complaint in complaints), end="")
        self._count(played, seen.entries)
        if not complaints:
            self._left.append(played)
        return not complaints

    def _count(self, played: Round, entries: Sequence[Entry]) -> None:
        self.tally.update(played.broken)
        self.tally["documents accepted"] += len(played.sent)
        for end in {run.state for run in played.runs}:
            name = Run.State.Name(end).removeprefix("STATE_")
            self.tally[f"runs {name}"] += len(played.ended(end))
        for operation in ("parse", "embed"):
            again = [one for one in entries if one.operation == operation and one.attempt > 1]
            self.tally[f"{operation} attempts repeated"] += len(again)
        self.tally["entries in doubt"] += sum(one.state == Entry.STATE_IN_DOUBT for one in entries)

    def _clear(self, but: int) -> None:
        """Clears all rounds but the newest, whose replaced versions the sweeper still spares."""
        while len(self._left) > but:
            played = self._left.pop(0)
            with Workbench.of(self._home, played.bench.tenant, played.bench.folder) as bench:
                self._clear_away(bench, played)

    def _clear_away(self, bench: Workbench, played: Round) -> None:
        """Sees that the sweeper has done its work, then deletes all documents."""
        if unswept := settled(
            lambda: [str(row) for row in bench.rows(UNSWEPT, bench.tenant)], SETTLING_SECONDS
        ):
            raise AssertionError(f"the sweeper left content of {bench.tenant} behind: {unswept}")
        for key in played.wanted:
            bench.client.orchestrator.DeleteDocument(DeleteDocumentRequest(document_key=key))
        if left := list(stored(bench)):
            raise AssertionError(f"objects of {bench.tenant} that outlived every document: {sorted(left)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
