"""Entries and their states: HELD → SETTLED | RELEASED | IN_DOUBT, and out of doubt again."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from services.ledger.alerts import Alerts
from services.ledger.prices import PriceTable, cost_nano_usd
from services.ledger.windows import APPLYING, AT, NO_RUN, Moves, Row, adjusted, changes, moved, raised
from waybill.runtime.errors import Conflict, NotFound, Quota, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Connection, Database

MAX_ATTEMPT_RACES = 20
EXPIRED_AT_ONCE = 1_000
# In an answer's 2 MiB, beside a page of entries.
MAX_TOTALS = 10_000

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

ADJUSTED = """(select coalesce(sum(nano_usd), 0)::bigint from waybill_ledger.adjustments a
    where a.entry_id = entries.entry_id) adjusted_nano_usd"""
FIND = f"select *, {ADJUSTED} from waybill_ledger.entries where entry_id = %s"  # noqa: S608  (constants only)
# One at a time for each entry: what it counts, and what it was corrected by, changes once.
FIND_LOCKED = f"{FIND} for update"
ADJUST = """
insert into waybill_ledger.adjustments (
    tenant, entry_id, run_id, correlation_id, kind, model, unit, quantity, nano_usd, reason)
values (%(tenant)s, %(entry_id)s, %(run_id)s, %(correlation_id)s, %(kind)s, %(model)s, %(unit)s,
    %(quantity)s, %(nano_usd)s, %(reason)s)
"""

BEFORE = {
    "SETTLED": ["HELD", "IN_DOUBT"],
    "RELEASED": ["HELD", "IN_DOUBT"],
    "IN_DOUBT": ["HELD"],
    "WRITTEN_OFF": ["IN_DOUBT"],
}
# Only from a state that may be left; the row that comes back has the end that was asked for.
END = """
update waybill_ledger.entries
set state = %(state)s, ended_at = clock_timestamp(), end_reason = %(reason)s,
    quantity = coalesce(%(quantity)s, quantity),
    reported_nano_usd = coalesce(%(reported)s, reported_nano_usd)
where entry_id = %(entry_id)s and state = any(%(before)s)
returning *
"""

# In one order, and not those that another ledger expires.
EXPIRE = f"""
update waybill_ledger.entries
set state = 'IN_DOUBT', ended_at = {AT}, end_reason = 'EXPIRED'
where entry_id in (
    select entry_id from waybill_ledger.entries where state = 'HELD' and expires_at < {AT}
    order by entry_id limit {EXPIRED_AT_ONCE} for update skip locked)
