"""Reports: what was spent in a stretch of time, quantity × price a line, by day, document, run and more."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.ledger.rows import NO_RUN, Row
from waybill.runtime.fair import Places
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

# Lines that one sum over the entries gives; a page takes some of them, and the next pages the rest.
LINES_A_SUM = 20_000
# For how long, and of how many reports, the rest is kept in memory: some 20 MB each.
KEPT_SECONDS, KEPT_REPORTS = 60.0, 2
# What each has one line for, in their order.
ORDER = ("grouped", "collection", "kind", "vendor", "model", "unit", "price")


@dataclass(frozen=True)
class Group:
    """What lines are sums over, as SQL.

    Attributes:
        column: Of an entry `e`: entries that are alike in it are summed.
        name: What that is called, of a summed `grouped`.
        collection: Of an entry, where a name is not enough.
    """

    column: str
    name: str = "grouped"
    collection: str = "''"


GROUPS: Mapping[str, Group] = {
    "DAY": Group("(e.held_at at time zone 'UTC')::date", "grouped::text"),
    "DOCUMENT": Group("e.document_key", collection="e.collection"),
    "RUN": Group("e.run_id", f"case when grouped = '{NO_RUN}' then '' else grouped::text end"),
    "SERVICE": Group("e.service"),
    # Each line is of one already.
    "MODEL": Group("''", "vendor || ' ' || model"),
    "COLLECTION": Group("e.collection"),
    "TENANT": Group("e.tenant"),
}
_AMOUNTS = ("attempts", "quantity", "would_cost", "settled", "adjusted", "held", "in_doubt", "written_off",
            "cached", "avoided")  # fmt: skip
# A correction counts where its hold does. Few entries have one, so they are summed first. What names a group
# is made of a line, not of each entry.
LINES = """
with summed as (
    select {column} grouped, {collection} collection, e.kind, e.vendor, e.model, e.unit,
        e.price_nano_usd_per_million price,
        count(*) attempts,
        coalesce(sum(e.quantity) filter (where e.state = 'SETTLED'), 0)::bigint quantity,
        coalesce(sum(ceil(e.quantity::numeric * e.would_price_nano_usd_per_million / 1000000))
            filter (where e.would_vendor <> '' and e.state = 'SETTLED'), 0)::bigint would_cost,
        coalesce(sum(e.reported_nano_usd) filter (where e.state = 'SETTLED'), 0)::bigint settled,
        coalesce(sum(a.nano_usd), 0)::bigint adjusted,
        coalesce(sum(e.expected_nano_usd) filter (where e.state = 'HELD'), 0)::bigint held,
        coalesce(sum(e.expected_nano_usd) filter (where e.state = 'IN_DOUBT'), 0)::bigint in_doubt,
        coalesce(sum(e.expected_nano_usd) filter (where e.state = 'WRITTEN_OFF'), 0)::bigint written_off
    from waybill_ledger.entries e
    left join (
        select entry_id, sum(nano_usd) nano_usd from waybill_ledger.adjustments
        where {mine} group by entry_id
    ) a using (entry_id)
    where {mine} and e.held_at >= %(since)s and e.held_at < %(until)s
    group by 1, 2, 3, 4, 5, 6, 7
), found_there as (
    select {column} grouped, {collection} collection, e.kind, e.vendor, e.model, e.unit,
        e.price_nano_usd_per_million price, sum(e.quantity)::bigint cached, sum(e.nano_usd)::bigint avoided
    from (select *, noted_at held_at from waybill_ledger.avoided) e
    where {mine} and e.held_at >= %(since)s and e.held_at < %(until)s
    group by 1, 2, 3, 4, 5, 6, 7
), lines as materialized (
    select {name} grouped, collection, kind, vendor, model, unit, price, {amounts}
    from summed full join found_there using (grouped, collection, kind, vendor, model, unit, price)
), page as (
    select * from lines
    where %(after)s::text[] is null or (grouped, collection, kind, vendor, model, unit, price)
        > ((%(after)s::text[])[1], (%(after)s::text[])[2], (%(after)s::text[])[3], (%(after)s::text[])[4],
           (%(after)s::text[])[5], (%(after)s::text[])[6], (%(after)s::text[])[7]::bigint)
    order by grouped, collection, kind, vendor, model, unit, price
    limit %(limit)s
)
select false total, page.* from page
union all
select true, '', '', kind, '', '', '', 0, {totals} from lines
where %(after)s::text[] is null group by kind
order by total, grouped, collection, kind, vendor, model, unit, price
"""


@dataclass(frozen=True)
class Span:
    """A stretch of time, UTC; the end does not belong to it."""

    since: datetime.datetime
    until: datetime.datetime


@dataclass(frozen=True)
class _Lines:
    """Some lines, whether more come behind them, and the totals over all of them."""

    lines: list[Row]
    more: bool
    totals: list[Row]


# Whose report, and from which line on: tenant, span, grouping, place.
_Place = tuple[str, Span, str, tuple[str, ...] | None]


class Reports:
    """Sums over entries, one report at a time: it leaves the pools' other connections to holds and expiry.

    Args:
        database: Sees one tenant at a time.
        owner: Sees every tenant: for the operator alone.
        operator_tenant: Whose callers see every tenant's sums.
        lines_a_sum: See LINES_A_SUM.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        owner: Database,
        operator_tenant: str,
        lines_a_sum: int = LINES_A_SUM,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._owner = owner
        self._operator = operator_tenant
        self._lines_a_sum = lines_a_sum
        self._clock = clock
        self._places = Places(1)
        self._kept: dict[_Place, tuple[float, _Lines | None]] = {}

    async def page(
        self, who: Caller, span: Span, by: str, limit: int, after: Sequence[str] | None
    ) -> tuple[list[Row], list[Row], bool]:
        """Lines behind a place in their order, at most `limit`; the totals, on the first page; whether more.

        Pages that follow each other within a minute, and come to this ledger, are of one state of the
        entries, which are summed once for LINES_A_SUM lines. Any other page is of the state as it is then.

        Args:
            who: Who asks.
            span: When the holds were.
            by: One of GROUPS.
            limit: Most lines.
            after: A line's values of ORDER; None for the first page.
        """
        place = (who.tenant, span, by, tuple(after) if after is not None else None)
        if (lines := self._taken(place)) is None:
            async with self._places.turn(who.tenant):
                lines = await self._summed(place, max(self._lines_a_sum, limit))
        page, rest = lines.lines[:limit], lines.lines[limit:]
        if rest:
            self._keep((*place[:3], tuple(str(page[-1][name]) for name in ORDER)), replace(lines, lines=rest))
        return page, lines.totals if after is None else [], bool(rest) or lines.more

    async def _summed(self, place: _Place, limit: int) -> _Lines:
        tenant, span, by, after = place
        everyone = by == "TENANT" and tenant == self._operator
        group = GROUPS[by]
        statement = LINES.format(
            **vars(group),
            mine="true" if everyone else "tenant = %(tenant)s",
            amounts=", ".join(f"coalesce({name}, 0) {name}" for name in _AMOUNTS),
            totals=", ".join(f"sum({name})::bigint" for name in _AMOUNTS),
        )
        values: dict[str, Any] = {
            "since": span.since, "until": span.until, "tenant": tenant, "limit": limit + 1,
            "after": list(after) if after is not None else None,
        }  # fmt: skip
        database = self._owner if everyone else self._database
        rows = await database.rows(None if everyone else tenant, statement.encode(), values)
        lines = [row for row in rows if not row["total"]]
        return _Lines(lines[:limit], len(lines) > limit, [row for row in rows if row["total"]])

    def _taken(self, place: _Place) -> _Lines | None:
        kept_at, lines = self._kept.pop(place, (0.0, None))
        return lines if self._clock() < kept_at + KEPT_SECONDS else None

    def _keep(self, place: _Place, lines: _Lines) -> None:
        now = self._clock()
        kept = [one for one in self._kept.items() if now < one[1][0] + KEPT_SECONDS]
        self._kept = dict([*kept[1 - KEPT_REPORTS :], (place, (now, lines))])
