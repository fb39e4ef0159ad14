"""The audit's rows: appended by whoever does something, and read by whom it concerns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from psycopg.types.json import Jsonb

from services.ledger.rows import ALL_TENANTS, Row, seen_by
from waybill.runtime.audit import Event
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Connection, Database

APPEND = """
insert into waybill_ledger.audit (
    event_id, tenant, happened_at, action, target, outcome, detail,
    caller, subject, credential_id, correlation_id)
values (%(event_id)s, %(tenant)s, %(at)s, %(action)s, %(target)s, %(outcome)s, %(detail)s,
    %(caller)s, %(subject)s, %(credential_id)s, %(correlation_id)s)
on conflict (event_id) do nothing
"""
LIST = """
select * from waybill_ledger.audit
where tenant = any(%(seen)s)
    and (%(actions)s::text[] is null or action = any(%(actions)s))
    and (%(target)s::text is null or target = %(target)s)
    and (%(since)s::timestamptz is null or happened_at >= %(since)s)
    and (%(until)s::timestamptz is null or happened_at < %(until)s)
    and (%(before)s::timestamptz is null or (happened_at, audit_id) < (%(before)s, %(before_id)s::bigint))
order by happened_at desc, audit_id desc limit %(limit)s
"""


@dataclass(frozen=True)
class AuditFilter:
    """Which events a listing is about; None means any."""

    actions: list[str] | None = None
    target: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


Place = tuple[datetime.datetime, int]


class AuditLog:
    """The audit.

    Args:
        database: One tenant at a time.
        operator: The tenant whose callers also see what concerns all tenants; empty is nobody.
    """

    def __init__(self, database: Database, operator: str) -> None:
        self._database = database
        self._operator = operator

    async def append(self, events: Sequence[Event]) -> None:
        """Keeps events; those that it has, once."""
        for tenant, of_tenant in groupby(sorted(events, key=_tenant), _tenant):
            async with self._database.transaction(tenant) as connection:
                for event in of_tenant:
                    await append(connection, event)

    async def page(self, who: Caller, matching: AuditFilter, limit: int, before: Place | None) -> list[Row]:
        """Events that the caller may see, newest first, behind a place in that order."""
        seen = seen_by(who.tenant, self._operator)
        moment, number = before or (None, None)
        values = {**vars(matching), "seen": seen, "limit": limit, "before": moment, "before_id": number}
        return await self._database.rows(who.tenant, LIST, values)


async def append(connection: Connection, event: Event) -> None:
    """Keeps an event in the transaction of what it tells of: both are there, or neither."""
    values = {
        **vars(event),
        "tenant": _tenant(event),
        "detail": Jsonb(dict(event.detail)),
        "caller": event.who.tenant,
        "subject": event.who.subject,
        "credential_id": event.who.credential_id,
        "correlation_id": event.who.correlation_id,
    }
    await connection.execute(APPEND, values)


def written_off(who: Caller, entry: Row, reason: str) -> Event:
    """That a doubt was given up."""
    detail = {"reason": reason, "expected_nano_usd": str(entry["expected_nano_usd"]), "kind": entry["kind"]}
    return Event(who, entry["tenant"], "entry.write_off", str(entry["entry_id"]), detail=detail)


def _tenant(event: Event) -> str:
    return event.tenant or ALL_TENANTS