returning *
"""  # noqa: S608  (constants only)

MATCHING = """
(%(run_ids)s::uuid[] is null or run_id = any(%(run_ids)s))
    and (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
"""

LIST = f"""
select *, {ADJUSTED} from waybill_ledger.entries
where {MATCHING}
    and (%(after)s::timestamptz is null or (held_at, entry_id) > (%(after)s, %(after_id)s::uuid))
{{doubts}}
order by held_at, entry_id
limit %(limit)s
"""  # noqa: S608  (constants only)
# A constant, so that its own index is walked.
DOUBTS = "and state = 'IN_DOUBT'"

# Settled money by kind, and money that is held or in doubt.
TOTALS = f"""
select run_id,
    coalesce(sum(reported_nano_usd) filter (where state = 'SETTLED' and kind = 'REAL'), 0) cost,
    coalesce(sum(reported_nano_usd) filter (where state = 'SETTLED' and kind = 'SIMULATED'), 0) simulated,
    coalesce(sum(expected_nano_usd) filter (where state in ('HELD', 'IN_DOUBT') and kind = 'REAL'), 0)
        uncertain,
    coalesce(sum(expected_nano_usd) filter (where state in ('HELD', 'IN_DOUBT') and kind = 'SIMULATED'), 0)
        uncertain_simulated
from (
    select run_id, correlation_id, kind, state, reported_nano_usd, expected_nano_usd
    from waybill_ledger.entries
    union all
    select run_id, correlation_id, kind, 'SETTLED', nano_usd, 0 from waybill_ledger.adjustments
) owed
where {MATCHING} and run_id <> '{NO_RUN}'
group by run_id
limit %(limit)s
"""  # noqa: S608  (constants only)


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


@dataclass(frozen=True)
class EntryFilter:
    """Which entries a listing is about; None means any."""

    run_ids: Sequence[str] | None
    correlation_id: str | None
    in_doubt: bool = False


class Entries:
    """The entries of every tenant, each seen through its tenant's transactions.

    Args:
        database: One tenant at a time.
        prices: What things cost.
        today: For prices.
        alerts: Is told of thresholds that were reached.
        now: When entries are held; None is the database's own time, which all ledgers share.
    """

    def __init__(
        self,
        database: Database,
        prices: PriceTable,
        today: Callable[[], datetime.date],
        alerts: Alerts | None = None,
        now: Callable[[], datetime.datetime | None] = lambda: None,
    ) -> None:
        self._database = database
        self._prices = prices
        self._today = today
        self._alerts = alerts or Alerts()
        self._now = now

    async def hold(self, who: Caller, hold: Hold) -> Row:
        """Writes an attempt down, once for each entry id.

        Raises:
            Precondition: PRICE_UNKNOWN.
            Conflict: ENTRY_CONFLICT, the id was used for another spend key, or by another tenant.
            Unavailable: SPEND_KEY_BUSY, too many try to buy the same at once.
            Quota: BUDGET_EXCEEDED; nothing is written.
        """
        price = self._prices.find(hold.vendor, hold.model, hold.unit, self._today())
        values = {
            **vars(hold),
            "tenant": who.tenant,
            "run_id": who.run_id or NO_RUN,
            "correlation_id": who.correlation_id,
            "collection": who.collection,
            "document_key": who.document_key,
            "price": price.nano_usd_per_million,
            **self._would_cost(hold),
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

    def _would_cost(self, hold: Hold) -> dict[str, Any]:
        """The columns that price the same work at a vendor. Raises as `hold`."""
        if not hold.would_vendor:
            return {"would_price": 0, "would_price_date": None}
        price = self._prices.find(hold.would_vendor, hold.would_model, hold.unit, self._today())
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

    async def write_off(self, tenant: str, entry_id: str, reason: str) -> Row:
        """Nobody will know whether the vendor acted, and nobody waits for it any more. Raises as `settle`."""
        async with self._changing(tenant, entry_id) as change:
            return await change.end("WRITTEN_OFF", reason, {})

    async def adjust(
        self, tenant: str, entry_id: str, model: str, unit: str, quantity: int, reason: str
    ) -> Row:
        """The vendor charged so many units in the end, by another price of its own.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Precondition: PRICE_UNKNOWN.
        """
        async with self._changing(tenant, entry_id) as change:
            # A statement of its own: only it sees what was appended while the lock was waited for.
            found = await _find(change.connection, entry_id)
            price = self._prices.find(found["vendor"], model, unit, found["held_at"].date())
            if found["state"] in ("HELD", "IN_DOUBT"):
                wanted = {"quantity": found["quantity"], "reported_nano_usd": found["expected_nano_usd"]}
                found = {**found, **await change.end("SETTLED", "", wanted)}
            known = (found["reported_nano_usd"] or 0) + found["adjusted_nano_usd"]
            if more := price.cost_nano_usd(quantity) - known:
                corrected = {
                    **found, "model": model, "unit": unit, "quantity": quantity, "nano_usd": more,
                    "reason": reason,
                }  # fmt: skip
                await change.connection.execute(ADJUST, corrected)
                change.moves.append(adjusted(found, more))
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
                    raise _conflict(values["entry_id"], "it is taken")
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
    async def _changing(self, tenant: str, entry_id: str) -> AsyncIterator[_Change]:
        """One entry, locked; what is done to it is counted in its windows at the end."""
        async with self._database.transaction(tenant) as connection:
            change = _Change(connection, await _find(connection, entry_id, FIND_LOCKED))
            yield change
            alerts = [alert for moves in change.moves for alert in await moved(connection, moves)]
        self._alerts.tell(alerts)

    async def page(
        self,
        tenant: str,
        matching: EntryFilter,
        limit: int,
        after: tuple[datetime.datetime, str] | None,
        *,
        summed: bool,
    ) -> tuple[list[Row], list[Row]]:
        """Entries in the order of their holds, at most `limit`, after a place in that order.

        Returns:
            The entries; and, where it is to be `summed`, nano-USD for each run that has a matching entry.

        Raises:
            Quota: TOO_MANY_RUNS.
        """
        values = {**vars(matching), "limit": limit, "after": None, "after_id": None}
        if after is not None:
            values["after"], values["after_id"] = after
        totals: list[Row] = []
        async with self._database.transaction(tenant) as connection:
            rows = await (
                await connection.execute(LIST.format(doubts=DOUBTS if matching.in_doubt else ""), values)
            ).fetchall()
            if summed:
                values |= {"limit": MAX_TOTALS + 1}
                totals = await (await connection.execute(TOTALS, values)).fetchall()
        if len(totals) > MAX_TOTALS:
            raise Quota("TOO_MANY_RUNS", f"More than {MAX_TOTALS:,} runs match. Name them, 200 at a time.")
        return rows, totals


async def expire_holds(
    owner_database: Database, alerts: Alerts | None = None, now: datetime.datetime | None = None
) -> int:
    """Turns holds that outlived their time IN_DOUBT; answers how many."""
    count = 0
    while True:
        async with owner_database.transaction(None) as connection:
            rows = await (await connection.execute(EXPIRE, {"now": now})).fetchall()
            found = await moved(connection, changes(({**row, "state": "HELD"}, row) for row in rows))
        if alerts is not None:
            alerts.tell(found)
        count += len(rows)
        if len(rows) < EXPIRED_AT_ONCE:
            return count


@dataclass(frozen=True)
class _Change:
    """An entry as it was found, and what its windows are to be moved by."""

    connection: Connection
    found: Row
    moves: list[Moves] = field(default_factory=list)

    async def end(self, state: str, reason: str, wanted: Mapping[str, int]) -> Row:
        """Moves the entry to its end; the same end again is fine, another one is not."""
        values = {
            "entry_id": self.found["entry_id"],
            "state": state,
            "reason": reason,
            "before": BEFORE[state],
            "quantity": wanted.get("quantity"),
            "reported": wanted.get("reported_nano_usd"),
        }
        row = await (await self.connection.execute(END, values)).fetchone()
        if row is not None:
            self.moves.append(changes([(self.found, row)]))
            return row
        found = await _find(self.connection, self.found["entry_id"])
        if found["state"] == state and all(found[name] == value for name, value in wanted.items()):
            return found
        raise _conflict(found["entry_id"], f"it is {found['state']}")


async def _find(connection: Connection, entry_id: str, statement: str = FIND) -> Row:
    row = await (await connection.execute(statement.encode(), [entry_id])).fetchone()
    if row is None:
        raise NotFound("ENTRY_NOT_FOUND", "No ledger entry has this id. Hold before you settle.")
    return row


def _conflict(entry_id: str, why: str) -> Conflict:
    return Conflict("ENTRY_CONFLICT", f"Ledger entry {entry_id}: {why}. Use a new entry id.")
