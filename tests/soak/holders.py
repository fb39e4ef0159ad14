"""Callers and ledgers that are killed with money held: `python -m tests.soak.holders --kills 300`.

Behind them the budgets count what the entries say; once what was left is expired, and each doubt resolved, a
hold that fits to the last nano-dollar passes, and one more is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from evals.database import migrated
from tests.contract.makers_ledger import hold
from tests.inprocess import channel
from tests.pipeline.books import SUMS, WINDOWS
from tests.soak.callers import DONE, TOKEN_NANO_USD, TOLD_EACH, WRONG
from tests.waiting import eventually
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import ledger_service_pb2 as pb
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.errors import Quota
from waybill.runtime.retry import insist
from waybill.stack.ports import free_ports
from waybill.stack.table import serving

LEDGERS = 2
DEEDS_TO_A_KILL = (10, 100)
MODULE = (sys.executable, "-m")
PATIENCE_SECONDS = 120.0
# Ten minutes of a hold, which nobody waits for.
EXPIRE = "update waybill_ledger.entries set expires_at = now() where state = 'HELD'"
HELD = "select count(*) n from waybill_ledger.entries where tenant = %s and state = 'HELD'"
DOUBTS = """
select entry_id, quantity from waybill_ledger.entries where tenant = %s and state = 'IN_DOUBT'
order by entry_id
"""
OF_CALLERS = """
select b.collection, w.used from waybill_ledger.budgets b
join waybill_ledger.budget_windows w using (budget_id) where b.tenant = %s and b.collection <> ''
"""
COUNT = "select state, count(*) n from waybill_ledger.entries where tenant = %s group by 1 order by 1"


@dataclass
class Soak:
    """Two ledgers on one database, and processes of callers.

    Args:
        admin_url: The database's administrator.
        environment: A ledger's.
        folder: For output.
        seed: Of what is killed when.
        processes: Of callers at a time.
        callers: In each of them.
    """

    admin_url: str
    environment: Mapping[str, str]
    folder: Path
    seed: int
    processes: int
    callers: int
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")
    _born: int = 0

    def play(self, kills: int) -> list[str]:
        """Lets them call, and kills so often; answers what did not hold."""
        luck = random.Random(self.seed)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(LEDGERS)]
        with self._ledgers(addresses) as ledgers:
            asyncio.run(self._allow("", 10**15, addresses))
            callers = [self._caller(addresses) for _ in range(self.processes)]
            try:
                for _ in range(kills):
                    self._await(self.deeds + luck.randint(*DEEDS_TO_A_KILL))
                    self._kill(luck, ledgers, callers, addresses)
            finally:
                alive = [one.poll() is None for one in callers]
                for one in callers:
                    _killed(one)
            assert all(alive), "callers ended by themselves; see their output"
            return [*self._complaints(), *self._checked(addresses)]

    @property
    def deeds(self) -> int:
        """So many that were told of."""
        return sum(text.count(DONE) for text in self._outputs()) * TOLD_EACH

    def _await(self, deeds: int) -> None:
        eventually(lambda: self.deeds >= deeds, "the callers call", PATIENCE_SECONDS, pause_seconds=0.1)

    def _kill(
        self,
        luck: random.Random,
        ledgers: list[subprocess.Popen[bytes]],
        callers: list[subprocess.Popen[bytes]],
        addresses: Sequence[str],
    ) -> None:
        if luck.random() < 0.5:
            number = luck.randrange(len(callers))
            _killed(callers[number])
            callers[number] = self._caller(addresses)
        else:
            number = luck.randrange(LEDGERS)
            _killed(ledgers[number])
            ledgers[number] = self._ledger(addresses[number])

    @contextmanager
    def _ledgers(self, addresses: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
        ledgers = [self._ledger(address) for address in addresses]
        try:
            for address in addresses:
                eventually(lambda at=address: serving(at), "a ledger serves")  # type: ignore[misc]
            yield ledgers
        finally:
            for one in ledgers:
                _killed(one)

    def _ledger(self, address: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.environment, "WAYBILL_BIND": address}
        with (self.folder / "ledgers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.ledger"], env=environment, stderr=log, stdout=log
            )

    def _caller(self, addresses: Sequence[str]) -> subprocess.Popen[bytes]:
        self._born += 1
        words = [self.tenant, f"{self.seed}-{self._born}", str(self.callers), *addresses]
        with (self.folder / f"callers-{self._born}.out").open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.soak.callers", *words], stdout=out, stderr=out
            )

    def _outputs(self) -> Iterator[str]:
        return (file.read_text() for file in sorted(self.folder.glob("callers-*.out")))

    def _complaints(self) -> list[str]:
        lines = [line for text in self._outputs() for line in text.splitlines()]
        return [line for line in lines if line.startswith(WRONG)]

    def _checked(self, addresses: Sequence[str]) -> list[str]:
        """What does not hold now, and once nothing is held or in doubt any more."""
        complaints = self._windows("as they were killed")
        with psycopg.connect(self.admin_url) as connection:
            connection.execute(EXPIRE.encode())
        eventually(lambda: self._rows(HELD)[0]["n"] == 0, "what they held expires", pause_seconds=0.25)
        complaints += self._windows("expired")
        asyncio.run(self._resolve(addresses))
        complaints += self._windows("resolved")
        left = [row for row in self._rows(WINDOWS, 2) if row["held"] or row["in_doubt"]]
        return [*complaints, *(f"left over: {row}" for row in left), *asyncio.run(self._fits(addresses))]

    def _windows(self, when: str) -> list[str]:
        wrong = [
            row for row in self._rows(WINDOWS, 2) if any(row[name] != row[f"entries_{name}"] for name in SUMS)
        ]
        return [f"{when}, a budget counts what its entries do not say: {row}" for row in wrong]

    async def _resolve(self, addresses: Sequence[str]) -> None:
        """Each doubt comes out in one of three ways."""
        with identity.acting_as(identity.Caller(self.tenant, "soak")):
            for number, row in enumerate(self._rows(DOUBTS)):
                entry_id = str(row["entry_id"])
                match number % 3:
                    case 0:
                        settled = pb.SettleRequest(entry_id=entry_id, quantity=row["quantity"])
                        await self._say(addresses, "Settle", settled)
                    case 1:
                        released = pb.ReleaseRequest(entry_id=entry_id, reason="nothing was done")
                        await self._say(addresses, "Release", released)
                    case _:
                        off = pb.WriteOffRequest(entry_id=entry_id, reason="nobody can tell")
                        await self._say(addresses, "WriteOff", off)

    async def _fits(self, addresses: Sequence[str]) -> list[str]:
        """In each caller's budget, what is left fits exactly once, and not a nano-dollar more."""
        complaints = []
        for row in self._rows(OF_CALLERS):
            who = identity.Caller(self.tenant, "soak", str(uuid.uuid4()), collection=row["collection"])
            with identity.acting_as(who):
                for less, passes in ((1, False), (0, True)):
                    await self._allow(row["collection"], row["used"] + TOKEN_NANO_USD - less, addresses)
                    held = hold(f"embed:s:{uuid.uuid4()}", 1)
                    try:
                        await self._say(addresses, "Hold", held)
                    except Quota:
                        if passes:
                            complaints.append(f"refused, though it fits: {row}")
                    else:
                        if not passes:
                            complaints.append(f"passed, though a nano-dollar is missing: {row}")
        return complaints

    async def _allow(self, collection: str, limit: int, addresses: Sequence[str]) -> None:
        period = Budget.PERIOD_MONTH if collection else Budget.PERIOD_DAY
        budget = Budget(
            collection=collection,
            kind=CostKind.COST_KIND_SIMULATED,
            unit=Budget.UNIT_NANO_USD,
            period=period,
            limit=limit,
        )
        with identity.acting_as(identity.Caller(self.tenant, "soak")):
            await self._say(addresses, "SetBudget", pb.SetBudgetRequest(budget=budget))

    async def _say(self, addresses: Sequence[str], method: str, request: Any) -> Any:
        async with channel(addresses[0]) as opened:
            call = getattr(LedgerServiceStub(opened), method)
            return await insist(lambda: call(request, timeout=10.0), seconds=PATIENCE_SECONDS)

    def _rows(self, query: str, tenants: int = 1) -> list[dict[str, Any]]:
        with psycopg.connect(self.admin_url, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), [self.tenant] * tenants).fetchall()

    def summary(self) -> str:
        """What there was."""
        states = ", ".join(f"{row['n']} {row['state']}" for row in self._rows(COUNT))
        return f"{self.deeds} deeds at least, {self._born} processes of callers: {states}"


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def main(words: Sequence[str]) -> int:
    """Plays on a database of its own; the exit code says whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.holders", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    asked = parser.parse_args(words)
    print(f"seed {asked.seed}", flush=True)
    with migrated() as urls, tempfile.TemporaryDirectory() as folder:
        environment = ledger_environment(urls.roles["waybill_ledger"], urls.roles["waybill_ledger_owner"])
        soak = Soak(urls.admin, environment, Path(folder), asked.seed, asked.processes, asked.callers)
        complaints = soak.play(asked.kills)
        print("\n".join([*complaints[:20], soak.summary()]), flush=True)
    return 1 if complaints else 0


def ledger_environment(url: str, owner_url: str) -> Mapping[str, str]:
    """A ledger's settings."""
    return {"WAYBILL_DATABASE_URL": url, "WAYBILL_OWNER_DATABASE_URL": owner_url}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
