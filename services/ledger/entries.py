"""Entries and their states: HELD → SETTLED | RELEASED | IN_DOUBT, and out of doubt again."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from services.ledger.prices import PriceTable, cost_nano_usd
from waybill.runtime.errors import Conflict, NotFound, Quota, Unavailable
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Connection, Database

Row = dict[str, Any]
# Of an entry outside a run. Not null, since only `=` walks the index to a purchase's last attempt.
NO_RUN = "00000000-0000-0000-0000-000000000000"
MAX_ATTEMPT_RACES = 20
# In an answer's 2 MiB, beside a page of entries.
MAX_TOTALS = 10_000

# A new attempt of a spend key is its highest so far and one. The same entry id again inserts nothing,
# whoever has it; a number that was taken meanwhile is a UniqueViolation.
HOLD = """
insert into waybill_ledger.entries (
    entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind, service, operation,
    vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd, owner,
    trace_id, parent_span_id, step_span_id, collection, document_key, size_bytes, expires_at)
select %(entry_id)s, %(tenant)s, %(run_id)s, %(correlation_id)s, %(spend_key)s,
    coalesce(max(attempt), 0) + 1, 'HELD', %(kind)s, %(service)s, %(operation)s,
    %(vendor)s, %(model)s, %(unit)s, %(quantity)s, %(price)s, %(expected)s, %(owner)s,
    %(trace_id)s, %(parent_span_id)s, %(step_span_id)s, %(collection)s, %(document_key)s, %(size_bytes)s,
    clock_timestamp() + %(ttl)s
from waybill_ledger.entries
where spend_key = %(spend_key)s and run_id = %(run_id)s
on conflict (entry_id) do nothing
returning *
"""

# The process that held an earlier attempt is gone when another one tries the same again.
DOUBT_EARLIER = """
update waybill_ledger.entries
set state = 'IN_DOUBT', ended_at = clock_timestamp(), end_reason = 'OWNER_GONE'
where spend_key = %(spend_key)s and run_id = %(run_id)s
    and state = 'HELD' and owner <> %(owner)s
"""

ADJUSTED = """(select coalesce(sum(nano_usd), 0)::bigint from waybill_ledger.adjustments a
    where a.entry_id = entries.entry_id) adjusted_nano_usd"""
FIND = f"select *, {ADJUSTED} from waybill_ledger.entries where entry_id = %s"  # noqa: S608  (constants only)
# One at a time for each entry, so that a difference is appended once. A statement of its own: only the next
# one sees what was appended while this one waited.
LOCK = "select from waybill_ledger.entries where entry_id = %s for update"
ADJUST = """
insert into waybill_ledger.adjustments (
    tenant, entry_id, run_id, correlation_id, kind, model, unit, quantity, nano_usd, reason)
values (%(tenant)s, %(entry_id)s, %(run_id)s, %(correlation_id)s, %(kind)s, %(model)s, %(unit)s,
    %(quantity)s, %(nano_usd)s, %(reason)s)
"""

# Only from a state that may be left; the row that comes back has the end that was asked for.
END = """
update waybill_ledger.entries
set state = %(state)s, ended_at = clock_timestamp(), end_reason = %(reason)s,
    quantity = coalesce(%(quantity)s, quantity),
    reported_nano_usd = coalesce(%(reported)s, reported_nano_usd)
