"""What is in doubt: which vendors are asked about what and when, and when nobody waits any longer.

A service claims the doubts about which its vendor can be asked, and ends them by the ledger's other calls.
The claim puts each off, by half of its age: it needs no lease, and a process that dies costs one turn.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from services.ledger import audit
from services.ledger.alerts import Alerts
from services.ledger.changing import find
from services.ledger.rows import ALL_TENANTS, Row
from services.ledger.windows import AT, changes, moved
from waybill.runtime.audit import NOBODY
from waybill.runtime.errors import Precondition
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database
from waybill.vendors.registry import VENDORS

# Until then whoever left it may still end it.
FIRST_ASKED_AFTER = datetime.timedelta(seconds=30)
# Above `vendors.asking.ASK_SECONDS`: no two processes ask about the same at a time.
LEAST_PAUSE, LONGEST_PAUSE = datetime.timedelta(minutes=3), datetime.timedelta(hours=6)
ENDED_AT_ONCE = 1_000

# Of an entry `e`: whether its vendor can be asked by our id.
TELLABLE = """exists (
    select from unnest(%(vendors)s::text[], %(endings)s::text[]) told (vendor, ending)
    where told.vendor = e.vendor and right(e.model, length(told.ending)) = told.ending)"""
DUE = f"""e.state = 'IN_DOUBT' and not e.unanswerable and e.vendor = %(vendor)s and {TELLABLE}
    and coalesce(e.ask_at, e.ended_at) <= {AT} and (e.ask_at is not null or e.ended_at <= {AT} - %(first)s)"""
# Tenants take turns. What another process claims in this moment is skipped, or not due any more.
CLAIM = f"""
with due as (
    select e.entry_id, row_number() over (
        partition by e.tenant order by coalesce(e.ask_at, e.ended_at), e.entry_id) turn
    from waybill_ledger.entries e where {DUE}
), chosen as materialized (
    select e.entry_id from waybill_ledger.entries e join due using (entry_id)
    where {DUE}
    order by due.turn, e.entry_id limit %(limit)s for update of e skip locked
)
update waybill_ledger.entries e
set asks = e.asks + 1, asked_at = {AT},
    ask_at = {AT} + greatest(%(least)s, least(({AT} - e.ended_at) / 2, %(longest)s))
from chosen where e.entry_id = chosen.entry_id
returning e.*
"""  # noqa: S608  (constants only)
NOTE = """
update waybill_ledger.entries set answer = %(answer)s, unanswerable = unanswerable or %(final)s
where entry_id = %(entry_id)s and state = 'IN_DOUBT'
"""
COUNTS_FOR_ALL = """
select from waybill_ledger.entries e join waybill_ledger.budget_windows w on w.window_id = any(e.window_ids)
where e.entry_id = %(entry_id)s and w.tenant = %(all)s limit 1
"""
# In one order, and not those that another ledger, or a vendor's answer, ends.
WRITE_OFF = f"""
update waybill_ledger.entries
set state = 'WRITTEN_OFF', ended_at = {AT},
    end_reason = concat_ws('; ', nullif(end_reason, ''), %(reason)s::text)
where entry_id in (
    select e.entry_id from waybill_ledger.entries e
    where e.state = 'IN_DOUBT' and e.ended_at < {AT} - %(after)s and (e.unanswerable or not {TELLABLE})
    order by e.entry_id limit {ENDED_AT_ONCE} for update skip locked)
returning *
"""  # noqa: S608  (constants only)


class Doubts:
    """What is in doubt.

    Args:
        database: One tenant at a time.
        owner: Every tenant.
        operator: The tenant whose callers may write off what counts for all; empty is nobody.
    """

    def __init__(self, database: Database, owner: Database, operator: str) -> None:
        self._database = database
        self._owner = owner
        self._operator = operator

    async def claim(self, vendor: str, limit: int, now: datetime.datetime | None = None) -> Sequence[Row]:
        """Takes doubts of any tenant about which a vendor is to be asked now, at most `limit`."""
        values = {
            "vendor": vendor, "limit": limit, "now": now, "first": FIRST_ASKED_AFTER, "least": LEAST_PAUSE,
            "longest": LONGEST_PAUSE, **_told(),
        }  # fmt: skip
        return await self._owner.rows(None, CLAIM, values)

    async def note(self, tenant: str, entry_id: str, answer: str, *, final: bool) -> Row:
        """Notes what a vendor said of a doubt that stays one; whatever else it is stays as it is.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
        """
        async with self._database.transaction(tenant) as connection:
            await connection.execute(NOTE, {"entry_id": entry_id, "answer": answer, "final": final})
            return await find(connection, entry_id)

    async def tenant_to_write_off(self, who: Caller, tenant: str, entry_id: str) -> str:
        """Whose entry a caller writes off: its own, or any tenant's where it is the operator.

        Raises:
            Precondition: OPERATOR_REQUIRED, also of what counts against a budget over all tenants.
        """
        whose = tenant or who.tenant
        if who.tenant == self._operator:
            return whose
        async with self._database.transaction(who.tenant) as connection:
            values = {"entry_id": entry_id, "all": ALL_TENANTS}
            shared = (await connection.execute(COUNTS_FOR_ALL, values)).rowcount > 0
        if whose != who.tenant or shared:
            raise Precondition(
                "OPERATOR_REQUIRED",
                "This doubt is another tenant's, or counts against a budget over all tenants: the operator "
                "writes it off. Call as the tenant that WAYBILL_OPERATOR_TENANT names.",
            )
        return whose


async def write_off_old(
    owner: Database, after: datetime.timedelta, alerts: Alerts, now: datetime.datetime | None = None
) -> int:
    """Gives up doubts of that age about which no vendor can be asked; answers how many."""
    count = 0
    reason = f"written off after {after.days} d by WAYBILL_DOUBT_WRITE_OFF_AFTER"
    values = {"after": after, "reason": reason, "now": now, **_told()}
    while True:
        async with owner.transaction(None) as connection:
            rows = await (await connection.execute(WRITE_OFF, values)).fetchall()
            for row in rows:
                await audit.append(connection, audit.written_off(NOBODY, row, reason))
            before = (({**row, "state": "IN_DOUBT"}, row) for row in rows)
            alerts.tell(await moved(connection, changes(before)))
        count += len(rows)
        if len(rows) < ENDED_AT_ONCE:
            return count


def _told() -> Mapping[str, Sequence[str]]:
    pairs = [(vendor.name, ending) for vendor in VENDORS for ending in vendor.tells_of]
    return {"vendors": [name for name, _ in pairs], "endings": [ending for _, ending in pairs]}
