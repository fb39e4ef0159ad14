"""Parses that are in doubt though no job asks for them: the engine is asked by the entry's id."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import structlog

from services.parser.backends.port import Order, Parse, Parser, Stage
from services.parser.charging import CHARGED, GIVEN_UP_AFTER, NOT_BEGUN
from services.parser.jobs import Jobs
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.runtime import identity
from waybill.runtime.clock import Now, utc_now
from waybill.runtime.errors import Conflict
from waybill.vendors.asking import REMEMBERED, Answer

# A parse that no job knows of is not forgotten at the vendor before its charge is told: it can be asked for
# beyond GIVEN_UP_AFTER, for as long as a result may be kept there.
NEVER_TOLD_AFTER = datetime.timedelta(days=30)
log = structlog.get_logger()


class ParseDoubts:
    """Ends the entries of parses as the engine tells.

    Args:
        jobs: Those that may still want a parse.
        engine: What parsed; it keeps its parses.
        meter: What writes down the price.
        now: The time.
    """

    def __init__(self, jobs: Jobs, engine: Parser, meter: Meter, now: Now = utc_now) -> None:
        self._jobs = jobs
        self._engine = engine
        self._meter = meter
        self._now = now

    async def ask(self, entries: Sequence[Entry]) -> Answer | None:
        """See `vendors.asking.Asking`; entries come one by one. Raises what the engine raises."""
        (entry,) = entries
        held_at = entry.hold_time.ToDatetime(datetime.UTC)
        age = self._now() - held_at
        order = Order(entry.entry_id, entry.model, held_at, entry.quantity)
        await self._engine.leisure()
        parse = await self._engine.find(order)
        if parse is None:
            if age > REMEMBERED:
                return Answer("PARSE_NOT_LISTED", final=True)
            await self._release(entry, NOT_BEGUN)
            return None
        wanted = await self._wanted(entry)
        if parse.stage is Stage.RUNNING:
            if wanted:
                return Answer("PARSE_RUNS")
            parse = await self._engine.cancel(parse.id, order)
        charge = await self._engine.charge(parse.id)
        if charge is None:
            return await self._untold(entry, parse, age)
        adjusted = await self._meter.adjust(
            entry.entry_id, charge.model, charge.unit, charge.quantity, CHARGED, parse.id
        )
        self._meter.record(adjusted)
        if not wanted:
            await self._engine.forget(parse.id, order)
        return None

    async def _untold(self, entry: Entry, parse: Parse, age: datetime.timedelta) -> Answer | None:
        """The charge of a parse that has ended is not told, or not yet."""
        if parse.charged_pages == 0 and age > GIVEN_UP_AFTER:
            await self._release(entry, "the parse ended for nothing")
            return None
        return Answer("CHARGE_NOT_TOLD", final=age > NEVER_TOLD_AFTER)

    async def _wanted(self, entry: Entry) -> bool:
        """Whether a job may still want the parse: it then tidies up."""
        source_sha256 = entry.spend_key.split(":")[1]
        return await self._jobs.has_attempt(identity.caller().tenant, source_sha256, entry.entry_id)

    async def _release(self, entry: Entry, reason: str) -> None:
        try:
            self._meter.record(await self._meter.release(entry.entry_id, reason))
        except Conflict as error:
            log.info("entry had ended", entry_id=entry.entry_id, reason=error.reason)
