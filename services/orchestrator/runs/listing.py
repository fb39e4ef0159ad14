"""Runs as a caller lists them: newest first, by state, document, time and label."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.runs.rows import Row, new_run_id, unix_ms
from waybill.runtime.postgres import Database

LOWEST, HIGHEST = str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))

LIST = """
select * from waybill_runs.runs
where (%(correlation_id)s::text is null or correlation_id = %(correlation_id)s)
    and (%(document_key)s::text is null or (collection, document_key) = (%(collection)s, %(document_key)s))
    and (%(states)s::waybill_runs.run_state[] is null or state = any(%(states)s))
    and run_id >= %(first)s and run_id < %(before)s
order by run_id desc limit %(limit)s
"""

# The newest of each state walk an index: those of a rare state do not wait behind all the others.
LIST_BY_STATE = """
select runs.* from (
    select newest.run_id
    from unnest(%(states)s::waybill_runs.run_state[]) wanted (state)
    cross join lateral waybill_runs.newest_of_state(state, %(first)s, %(before)s, %(limit)s) newest (run_id)
    order by run_id desc limit %(limit)s
) newest
join waybill_runs.runs using (run_id)
order by run_id desc
"""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are listed; what is empty or None does not count.

    Attributes:
        collection: Of the document.
        accepted_from: At this time or later.
        accepted_before: Before this time.
    """

    correlation_id: str = ""
    states: Sequence[str] = ()
    collection: str = ""
    document_key: str = ""
    accepted_from: datetime.datetime | None = None
    accepted_before: datetime.datetime | None = None


class RunListing:
    """Pages of a tenant's runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: str, wanted: RunFilter, limit: int, before: str | None) -> list[Row]:
        """Runs, newest first, older than run `before`."""
        values = {
            "correlation_id": wanted.correlation_id or None,
            "states": list(wanted.states) or None,
            "collection": wanted.collection,
            "document_key": wanted.document_key or None,
            "first": _first_of(wanted.accepted_from) or LOWEST,
            "before": min(before or HIGHEST, _first_of(wanted.accepted_before) or HIGHEST),
            "limit": limit,
        }
        narrow = wanted.document_key or wanted.correlation_id
        query = LIST_BY_STATE if wanted.states and not narrow else LIST
        return await self._database.rows(tenant, query, values)


def _first_of(moment: datetime.datetime | None) -> str | None:
    """The lowest run id of a millisecond: ids begin with the time that their run was accepted at."""
    if moment is None:
        return None
    return new_run_id(unix_ms(moment), bytes(10))
