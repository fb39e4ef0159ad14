"""Entries as they are listed, and what the runs that they belong to have cost."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from services.ledger.changing import FOUND
from services.ledger.rows import NO_RUN, Row
from waybill.runtime.errors import Quota
from waybill.runtime.postgres import Database

# In an answer's 2 MiB, beside a page of entries.
MAX_TOTALS = 10_000

MATCHING = """
(%(run_ids)s::uuid[] is null or run_id = any(%(run_ids)s))
    and (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
"""

LIST = f"""
{FOUND}
where {MATCHING}
    and (%(after)s::timestamptz is null or (held_at, entry_id) > (%(after)s, %(after_id)s::uuid))
{{doubts}}
order by held_at, entry_id
limit %(limit)s
"""
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
class EntryFilter:
    """Which entries a listing is about; None means any."""

    run_ids: Sequence[str] | None
    correlation_id: str | None
    in_doubt: bool = False


class Listing:
    """Reads the entries of one tenant at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
