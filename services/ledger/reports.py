"""Reports: what was spent in a stretch of time, quantity × price a line, by day, document, run and more."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.ledger.rows import NO_RUN, Row
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

# What a group is called, and beside it the collection where the name is not enough.
GROUPS: Mapping[str, tuple[str, str]] = {
    "DAY": ("(e.held_at at time zone 'UTC')::date::text", "''"),
    "DOCUMENT": ("e.document_key", "e.collection"),
    "RUN": (f"case when e.run_id = '{NO_RUN}' then '' else e.run_id::text end", "''"),
    "SERVICE": ("e.service", "''"),
    "MODEL": ("e.vendor || ' ' || e.model", "''"),
    "COLLECTION": ("e.collection", "''"),
    "TENANT": ("e.tenant", "''"),
}
# Each has one line in its group.
ORDER = ("grouped", "collection", "kind", "vendor", "model", "unit", "price")

# A correction counts where its hold does. Few entries have one, so they are summed first.
SPENT = """
with spent as (
    select e.*, coalesce(a.nano_usd, 0) adjusted
    from waybill_ledger.entries e
    left join (
        select entry_id, sum(nano_usd) nano_usd from waybill_ledger.adjustments
        where {mine} group by entry_id
    ) a using (entry_id)
    where {mine} and e.held_at >= %(since)s and e.held_at < %(until)s
)
"""
SUMS = """
    count(*) attempts,
    coalesce(sum(e.reported_nano_usd) filter (where e.state = 'SETTLED'), 0)::bigint settled,
    coalesce(sum(e.adjusted), 0)::bigint adjusted,
    coalesce(sum(e.expected_nano_usd) filter (where e.state = 'HELD'), 0)::bigint held,
    coalesce(sum(e.expected_nano_usd) filter (where e.state = 'IN_DOUBT'), 0)::bigint in_doubt,
    coalesce(sum(e.expected_nano_usd) filter (where e.state = 'WRITTEN_OFF'), 0)::bigint written_off
"""
LINES = """
{spent}
select * from (
    select {group} grouped, {collection} collection, e.kind, e.vendor, e.model, e.unit,
        e.price_nano_usd_per_million price,
        coalesce(sum(e.quantity) filter (where e.state = 'SETTLED'), 0)::bigint quantity,
        coalesce(sum(ceil(e.quantity::numeric * e.would_price_nano_usd_per_million / 1000000))
            filter (where e.state = 'SETTLED'), 0)::bigint would_cost,
        {sums}
    from spent e group by 1, 2, 3, 4, 5, 6, 7
) lines
where %(after)s::text[] is null or (grouped, collection, kind, vendor, model, unit, price)
    > ((%(after)s::text[])[1], (%(after)s::text[])[2], (%(after)s::text[])[3], (%(after)s::text[])[4],
       (%(after)s::text[])[5], (%(after)s::text[])[6], (%(after)s::text[])[7]::bigint)
order by grouped, collection, kind, vendor, model, unit, price
limit %(limit)s
"""
TOTALS = """
{spent}
select e.kind, {sums} from spent e group by e.kind order by e.kind
"""


@dataclass(frozen=True)
class Span:
    """A stretch of time, UTC; the end does not belong to it."""

    since: datetime.datetime
    until: datetime.datetime


class Reports:
    """Sums over entries.

    Args:
        database: Sees one tenant at a time.
        owner: Sees every tenant: for the operator alone.
        operator_tenant: Whose callers see every tenant's sums.
    """

    def __init__(self, database: Database, owner: Database, operator_tenant: str) -> None:
        self._database = database
        self._owner = owner
        self._operator = operator_tenant

    async def page(
        self, who: Caller, span: Span, by: str, limit: int, after: Sequence[str] | None
    ) -> tuple[list[Row], list[Row]]:
        """Lines behind a place in their order, at most `limit`; and the totals, on the first page.

        Args:
            who: Who asks.
            span: When the holds were.
            by: One of GROUPS.
            limit: Most lines.
            after: A line's values of ORDER; None for the first page.
        """
        everyone = by == "TENANT" and who.tenant == self._operator
        mine = "true" if everyone else "tenant = %(tenant)s"
        group, collection = GROUPS[by]
        parts = {"spent": SPENT.format(mine=mine), "sums": SUMS, "group": group, "collection": collection}
        values: dict[str, Any] = {
            "since": span.since, "until": span.until, "tenant": who.tenant, "limit": limit,
            "after": list(after) if after is not None else None,
        }  # fmt: skip
        database, tenant = (self._owner, None) if everyone else (self._database, who.tenant)
        async with database.transaction(tenant, snapshot=True) as connection:
            lines = await (await connection.execute(LINES.format(**parts), values)).fetchall()
            totals: list[Row] = []
            if after is None:
                totals = await (await connection.execute(TOTALS.format(**parts), values)).fetchall()
        return lines, totals
