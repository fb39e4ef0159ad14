"""Vendors go away in the middle of hybrid runs, and come back: `python -m tests.soak.outages --seeds 50`.

A seed fixes the documents, who goes away, when, how and for how long, who heals, and what is killed besides;
not the interleaving. One stack for all; `--first 17 --seeds 1` plays seed 17 again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.pipeline.books import Books
from tests.pipeline.hybrid import HASTE, QUICK_SECONDS, Hybrid, hybrid_stack, simulators
from tests.pipeline.test_simulated_parser import LAPSE, closed
from tests.pipeline.workbench import Workbench
from tests.soak.outage_checks import Checks, First, Played, Whole, afterwards, backends_of, bought
from tests.soak.outage_documents import documents
from tests.soak.outage_plan import BEFORE, Healer, Manner, Outage, Until
from tests.soak.outage_plan import FAULTS as MANNERS
from tests.waiting import eventually, settled
from waybill.client import FINAL_STATES
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListRunsRequest, SearchResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.settings import HOME
from waybill.sim.openai.settings import PRICES
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE

SELDOM_SECONDS = 0.25
# A program that comes back, a heal, a vendor that is silent: each more than once, on a slow machine.
PATIENCE_SECONDS = 300.0
# Long enough for an outage to fall into a request.
SLOW_SECONDS = 0.3
STOPPED = "delay 0.7"
# Seeds have the same documents, and an answer from the vendor's cache would cost nothing. A parse that is
# created under any fault has none; this one shows its job 0 seconds late.
NOT_CACHED = "F30/0"
# What a dead process held, ten minutes later.
EXPIRE = "update waybill_ledger.entries set expires_at = now() where state = 'HELD' and expires_at > now()"
TOKENS = """
select coalesce(sum(c.token_count), 0)::int as tokens from waybill_index.chunks c
join waybill_index.documents d on d.current_version_id = c.version_id
where d.tenant = %s and d.document_key = %s
"""


@dataclass
class Play:
    """One outage on a running stack."""

    hybrid: Hybrid
    outage: Outage
    contents: Mapping[str, bytes]
    runs: dict[str, str] = field(default_factory=dict)
    firsts: dict[str, First] = field(default_factory=dict)
    found: SearchResponse | None = None
    came: bool = True

    def play(self) -> Played:
        """Does all of it, and returns when every run is READY and nothing is open."""
        hybrid, outage, bench = self.hybrid, self.outage, self.hybrid.bench
        seen = {name: len(vendor.journal) for name, vendor in hybrid.vendors.items()}
        books = Books(bench, hybrid.vendors, CostKind.COST_KIND_REAL)
        owed = hybrid.vendors[LLAMAPARSE.name].invoice.total_nano_usd
        files = {name: bench.file(name, self.contents[name]) for name in outage.documents}
        plans = {name: bench.client.plan(file).lines[0] for name, file in files.items()}
        hybrid.vendors[OPENAI.name].delay(SLOW_SECONDS)
        if outage.moment == BEFORE:
            self._away()
        elif not outage.moment.vendor:
            bench.arm(outage.moment.place, f"{STOPPED} after {outage.moment.count}")
        self.runs = {name: bench.client.ingest(file).run_id for name, file in files.items()}
        if outage.moment != BEFORE:
            eventually(lambda: self._struck(seen) or self._ended(), "the moment comes", PATIENCE_SECONDS)
            self.came = self._struck(seen)
            self._away()
        if not outage.killed_in_heal:
            self._kill()
        if outage.storage_seconds:
            hybrid.cut_off(SUPABASE.name)
            threading.Event().wait(outage.storage_seconds)
            hybrid.back(SUPABASE.name)
        self._until_back()
        self.back()
        self._heal()
        eventually(self._healed, "all are healed", seconds=PATIENCE_SECONDS, pause_seconds=SELDOM_SECONDS)
        eventually(bench.all_serving, "all serve", seconds=PATIENCE_SECONDS, pause_seconds=SELDOM_SECONDS)
        runs = list(self.runs.values())
        eventually(
            lambda: closed(bench, hybrid.vendors[LLAMAPARSE.name], runs, owed),
            "the parses are those of the invoice",
            seconds=PATIENCE_SECONDS,
            pause_seconds=SELDOM_SECONDS,
        )
        if self._held():
            bench.change(EXPIRE)
            eventually(
                lambda: not self._held(),
                "what is held expires",
                seconds=PATIENCE_SECONDS,
                pause_seconds=SELDOM_SECONDS,
            )
        return Played(
            hybrid, outage, books, self.runs, self.firsts, self.found, plans,
            lambda name: hybrid.vendors[name].journal[seen[name] :],
        )  # fmt: skip

    def _struck(self, seen: Mapping[str, int]) -> bool:
        moment = self.outage.moment
        if not moment.vendor:
            return self.hybrid.bench.used(moment.place)
        return self.hybrid.reached(moment.vendor, moment.place, seen[moment.vendor], moment.count)

    def _away(self) -> None:
        for name in self.outage.vendors:
            vendor, manner = self.hybrid.vendors[name], self.outage.manner
            match manner:
                case Manner.DEAD:
                    self.hybrid.cut_off(name)
                case Manner.KEY_REFUSED:
                    vendor.keys.revoke(vendor.key)
                case _:
                    vendor.faults.heal()
                    vendor.faults.add(MANNERS[name][manner])

    def back(self) -> None:
        """Every vendor serves again."""
        for name in self.outage.vendors:
            vendor = self.hybrid.vendors[name]
            self.hybrid.back(name)
            vendor.faults.heal()
            vendor.keys.add(vendor.key)
            if name == LLAMAPARSE.name:
                vendor.faults.add(NOT_CACHED)

    def _until_back(self) -> None:
        outage = self.outage
        if outage.until is Until.SOON:
            threading.Event().wait(outage.seconds)
            self._ended()
            return
        eventually(self._ended, "all runs end", seconds=PATIENCE_SECONDS, pause_seconds=SELDOM_SECONDS)
        if outage.searches:
            self.found = self.hybrid.search()
        if outage.healer is Healer.EARLY:
            self._command()
            eventually(
                self._ended,
                "what was healed too early ends",
                seconds=PATIENCE_SECONDS,
                pause_seconds=SELDOM_SECONDS,
            )
        if outage.until is Until.TWICE:
            self.back()
            eventually(
                self._in_heal(), "a heal is under way", seconds=PATIENCE_SECONDS, pause_seconds=SELDOM_SECONDS
            )
            self._away()
            threading.Event().wait(outage.seconds)

    def _heal(self) -> None:
        under_way = self._in_heal()
        if self.outage.healer is Healer.COMMAND:
            self._command()
        if self.outage.killed_in_heal and self.outage.killed:
            eventually(
                under_way, "a heal is under way", seconds=PATIENCE_SECONDS, pause_seconds=SELDOM_SECONDS
            )
            self._kill()

    def _in_heal(self) -> Callable[[], bool]:
        """Says whether a vendor that was away is asked for work again, or nothing is left to do."""
        seen = {name: len(self.hybrid.vendors[name].journal) for name in self.outage.vendors}
        work = {LLAMAPARSE.name: "parse.create", OPENAI.name: "embeddings"}

        def under_way() -> bool:
            asked = any(self.hybrid.reached(name, work[name], seen[name], 1) for name in self.outage.vendors)
            return asked or self._healed()

        return under_way

    def _command(self) -> None:
        """`waybill heal --all`, as a user has it."""
        bench = self.hybrid.bench
        command = [str(Path(sys.executable).parent / "waybill"), "heal", "--all", "--tenant", bench.tenant]
        environment = {**os.environ, HOME.name: str(bench.home.folder)}
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def _kill(self) -> None:
        if killed := self.outage.killed:
            self.hybrid.bench.kill(killed)
            if killed in LAPSE:
                self.hybrid.bench.change(LAPSE[killed])

    def _ended(self) -> bool:
        """Whether all runs have ended at least once; notes how."""
        for run in self._list():
            name = run.document_key
            if name not in self.firsts and run.state in FINAL_STATES:
                [row] = self.hybrid.bench.rows(TOKENS, self.hybrid.bench.tenant, name)
                cost = row["tokens"] * PRICES["text-embedding-3-small"]
                self.firsts[name] = First(run, self.hybrid.chunks(run), cost)
        return set(self.firsts) == set(self.outage.documents)

    def _healed(self) -> bool:
        self.hybrid.bench.change(HASTE)
        return self._ended() and self.hybrid.healed(list(self.runs.values()))

    def _list(self) -> Sequence[Run]:
        request = ListRunsRequest(page_size=100)
        return self.hybrid.bench.client.orchestrator.ListRuns(request).runs

    def _held(self) -> bool:
        entries = self.hybrid.entries(list(self.runs.values()))
        return any(entry.state == Entry.STATE_HELD for entry in entries)


class Outages:
    """Outages on one stack, and what they came to."""

    def __init__(self, home: Home, vendors: Mapping[str, Remote], folder: Path) -> None:
        self._home, self._vendors, self._folder = home, vendors, folder
        self._contents = documents()
        self._wholes: dict[str, Whole] = {}
        self.tally: Counter[str] = Counter()

    @classmethod
    @contextmanager
    def over(cls, home: Home, vendors: Mapping[str, Remote], folder: Path) -> Iterator[Self]:
        """On a stack in hybrid mode over these simulators; files lie in the folder."""
        faults = vendors[LLAMAPARSE.name].faults
        faults.add(NOT_CACHED)
        try:
            yield cls(home, vendors, folder)
        finally:
            faults.heal()

    @contextmanager
    def _tenant(self, seed: int) -> Iterator[Hybrid]:
        tenant = f"t{uuid.uuid4().hex[:12]}"
        with Workbench.of(self._home, tenant, self._folder / tenant) as bench:
            yield Hybrid(bench, self._vendors, random.Random(seed))

    def play(self, seed: int) -> list[str]:
        """One seed; answers what does not hold."""
        outage = Outage.of(seed, sorted(self._contents))
        self._learn(outage.documents)
        with self._tenant(seed) as hybrid:
            play = Play(hybrid, outage, self._contents)
            try:
                played = play.play()
                complaints = settled(lambda: Checks(played, self._wholes).broken())
                complaints = complaints or list(afterwards(played))
                self._count(played)
                self.tally["moments that never came"] += not play.came
            finally:
                hybrid.bench.disarm()
                hybrid.vendors[OPENAI.name].delay(QUICK_SECONDS)
                play.back()
        return complaints

    def _learn(self, names: Sequence[str]) -> None:
        """Runs documents that no seed has had so far, undisturbed."""
        with self._tenant(0) as hybrid:
            bench = hybrid.bench
            files = [bench.file(name, self._contents[name]) for name in names if name not in self._wholes]
            runs = [bench.finish(run_id) for run_id in [bench.client.ingest(file).run_id for file in files]]
            rows = bench.indexed() if runs else []
            for run in runs:
                assert run.state == Run.STATE_READY, run
                entries = bench.entries(run.run_id)
                chunks = [row for row in rows if row["document_key"] == run.document_key]
                parse, embed = bought(entries, "parse"), bought(entries, "embed")
                self._wholes[run.document_key] = Whole(chunks, backends_of(run), parse, embed)

    def _count(self, played: Played) -> None:
        self.tally["documents"] += len(played.runs)
        for first in played.firsts.values():
            self.tally[f"first {Run.State.Name(first.run.state)} {first.run.reason}".strip()] += 1
        entries = played.hybrid.entries(list(played.runs.values()))
        self.tally["entries"] += len(entries)
        self.tally["in doubt"] += sum(entry.state == Entry.STATE_IN_DOUBT for entry in entries)


def main(words: Sequence[str]) -> int:
    """Plays seeds; the exit code says whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.outages", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="waybill-soak-"))
    folder.chmod(0o711)
    home = Home(folder / "a stack")
    failed = []
    with (
        simulators() as vendors,
        hybrid_stack(home, vendors),
        Outages.over(home, vendors, folder / "files") as outages,
    ):
        for seed in range(asked.first, asked.first + asked.seeds):
            began_at = time.monotonic()
            print(f"seed {seed}: {Outage.of(seed, sorted(documents()))}", flush=True)
            try:
                complaints = outages.play(seed)
            except Exception as error:  # it is told and counted
                traceback.print_exc(limit=-6, chain=False)
                complaints = [repr(error)]
            failed += [seed] * bool(complaints)
            print("".join(f"  {complaint}\n" for complaint in complaints), end="")
            print(f"  {time.monotonic() - began_at:.1f} s", flush=True)
    if failed:
        print(f"FAILED: {failed}; logs and data stay in {home.folder}")
    else:
        shutil.rmtree(folder)
    print(f"{asked.seeds} seeds, {len(failed)} failed")
    print("\n".join(f"  {name}: {count}" for name, count in sorted(outages.tally.items())), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
