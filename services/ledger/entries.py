"""Entries and their states: HELD → SETTLED | RELEASED | IN_DOUBT, and out of doubt again."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from services.ledger import audit
from services.ledger.alerts import Alerts
from services.ledger.changing import FIND, FIND_LOCKED, Change, conflict, find
from services.ledger.plans import Plans
from services.ledger.prices import PriceTable
from services.ledger.retries import RetryBudget
from services.ledger.rows import NO_RUN, Row
from services.ledger.windows import APPLYING, AT, adjusted, moved, raised
from waybill.money import cost_nano_usd
from waybill.runtime.errors import Conflict, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

MAX_ATTEMPT_RACES = 20

# A new attempt of a spend key is its highest so far and one. The same entry id again inserts nothing,
# whoever has it; a number that was taken meanwhile is a UniqueViolation. Where no budget applies, there is no
# window, and this is all that a hold does.
HOLD = f"""
insert into waybill_ledger.entries (
    entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind, service, operation,
    vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd, owner,
    trace_id, parent_span_id, step_span_id, collection, document_key, size_bytes, window_ids,
    would_vendor, would_model, would_price_nano_usd_per_million, would_price_date, held_at, expires_at)
select %(entry_id)s, %(tenant)s, %(run_id)s, %(correlation_id)s, %(spend_key)s,
    coalesce(max(attempt), 0) + 1, 'HELD', %(kind)s, %(service)s, %(operation)s,
    %(vendor)s, %(model)s, %(unit)s, %(quantity)s, %(price)s, %(expected)s, %(owner)s,
    %(trace_id)s, %(parent_span_id)s, %(step_span_id)s, %(collection)s, %(document_key)s, %(size_bytes)s,
    {APPLYING}, %(would_vendor)s, %(would_model)s, %(would_price)s, %(would_price_date)s,
    {AT}, {AT} + %(ttl)s
from waybill_ledger.entries
where spend_key = %(spend_key)s and run_id = %(run_id)s
on conflict (entry_id) do nothing
returning *
"""  # noqa: S608  (constants only)

# The process that held an earlier attempt is gone when another one tries the same again. One that counts in a
# window is told here, and put in doubt behind this transaction.
DOUBT_EARLIER = """
with earlier as (
    select entry_id, window_ids from waybill_ledger.entries
    where spend_key = %(spend_key)s and run_id = %(run_id)s
        and state = 'HELD' and owner <> %(owner)s and attempt < %(attempt)s
), doubted as (
    update waybill_ledger.entries entry
    set state = 'IN_DOUBT', ended_at = clock_timestamp(), end_reason = 'OWNER_GONE'
    from earlier
    where entry.entry_id = earlier.entry_id and earlier.window_ids = '{}' and entry.state = 'HELD'
)
select entry_id from earlier where window_ids <> '{}'
"""

ADJUST = """
insert into waybill_ledger.adjustments (
    tenant, entry_id, run_id, correlation_id, kind, model, unit, quantity, nano_usd, reason)
values (%(tenant)s, %(entry_id)s, %(run_id)s, %(correlation_id)s, %(kind)s, %(model)s, %(unit)s,
    %(quantity)s, %(nano_usd)s, %(reason)s)
