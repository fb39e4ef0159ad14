"""What a paid store sends is accrued: one entry a tenant, day and kind, which grows while the day lasts."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass

from services.ledger.alerts import Alerts
from services.ledger.changing import FIND_LOCKED, find
from services.ledger.entries import ADJUST
from services.ledger.prices import PriceTable
from services.ledger.rows import NO_RUN, Row
from services.ledger.windows import AT, NEAR, WINDOW_ID, adjusted, changes, moved, opened
from waybill.money import cost_nano_usd
from waybill.runtime.clock import utc_now
from waybill.runtime.postgres import Database

OPERATION = "egress"
# What is counted before midnight is told a little after it.
LATE = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
TOLD_LATE = "told after its day"
_MOMENT = datetime.timedelta(microseconds=1)
_NAMES = uuid.UUID("7c0d9a3e-2f0b-5d0f-9f2e-3b1f6f1d8a55")

# It counts in budgets of money a day or a month: it is known by the day, sends nothing, and is never refused.
BEGIN = f"""
insert into waybill_ledger.entries (
    entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind, service, operation,
    vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd, owner,
    trace_id, parent_span_id, step_span_id, window_ids, held_at, expires_at)
select %(entry_id)s, %(tenant)s, '{NO_RUN}', 'egress', %(spend_key)s, coalesce(max(attempt), 0) + 1, 'HELD',
    %(kind)s, 'storage', '{OPERATION}', %(vendor)s, '{OPERATION}', 'byte', 0, %(price)s, 0, 'storage',
    '', '', '',
    (select coalesce(array_agg({WINDOW_ID}), '{{}}') from waybill_ledger.budgets b
        where {NEAR} and b.kind = %(kind)s and b.deleted_at is null and b.collection = ''
            and b.service in ('', 'storage') and b.period in ('DAY', 'MONTH') and b.unit = 'NANO_USD'),
    {AT}, %(expires_at)s
from waybill_ledger.entries where spend_key = %(spend_key)s and run_id = '{NO_RUN}'
on conflict (entry_id) do nothing
returning *
"""  # noqa: S608  (constants only)
COUNT = """
insert into waybill_ledger.egress_counts as known (tenant, entry_id, counter_id, size_bytes)
values (%(tenant)s, %(entry_id)s, %(counter_id)s, %(size_bytes)s)
on conflict (entry_id, counter_id) do update set size_bytes = greatest(known.size_bytes, excluded.size_bytes)
"""
SUM = """
select sum(size_bytes)::bigint size_bytes from waybill_ledger.egress_counts where entry_id = %(entry_id)s
"""
GROW = """
update waybill_ledger.entries set quantity = %(quantity)s, expected_nano_usd = %(expected)s
where entry_id = %(entry_id)s returning *
"""


@dataclass(frozen=True)
class Sent:
    """What one process has had sent to it; see AccrueEgressRequest in the contract."""

    counter_id: str
    day: datetime.date
    kind: str
    vendor: str
    size_bytes: int


class Egress:
    """The entries of what was sent.

    Args:
        database: One tenant at a time.
        prices: What a byte costs.
        alerts: Is told of thresholds that were reached.
    """

    def __init__(self, database: Database, prices: PriceTable, alerts: Alerts) -> None:
        self._database = database
        self._prices = prices
        self._alerts = alerts

    async def accrue(self, tenant: str, sent: Sent) -> Row:
        """Counts it, once however often it is told; answers the entry of that day.

        Raises:
            Precondition: PRICE_UNKNOWN.
        """
        begins = datetime.datetime.combine(sent.day, datetime.time(), datetime.UTC)
        spend_key = f"{OPERATION}:{sent.day}"
        entry_id = str(uuid.uuid5(_NAMES, f"{sent.vendor}\0{sent.kind}\0{sent.day}\0{tenant}"))
        values = {
            **vars(sent),
            "entry_id": entry_id,
            "tenant": tenant,
            "run_id": NO_RUN,
            "spend_key": spend_key,
            "price": self._prices.find(sent.vendor, OPERATION, "byte", sent.day).nano_usd_per_million,
            # It belongs to its day, whenever that is told.
            "now": min(max(utc_now(), begins), begins + DAY - _MOMENT),
            "expires_at": begins + DAY + LATE,
        }
        async with self._database.transaction(tenant) as connection:
            begun = await (await connection.execute(BEGIN, values)).fetchone()
            alerts = [*await opened(connection, begun)] if begun is not None else []
            found = await find(connection, entry_id, FIND_LOCKED)
            await connection.execute(COUNT, values)
            summed = await (await connection.execute(SUM, values)).fetchone()
            assert summed is not None
            cost = cost_nano_usd(found["price_nano_usd_per_million"], summed["size_bytes"])
            values |= {"quantity": summed["size_bytes"], "expected": cost}
            if found["state"] == "HELD":
                row = await (await connection.execute(GROW, values)).fetchone()
                assert row is not None  # it is locked
                moves = changes([(found, row)])
            else:
                # A statement of its own: only it sees what was appended while the lock was waited for.
                found = row = await find(connection, entry_id)
                more = cost - (found["reported_nano_usd"] or 0) - found["adjusted_nano_usd"]
                moves = adjusted(found, more)
                if more:
                    corrected = dict(found, quantity=summed["size_bytes"], nano_usd=more, reason=TOLD_LATE)
                    await connection.execute(ADJUST, corrected)
                    row = {**found, "adjusted_nano_usd": found["adjusted_nano_usd"] + more}
            alerts += await moved(connection, moves)
        self._alerts.tell(alerts)
        return row