where entry_id = %(entry_id)s and state = any(%(before)s)
returning *
"""

EXPIRE = """
update waybill_ledger.entries
set state = 'IN_DOUBT', ended_at = clock_timestamp(), end_reason = 'EXPIRED'
where state = 'HELD' and expires_at < clock_timestamp()
"""

MATCHING = """
(%(run_ids)s::uuid[] is null or run_id = any(%(run_ids)s))
    and (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
"""

LIST = f"""
select *, {ADJUSTED} from waybill_ledger.entries
where {MATCHING}
    and (%(after)s::timestamptz is null or (held_at, entry_id) > (%(after)s, %(after_id)s::uuid))
order by held_at, entry_id
limit %(limit)s
"""  # noqa: S608  (constants only)

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


@dataclass(frozen=True)
class EntryFilter:
    """Which entries a listing is about; None means any."""

    run_ids: Sequence[str] | None
    correlation_id: str | None


class Entries:
    """The entries of every tenant, each seen through its tenant's transactions."""

    def __init__(self, database: Database, prices: PriceTable, today: Callable[[], datetime.date]) -> None:
        self._database = database
        self._prices = prices
        self._today = today

    async def hold(self, who: Caller, hold: Hold) -> Row:
        """Writes an attempt down, once for each entry id.

        Raises:
            Precondition: PRICE_UNKNOWN.
            Conflict: ENTRY_CONFLICT, the id was used for another spend key, or by another tenant.
            Unavailable: SPEND_KEY_BUSY, too many try to buy the same at once.
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
            "expected": price.cost_nano_usd(hold.quantity),
            "ttl": datetime.timedelta(seconds=hold.ttl_seconds),
        }
        for _ in range(MAX_ATTEMPT_RACES):
            with suppress(psycopg.errors.UniqueViolation):
                return await self._insert(who.tenant, values)
        raise Unavailable(
            "SPEND_KEY_BUSY", "Too many attempts at the same purchase at once. Repeat in a moment.", {}, 0.5
        )

    async def settle(self, tenant: str, entry_id: str, quantity: int) -> Row:
        """The vendor acted and reports so many units.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Conflict: ENTRY_CONFLICT, it has ended otherwise.
        """
        async with self._database.transaction(tenant) as connection:
            found = await _find(connection, entry_id)
            reported = cost_nano_usd(found["price_nano_usd_per_million"], quantity)
            wanted = {"quantity": quantity, "reported_nano_usd": reported}
            return await _end(connection, found, "SETTLED", "", wanted)

    async def release(self, tenant: str, entry_id: str, reason: str) -> Row:
        """The vendor surely did not act. Raises as `settle`."""
        async with self._database.transaction(tenant) as connection:
            return await _end(connection, await _find(connection, entry_id), "RELEASED", reason, {})

    async def doubt(self, tenant: str, entry_id: str, reason: str) -> Row:
        """Nobody knows whether the vendor acted. Raises as `settle`."""
        async with self._database.transaction(tenant) as connection:
            return await _end(connection, await _find(connection, entry_id), "IN_DOUBT", reason, {})

    async def adjust(
        self, tenant: str, entry_id: str, model: str, unit: str, quantity: int, reason: str
    ) -> Row:
        """The vendor charged so many units in the end, by another price of its own.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Precondition: PRICE_UNKNOWN.
        """
        async with self._database.transaction(tenant) as connection:
            await connection.execute(LOCK, [entry_id])
            found = await _find(connection, entry_id)
            price = self._prices.find(found["vendor"], model, unit, found["held_at"].date())
            if found["state"] in ("HELD", "IN_DOUBT"):
                wanted = {"quantity": found["quantity"], "reported_nano_usd": found["expected_nano_usd"]}
                found = {**found, **await _end(connection, found, "SETTLED", "", wanted)}
            known = (found["reported_nano_usd"] or 0) + found["adjusted_nano_usd"]
            if more := price.cost_nano_usd(quantity) - known:
                corrected = {
                    **found, "model": model, "unit": unit, "quantity": quantity, "nano_usd": more,
                    "reason": reason,
                }  # fmt: skip
                await connection.execute(ADJUST, corrected)
            return {**found, "adjusted_nano_usd": found["adjusted_nano_usd"] + more}

    async def _insert(self, tenant: str, values: dict[str, Any]) -> Row:
        """Inserts with the next attempt number, or answers the entry that has this id already."""
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(HOLD, values)).fetchone()
            if row is None:
                row = await (await connection.execute(FIND, [values["entry_id"]])).fetchone()
                if row is None or row["spend_key"] != values["spend_key"]:
                    raise _conflict(values["entry_id"], "it is taken")
            elif row["attempt"] > 1:
                await connection.execute(DOUBT_EARLIER, values)
        return row

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
            rows = await (await connection.execute(LIST, values)).fetchall()
            if summed:
                values |= {"limit": MAX_TOTALS + 1}
                totals = await (await connection.execute(TOTALS, values)).fetchall()
        if len(totals) > MAX_TOTALS:
            raise Quota("TOO_MANY_RUNS", f"More than {MAX_TOTALS:,} runs match. Name them, 200 at a time.")
        return rows, totals


async def expire_holds(owner_database: Database) -> int:
    """Turns holds that outlived their time IN_DOUBT; answers how many."""
    async with owner_database.transaction(None) as connection:
        return (await connection.execute(EXPIRE)).rowcount


async def _find(connection: Connection, entry_id: str) -> Row:
    row = await (await connection.execute(FIND, [entry_id])).fetchone()
    if row is None:
        raise NotFound("ENTRY_NOT_FOUND", "No ledger entry has this id. Hold before you settle.")
    return row


async def _end(connection: Connection, found: Row, state: str, reason: str, wanted: dict[str, int]) -> Row:
    """Moves an entry to its end; the same end again is fine, another one is not."""
    before = ["HELD"] if state == "IN_DOUBT" else ["HELD", "IN_DOUBT"]
    values = {
        "entry_id": found["entry_id"],
        "state": state,
        "reason": reason,
        "before": before,
        "quantity": wanted.get("quantity"),
        "reported": wanted.get("reported_nano_usd"),
    }
    row = await (await connection.execute(END, values)).fetchone()
    if row is not None:
        return row
    found = await _find(connection, found["entry_id"])
    if found["state"] == state and all(found[name] == value for name, value in wanted.items()):
        return found
    raise _conflict(found["entry_id"], f"it is {found['state']}")


def _conflict(entry_id: str, why: str) -> Conflict:
    return Conflict("ENTRY_CONFLICT", f"Ledger entry {entry_id}: {why}. Use a new entry id.")
