"""One entry as it is found, and as it is changed; what it counts in its windows moves by the difference."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.ledger.alerts import Alerts
from services.ledger.rows import Row
from services.ledger.windows import AT, Moves, changes, moved
from waybill.runtime.errors import Conflict, NotFound
from waybill.runtime.postgres import Connection, Database

EXPIRED_AT_ONCE = 1_000

# What an entry `e` was corrected by since it was settled.
CORRECTED = """(select coalesce(sum(nano_usd), 0)::bigint from waybill_ledger.adjustments a
    where a.entry_id = e.entry_id)"""
FOUND = f"select *, {CORRECTED} adjusted_nano_usd from waybill_ledger.entries e"  # noqa: S608  (constants only)
FIND = f"{FOUND} where entry_id = %s"
# One at a time for each entry: what it counts, and what it was corrected by, changes once.
FIND_LOCKED = f"{FIND} for update"

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

# In one order, and not those that another ledger expires. What has accrued on a day is known at its end.
EXPIRE = f"""
update waybill_ledger.entries
set state = case operation when 'egress' then 'SETTLED' else 'IN_DOUBT' end, ended_at = {AT},
    reported_nano_usd = case operation when 'egress' then expected_nano_usd end,
    end_reason = case operation when 'egress' then '' else 'EXPIRED' end
where entry_id in (
    select entry_id from waybill_ledger.entries where state = 'HELD' and expires_at < {AT}
    order by entry_id limit {EXPIRED_AT_ONCE} for update skip locked)
returning *
"""  # noqa: S608  (constants only)


@dataclass(frozen=True)
class Change:
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
        found = await find(self.connection, self.found["entry_id"])
        if found["state"] == state and all(found[name] == value for name, value in wanted.items()):
            return found
        raise conflict(found["entry_id"], f"it is {found['state']}")


async def find(connection: Connection, entry_id: str, statement: str = FIND) -> Row:
    row = await (await connection.execute(statement.encode(), [entry_id])).fetchone()
    if row is None:
        raise NotFound("ENTRY_NOT_FOUND", "No ledger entry has this id. Hold before you settle.")
    return row


def conflict(entry_id: str, why: str) -> Conflict:
    return Conflict("ENTRY_CONFLICT", f"Ledger entry {entry_id}: {why}. Use a new entry id.")


async def expire_holds(
    owner_database: Database, alerts: Alerts | None = None, now: datetime.datetime | None = None
) -> int:
    """Turns holds that outlived their time IN_DOUBT; answers how many. What has accrued is settled."""
    count = 0
    while True:
        async with owner_database.transaction(None) as connection:
            rows = await (await connection.execute(EXPIRE, {"now": now})).fetchall()
            found = await moved(connection, changes(({**row, "state": "HELD"}, row) for row in rows))
        if alerts is not None:
            alerts.tell(found)
        count += len([row for row in rows if row["state"] == "IN_DOUBT"])
        if len(rows) < EXPIRED_AT_ONCE:
            return count