"""
REFER = """
update waybill_ledger.entries set vendor_reference = %(vendor_reference)s where entry_id = %(entry_id)s
"""


@dataclass(frozen=True)
class Hold:
    """What an attempt is about to buy; see HoldRequest in the contract."""

    entry_id: str
    spend_key: str
    kind: str
    service: str
    operation: str
    vendor: str
    model: str
    quantity: int
    unit: str
    size_bytes: int
    ttl_seconds: float
    owner: str
    trace_id: str
    parent_span_id: str
    step_span_id: str
    would_vendor: str = ""
    would_model: str = ""


class Entries:
    """The entries of every tenant, each seen through its tenant's transactions.

    Args:
        database: One tenant at a time.
        prices: What things cost.
        today: For prices.
        plans: Those that runs were begun with.
        alerts: Is told of thresholds that were reached.
        now: When entries are held; None is the database's own time, which all ledgers share.
        retries: What a run may spend on repeats.
    """

    def __init__(
        self,
        database: Database,
        prices: PriceTable,
        today: Callable[[], datetime.date],
        alerts: Alerts | None = None,
        plans: Plans | None = None,
        now: Callable[[], datetime.datetime | None] = lambda: None,
        retries: RetryBudget = RetryBudget(),  # noqa: B008 - frozen
    ) -> None:
        self._database = database
        self._prices = prices
        self._today = today
        self._plans = plans or Plans(database, today)
        self._alerts = alerts or Alerts()
        self._now = now
        self._retries = retries

    async def hold(self, who: Caller, hold: Hold) -> Row:
        """Writes an attempt down, once for each entry id.

        Raises:
            Precondition: PRICE_UNKNOWN.
            Conflict: ENTRY_CONFLICT, the id was used for another spend key, or by another tenant.
            Unavailable: SPEND_KEY_BUSY, too many try to buy the same at once.
            Quota: BUDGET_EXCEEDED or RETRY_BUDGET_EXCEEDED; nothing is written.
        """
        day = await self._price_day(who, hold)
        price = self._prices.find(hold.vendor, hold.model, hold.unit, day)
        values = {
            **vars(hold),
            "tenant": who.tenant,
            "run_id": who.run_id or NO_RUN,
            "correlation_id": who.correlation_id,
            "collection": who.collection,
            "document_key": who.document_key,
            "price": price.nano_usd_per_million,
            **self._would_cost(hold, day),
            "expected": price.cost_nano_usd(hold.quantity),
            "ttl": datetime.timedelta(seconds=hold.ttl_seconds),
            "now": self._now(),
        }
        for _ in range(MAX_ATTEMPT_RACES):
            with suppress(psycopg.errors.UniqueViolation):
                return await self._insert(who.tenant, values)
        raise Unavailable(
            "SPEND_KEY_BUSY", "Too many attempts at the same purchase at once. Repeat in a moment.", {}, 0.5
        )

    async def _price_day(self, who: Caller, hold: Hold) -> datetime.date:
        """The day of a hold's prices. A plan is only asked for where that may make a difference."""
        wanted = ((hold.vendor, hold.model), (hold.would_vendor, hold.would_model))
        if who.run_id and any(self._prices.changes(*of, hold.unit) for of in wanted):
            return await self._plans.price_day(who.tenant, who.run_id)
        return self._today()

    def _would_cost(self, hold: Hold, day: datetime.date) -> dict[str, Any]:
        """The columns that price the same work at a vendor. Raises as `hold`."""
        if not hold.would_vendor:
            return {"would_price": 0, "would_price_date": None}
        price = self._prices.find(hold.would_vendor, hold.would_model, hold.unit, day)
        return {"would_price": price.nano_usd_per_million, "would_price_date": price.valid_from}

    async def settle(self, tenant: str, entry_id: str, quantity: int) -> Row:
        """The vendor acted and reports so many units.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Conflict: ENTRY_CONFLICT, it has ended otherwise.
        """
        async with self._changing(tenant, entry_id) as change:
            reported = cost_nano_usd(change.found["price_nano_usd_per_million"], quantity)
            return await change.end("SETTLED", "", {"quantity": quantity, "reported_nano_usd": reported})

    async def release(self, tenant: str, entry_id: str, reason: str) -> Row:
        """The vendor surely did not act. Raises as `settle`."""
        async with self._changing(tenant, entry_id) as change:
            return await change.end("RELEASED", reason, {})

    async def doubt(self, tenant: str, entry_id: str, reason: str) -> Row:
        """Nobody knows whether the vendor acted. Raises as `settle`."""
        async with self._changing(tenant, entry_id) as change:
            return await change.end("IN_DOUBT", reason, {})

    async def write_off(self, who: Caller, tenant: str, entry_id: str, reason: str) -> Row:
        """Nobody will know whether the vendor acted, and nobody waits for it any more. Raises as `settle`.

        Args:
            who: Decides so.
            tenant: Whose entry it is.
            entry_id: The entry.
            reason: By which policy, or whose decision.
        """
        async with self._changing(tenant, entry_id) as change:
            # Why it was in doubt stays to be read.
            why = "; ".join(filter(None, (change.found["end_reason"], f"written off: {reason}")))
            row = await change.end("WRITTEN_OFF", why, {})
            if change.moves:  # and not a repeat
                await audit.append(change.connection, audit.written_off(who, row, reason))
            return row

    async def adjust(
        self,
        tenant: str,
        entry_id: str,
        model: str,
        unit: str,
        quantity: int,
        reason: str,
        reference: str = "",
    ) -> Row:
        """The vendor charged so many units in the end, by another price of its own.

        Its `reference` is what the vendor calls it; empty where it was not told.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Precondition: PRICE_UNKNOWN.
        """
        async with self._changing(tenant, entry_id) as change:
            # A statement of its own: only it sees what was appended while the lock was waited for.
            found = await find(change.connection, entry_id)
            price = self._prices.find(found["vendor"], model, unit, found["held_at"].date())
            charged = {"model": model, "unit": unit, "quantity": quantity, "reason": reason}
            found, more = await _charged(change, found, price.cost_nano_usd(quantity), charged)
            if reference and reference != found["vendor_reference"]:
                found["vendor_reference"] = reference
                await change.connection.execute(REFER, found)
            return {**found, "adjusted_nano_usd": found["adjusted_nano_usd"] + more}

    async def _insert(self, tenant: str, values: dict[str, Any]) -> Row:
        """Inserts with the next attempt number, or answers the entry that has this id already."""
        earlier: list[Row] = []
        alerts: Sequence[Row] = []
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(HOLD, values)).fetchone()
            new = row is not None
            if row is None:
                row = await (await connection.execute(FIND, [values["entry_id"]])).fetchone()
                if row is None or row["spend_key"] != values["spend_key"]:
                    raise conflict(values["entry_id"], "it is taken")
            if new:
                await self._retries.check(connection, row)
            if row["attempt"] > 1:
                values = {**values, "attempt": row["attempt"]}
                earlier = await (await connection.execute(DOUBT_EARLIER, values)).fetchall()
            if new and row["window_ids"]:
                alerts = await raised(connection, row)
        self._alerts.tell(alerts)
        for one in earlier:
            # In a transaction each: none locks an entry behind a window.
            with suppress(Conflict):  # it has ended meanwhile
                await self.doubt(tenant, str(one["entry_id"]), "OWNER_GONE")
        return row

    @asynccontextmanager
    async def _changing(self, tenant: str, entry_id: str) -> AsyncIterator[Change]:
        """One entry, locked; what is done to it is counted in its windows at the end."""
        async with self._database.transaction(tenant) as connection:
            change = Change(connection, await find(connection, entry_id, FIND_LOCKED))
            yield change
            alerts = [alert for moves in change.moves for alert in await moved(connection, moves)]
        self._alerts.tell(alerts)


async def _charged(change: Change, found: Row, nano_usd: int, charged: Mapping[str, Any]) -> tuple[Row, int]:
    """Appends the difference to what an entry is known to cost; answers the entry, and that difference."""
    if found["state"] in ("HELD", "IN_DOUBT"):
        wanted = {"quantity": found["quantity"], "reported_nano_usd": found["expected_nano_usd"]}
        found = {**found, **await change.end("SETTLED", "", wanted)}
    more: int = nano_usd - (found["reported_nano_usd"] or 0) - found["adjusted_nano_usd"]
    if more:
        await change.connection.execute(ADJUST, {**found, **charged, "nano_usd": more})
        change.moves.append(adjusted(found, more))
    return found, more
