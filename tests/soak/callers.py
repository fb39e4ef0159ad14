"""Callers of ledgers that never rest: `python -m tests.soak.callers TENANT SEED CALLERS ADDRESS…`.

Each has a budget of its own, which it sets to the nano-dollar before it holds: a refusal is false, and so is
a hold that passes where one nano-dollar is missing. They stop when they are killed, with what they hold.
A line of output that begins with WRONG is a complaint; others tell of ten deeds, or are the log.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf import duration_pb2

from tests.contract.makers_ledger import hold
from tests.inprocess import channel
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import ledger_service_pb2 as pb
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.errors import Deadline, Quota
from waybill.runtime.retry import insist

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

TOKEN_NANO_USD = 20
MOST_TOKENS, MOST_OPEN = 5_000, 6
CALL_SECONDS, PATIENCE_SECONDS = 10.0, 300.0
# A short hold expires while its caller lives: it goes on counting, in doubt.
LIVES_SECONDS = (0, 600, 600)
TOLD_EACH = 10
DONE = f"{TOLD_EACH} deeds done"
WRONG = "wrong:"
Ends = Callable[[str], Awaitable[int]]


class Caller:
    """One of them, and what it knows to count against its budget."""

    def __init__(self, ledgers: Sequence[LedgerServiceAsyncStub], tenant: str, name: str) -> None:
        self._ledgers, self._luck = ledgers, random.Random(name)
        self._who = identity.Caller(tenant, "soak", str(uuid.uuid4()), collection=name)
        self._name = name
        self._ended = 0
        self._open: dict[str, int] = {}

    async def deeds(self) -> None:
        """Buys and ends what it bought, for ever."""
        with identity.acting_as(self._who):
            for number in itertools.count(1):
                if len(self._open) < self._luck.randint(1, MOST_OPEN):
                    await self._buy()
                else:
                    await self._end(self._luck.choice(sorted(self._open)))
                if number % TOLD_EACH == 0:
                    print(DONE, flush=True)

    async def _buy(self) -> None:
        tokens = self._luck.randint(1, MOST_TOKENS)
        wanted = tokens * TOKEN_NANO_USD
        counted = self._ended + sum(self._open.values())
        request = hold(f"embed:s:{uuid.uuid4()}", tokens, f"embedder/{self._name}")
        request.ttl.CopyFrom(duration_pb2.Duration(seconds=self._luck.choice(LIVES_SECONDS)))
        if self._luck.random() < 0.2:
            await self._allow(counted + wanted - 1)
            if await self._held(request):
                self._complain("was held, though a nano-dollar is missing")
        await self._allow(counted + wanted)
        for _ in range(self._luck.choice((1, 1, 2))):
            if not await self._held(request):
                self._complain(f"was refused, though it fits: {counted} + {wanted}")
                return
        self._open[request.entry_id] = wanted

    async def _end(self, entry_id: str) -> None:
        """In any of the ways there are, some of them twice; a doubt stays open."""
        held = self._open.pop(entry_id)
        ways: Sequence[Ends] = (self._settle, self._settle, self._release, self._write_off, self._adjust)
        if self._luck.random() < 0.3:
            await self._say("Settle", pb.SettleRequest(entry_id=entry_id, doubt_reason="lost"))
            if self._luck.random() < 0.3:
                self._open[entry_id] = held
                return
        self._ended += await self._luck.choice(ways)(entry_id)

    async def _settle(self, entry_id: str) -> int:
        # More than was held, now and then.
        tokens = self._luck.randint(0, 2 * MOST_TOKENS)
        for _ in range(self._luck.choice((1, 2))):
            await self._say("Settle", pb.SettleRequest(entry_id=entry_id, quantity=tokens))
        return tokens * TOKEN_NANO_USD

    async def _release(self, entry_id: str) -> int:
        await self._say("Release", pb.ReleaseRequest(entry_id=entry_id, reason="refused"))
        return 0

    async def _write_off(self, entry_id: str) -> int:
        # Only a doubt is written off.
        await self._say("Settle", pb.SettleRequest(entry_id=entry_id, doubt_reason="lost"))
        await self._say("WriteOff", pb.WriteOffRequest(entry_id=entry_id, reason="nobody can tell"))
        return 0

    async def _adjust(self, entry_id: str) -> int:
        owed = 0
        for _ in range(self._luck.choice((1, 2))):
            tokens = self._luck.randint(0, MOST_TOKENS)
            request = pb.AdjustRequest(
                entry_id=entry_id,
                model="text-embedding-3-small",
                unit="token",
                quantity=tokens,
                reason="told",
            )
            await self._say("Adjust", request)
            owed = tokens * TOKEN_NANO_USD
        return owed

    async def _allow(self, limit: int) -> None:
        budget = Budget(
            collection=self._who.collection,
            kind=CostKind.COST_KIND_SIMULATED,
            unit=Budget.UNIT_NANO_USD,
            period=Budget.PERIOD_MONTH,
            limit=limit,
        )
        await self._say("SetBudget", pb.SetBudgetRequest(budget=budget))

    async def _held(self, request: pb.HoldRequest) -> bool:
        try:
            answer = await self._say("Hold", request)
        except Quota:
            return False
        return bool(answer.entry.state in (Entry.STATE_HELD, Entry.STATE_IN_DOUBT))

    async def _say(self, method: str, request: Any) -> Any:
        """To either ledger, until one has answered."""

        async def call() -> Any:
            ledger = self._luck.choice(self._ledgers)
            return await getattr(ledger, method)(request, timeout=CALL_SECONDS)

        return await insist(call, seconds=PATIENCE_SECONDS, also=(Deadline,))

    def _complain(self, what: str) -> None:
        print(f"{WRONG} {self._name} {what}", flush=True)


async def main(tenant: str, seed: str, callers: str, *addresses: str) -> None:
    """Calls until it is killed."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(channel(address)) for address in addresses]
        ledgers = [LedgerServiceStub(one) for one in channels]
        made = partial(Caller, ledgers, tenant)
        await asyncio.gather(*(made(f"{seed}-{number}").deeds() for number in range(int(callers))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
