"""What runs did not buy, since it was there: noted once a run and operation, and never a sum of money."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.ledger.prices import PriceTable
from services.ledger.rows import Row
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

# Not where the run has bought some of it: then what is there may be its own.
KEPT = """
insert into waybill_ledger.avoided (
    tenant, run_id, correlation_id, collection, document_key, operation, service, kind, vendor, model, unit,
    quantity, price_nano_usd_per_million, nano_usd)
select %(tenant)s, %(run_id)s, %(correlation_id)s, %(collection)s, %(document_key)s, %(operation)s,
    %(service)s, %(kind)s, %(vendor)s, %(model)s, %(unit)s, %(quantity)s, %(price)s, %(cost)s
where not exists (
    select from waybill_ledger.entries
    where tenant = %(tenant)s and run_id = %(run_id)s and operation = %(operation)s and state <> 'RELEASED')
    and not exists (
    select from waybill_ledger.avoided
    where tenant = %(tenant)s and run_id = %(run_id)s and operation = %(operation)s)
on conflict do nothing
"""
# What the earlier run bought, and what it found itself, at the price of then: a parse before its vectors.
EARLIER = """
insert into waybill_ledger.avoided (
    tenant, run_id, correlation_id, collection, document_key, operation, service, kind, vendor, model, unit,
    price_nano_usd_per_million, quantity, nano_usd)
select %(tenant)s, %(run_id)s, %(correlation_id)s, %(collection)s, %(document_key)s, operation, service, kind,
    vendor, model, unit, price_nano_usd_per_million, sum(quantity),
    ceil(sum(quantity) * price_nano_usd_per_million / 1000000)
from (
    select operation, service, kind, vendor, model, unit, price_nano_usd_per_million, quantity
    from waybill_ledger.entries
    where tenant = %(tenant)s and run_id = %(earlier)s and state = 'SETTLED'
    union all
    select operation, service, kind, vendor, model, unit, price_nano_usd_per_million, quantity
    from waybill_ledger.avoided where tenant = %(tenant)s and run_id = %(earlier)s
) there
where operation = any(%(operations)s) and quantity > 0 and not exists (
    select from waybill_ledger.avoided mine
    where mine.tenant = %(tenant)s and mine.run_id = %(run_id)s and mine.operation = there.operation)
group by operation, service, kind, vendor, model, unit, price_nano_usd_per_million
order by operation desc
on conflict do nothing
"""
LIST = """
select * from waybill_ledger.avoided
where tenant = %(tenant)s
    and (%(run_ids)s::uuid[] is null or run_id = any(%(run_ids)s))
    and (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
order by noted_at, run_id, operation, vendor, model, unit, price_nano_usd_per_million
limit %(limit)s offset %(offset)s
"""


@dataclass(frozen=True)
class Kept:
    """Work that was there in part; see NoteAvoidedRequest in the contract."""

    operation: str
    service: str
    kind: str
    vendor: str
    model: str
    unit: str
    quantity: int


class Avoided:
    """What was not bought.

    Args:
        database: One tenant at a time.
        prices: What it would have cost.
        today: For prices.
    """

    def __init__(self, database: Database, prices: PriceTable, today: Callable[[], datetime.date]) -> None:
        self._database = database
        self._prices = prices
        self._today = today

    async def kept(self, who: Caller, kept: Kept) -> None:
        """Notes work that was there in part, once a run.

        Raises:
            Precondition: PRICE_UNKNOWN.
        """
        price = self._prices.find(kept.vendor, kept.model, kept.unit, self._today())
        cost = price.cost_nano_usd(kept.quantity)
        if kept.quantity:
            more = {**vars(kept), "price": price.nano_usd_per_million, "cost": cost}
            await self._note(KEPT, who, more)

    async def earlier(self, who: Caller, run_id: str, operations: Sequence[str]) -> None:
        """Notes work that another run has bought as a whole, once a run."""
        if run_id != who.run_id:
            await self._note(EARLIER, who, {"earlier": run_id, "operations": list(operations)})

    async def listed(
        self, tenant: str, run_ids: Sequence[str] | None, correlation_id: str | None, limit: int, offset: int
    ) -> Sequence[Row]:
        """What these runs did not buy, oldest first; None means any. Rows are only ever appended."""
        values = {
            "tenant": tenant, "run_ids": run_ids, "correlation_id": correlation_id, "limit": limit,
            "offset": offset,
        }  # fmt: skip
        return await self._database.rows(tenant, LIST, values)

    async def _note(self, statement: str, who: Caller, more: Row) -> None:
        caller = {name: getattr(who, name) for name in _CALLER}
        await self._database.execute(who.tenant, statement.encode(), {**caller, **more})


_CALLER = ("tenant", "run_id", "correlation_id", "collection", "document_key")
