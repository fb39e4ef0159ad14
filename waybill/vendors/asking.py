"""Asks a vendor what became of attempts that are in doubt, whoever left them.

The ledger says about which, and puts each off as it is taken; see ClaimDoubts in its contract.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.runtime import identity
from waybill.runtime.errors import ServiceError
from waybill.runtime.loops import repeating

TURN_SECONDS, MOST_TURN_SECONDS = 15.0, 300.0
AT_A_TIME = 8
ASK_SECONDS = 120.0
# So long after the hold, what a vendor does not list was never begun; later it may be forgotten.
REMEMBERED = datetime.timedelta(days=7)
log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """Why a doubt stays one, in a word; `final` where the vendor will never say more."""

    word: str
    final: bool = False


Ask = Callable[[Sequence[Entry]], Awaitable[Answer | None]]


class Asking:
    """Asks one vendor, a few doubts at a time.

    Args:
        meter: Takes doubts, and notes answers.
        vendor: Its name in the ledger.
        ask: Ends entries of one tenant and one group, on its behalf; answers why the others stay in doubt.
        group: What an entry is asked for together with.
    """

    def __init__(self, meter: Meter, vendor: str, ask: Ask, group: Callable[[Entry], str]) -> None:
        self._meter = meter
        self._vendor = vendor
        self._ask = ask
        self._group = group

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Asks until the block is left."""
        async with repeating(
            f"doubts about {self._vendor}", self.turn, TURN_SECONDS, most_seconds=MOST_TURN_SECONDS
        ):
            yield

    async def turn(self) -> None:
        """Asks about all that are due."""
        taken = AT_A_TIME
        while taken == AT_A_TIME:
            doubts = await self._meter.claim_doubts(self._vendor, AT_A_TIME)
            taken = len(doubts)
            groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
            for doubt in doubts:
                groups[doubt.tenant, self._group(doubt.entry)].append(doubt.entry)
            async with asyncio.TaskGroup() as tasks:
                for (tenant, _), entries in groups.items():
                    tasks.create_task(self._settle(tenant, entries))

    async def _settle(self, tenant: str, entries: Sequence[Entry]) -> None:
        """A task of its own: it acts as the tenant to its end."""
        identity.become(identity.Caller(tenant, entries[0].correlation_id, run_id=entries[0].run_id))
        answer: Answer | None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._ask(entries)
        except ServiceError as error:
            answer = Answer(error.reason)
        except TimeoutError:
            answer = Answer("ASK_TIMEOUT")
        log.info("doubts asked about", vendor=self._vendor, entries=len(entries), left=answer and answer.word)
        if answer is not None:
            for entry in entries:
                await self._meter.note_doubt(entry.entry_id, answer.word, final=answer.final)
