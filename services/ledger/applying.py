"""Follows an invoice: what it charges otherwise is corrected by adjustments, and doubts end as it tells."""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import dataclass

from services.ledger.alerts import Alerts
from services.ledger.comparing import IN_WINDOW, sums, to_follow
from services.ledger.correcting import correct
from services.ledger.drift import Sum
from services.ledger.entries import Entries
from services.ledger.invoices import find
from services.ledger.prices import PriceTable
from services.ledger.rows import Row
from waybill.runtime.clock import Now, utc_now
from waybill.runtime.errors import Conflict
from waybill.runtime.postgres import Database

# In one call, which walks the whole invoice for them.
AT_ONCE = 5_000
# A vendor's day is whole by then.
DAY_IS_WHOLE_AFTER = datetime.timedelta(days=2)

DOUBTS_OF_DAYS = f"""
select entry_id, tenant, quantity from waybill_ledger.entries e
where {IN_WINDOW} and state = 'IN_DOUBT'
    and (%(models)s::text[] = '{{}}' or model = any(%(models)s::text[]))
order by held_at, entry_id limit {AT_ONCE}
"""  # noqa: S608  (constants only)


@dataclass
class Applied:
    """How many entries changed; see ApplyInvoiceResponse in the contract."""

    adjusted: int = 0
    settled: int = 0
    released: int = 0
    more: bool = False

    @property
    def count(self) -> int:
        """All of them."""
        return self.adjusted + self.settled + self.released


class Applying:
    """Applies invoices.

    Args:
        owner: Every tenant: for the operator alone.
        entries: What ends and corrects entries.
        prices: As comparing needs them.
        alerts: Is told of thresholds that were reached.
        now: The time.
    """

    def __init__(
        self,
        owner: Database,
        entries: Entries,
        prices: PriceTable,
        alerts: Alerts,
        now: Now = utc_now,
    ) -> None:
        self._owner = owner
        self._entries = entries
        self._prices = prices
        self._alerts = alerts
        self._now = now

    async def apply(self, invoice_id: str) -> Applied:
        """Changes up to AT_ONCE entries; a repeat goes on. Raises NotFound INVOICE_NOT_FOUND."""
        async with self._owner.transaction(None, snapshot=True) as connection:
            invoice = await find(connection, invoice_id)
            invoiced = await to_follow(connection, invoice, AT_ONCE + 1)
            day_sums = await sums(connection, self._prices, invoice) if invoice["first_day"] else []
        applied = Applied(more=len(invoiced) > AT_ONCE)
        reason = f"invoice {invoice['name'] or invoice['sha256'][:12]}"
        if invoiced:
            async with self._owner.transaction(None) as connection:
                done = await correct(connection, dict(invoiced[:AT_ONCE]), reason)
            self._alerts.tell(done.alerts)
            applied.settled, applied.adjusted = done.settled, done.adjusted
        for one in day_sums:
            if applied.count >= AT_ONCE:
                applied.more = True
                break
            if one.all_doubts_charged:
                await self._end_doubts(invoice, one, applied, charged=True)
            elif one.no_doubt_charged and self._is_whole(one.day):
                await self._end_doubts(invoice, one, applied, charged=False)
        return applied

    async def _end_doubts(self, invoice: Row, one: Sum, applied: Applied, *, charged: bool) -> None:
        """Ends a day's doubts alike; one that has ended meanwhile stays as it is."""
        values = {**invoice, "first_day": one.day, "last_day": one.day, "models": list(one.models)}
        doubts = await self._owner.rows(None, DOUBTS_OF_DAYS, values)
        for row in doubts:
            tenant, entry_id = row["tenant"], str(row["entry_id"])
            with suppress(Conflict):
                if charged:
                    await self._entries.settle(tenant, entry_id, row["quantity"])
                    applied.settled += 1
                else:
                    await self._entries.release(tenant, entry_id, "the vendor's invoice does not have it")
                    applied.released += 1
        applied.more = applied.more or len(doubts) == AT_ONCE

    def _is_whole(self, day: datetime.date) -> bool:
        begins = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
        return self._now() >= begins + DAY_IS_WHOLE_AFTER
