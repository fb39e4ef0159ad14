"""Budgets: what may be spent, set and deleted by a tenant, or by the operator for all tenants together."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.ledger import audit
from services.ledger.audit import AuditFilter, AuditLog, Place
from services.ledger.rows import ALL_TENANTS, NO_RUN, Row, seen_by
from services.ledger.windows import AT, RESET, START, window_id
from waybill.runtime.audit import Event
from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Connection, Database

INSERT = f"""
insert into waybill_ledger.budgets (
    tenant, collection, service, run_id, kind, unit, period, limit_amount, thresholds, created_at, updated_at)
values (%(tenant)s, %(collection)s, %(service)s, %(run_id)s, %(kind)s, %(unit)s, %(period)s,
    %(limit_amount)s, %(thresholds)s::int[], {AT}, {AT})
on conflict (tenant, run_id, collection, service, kind, unit, period) do nothing
returning *
"""  # noqa: S608  (constants only)
# A statement of its own: only then does it see what another transaction has just inserted.
LOCK_ALIKE = """
select * from waybill_ledger.budgets
where (tenant, run_id, collection, service, kind, unit, period) = (%(tenant)s, %(run_id)s::uuid,
    %(collection)s, %(service)s, %(kind)s, %(unit)s, %(period)s) for update
"""
LOCK = "select * from waybill_ledger.budgets where budget_id = %(budget_id)s for update"
CHANGE = f"""
update waybill_ledger.budgets
set limit_amount = %(limit_amount)s, thresholds = %(thresholds)s::int[], updated_at = {AT}, deleted_at = null
where budget_id = %(budget_id)s
returning *
"""  # noqa: S608  (constants only)
DELETE = f"update waybill_ledger.budgets set deleted_at = {AT} where budget_id = %(budget_id)s"  # noqa: S608  (constants only)
READ = f"""
select b.*, {START} as started_at, {RESET} as resets_at,
    coalesce(w.used, 0) as used, coalesce(w.held, 0) as held, coalesce(w.in_doubt, 0) as in_doubt
from waybill_ledger.budgets b
left join waybill_ledger.budget_windows w on w.window_id = {window_id("b.run_id")}
where b.deleted_at is null and b.tenant = any(%(seen)s)
"""  # noqa: S608  (constants only)
GET = f"{READ} and b.budget_id = %(budget_id)s"
LIST = f"""
{READ} and b.run_id = %(run_id)s
    and (%(after)s::timestamptz is null or (b.created_at, b.budget_id) > (%(after)s, %(after_id)s::uuid))
order by b.created_at, b.budget_id limit %(limit)s
"""
# Also of a budget over all tenants: it tells one whose purchase was refused whether it would pass by now.
ROOM = f"""
select coalesce(w.used + w.held + w.in_doubt, 0)::numeric + %(amount)s
    + case b.period when 'RUN' then 0 else %(promised)s end <= b.limit_amount as has_room,
    b.period = 'RUN' as by_run
from waybill_ledger.budgets b
left join waybill_ledger.budget_windows w on w.window_id = {window_id("%(run_id)s")}
where b.deleted_at is null and b.budget_id = %(budget_id)s
"""  # noqa: S608  (constants only)
ALERTS = """
select a.*, w.started_at from waybill_ledger.budget_alerts a
join waybill_ledger.budget_windows w using (window_id)
where a.tenant = any(%(seen)s) and (%(budget_id)s::uuid is null or a.budget_id = %(budget_id)s)
    and (%(before)s::timestamptz is null
        or (a.alerted_at, a.window_id, a.threshold) < (%(before)s, %(before_id)s::uuid, %(threshold)s::int))
order by a.alerted_at desc, a.window_id desc, a.threshold desc limit %(limit)s
"""
DEFAULT_THRESHOLDS = (80,)
# Of the audit, which has the changes of budgets among the rest.
SET, REMOVE = "budget.set", "budget.remove"


@dataclass(frozen=True)
class Wanted:
    """A budget as it is to be; see the columns of waybill_ledger.budgets.

    Attributes:
        thresholds: None are those that it had, and 80 % of a new one.
    """

    all_tenants: bool
    collection: str
    service: str
    run_id: str
    kind: str
    unit: str
    period: str
    limit_amount: int
    thresholds: Sequence[int]


class Budgets:
    """The budgets that a caller may see and set.

    Without authentication, callers name their tenant themselves, and so also the operator's: that only tells
    them apart. With it, the token says who the operator is.

    Args:
        database: One tenant at a time.
        operator: The tenant whose callers also have the budgets over all tenants; empty is nobody.
        now: As in `Entries`.
    """

    def __init__(
        self,
        database: Database,
        operator: str,
        now: Callable[[], datetime.datetime | None] = lambda: None,
    ) -> None:
        self._database = database
        self._operator = operator
        self._now = now
        self._log = AuditLog(database, operator)

    async def set(self, who: Caller, wanted: Wanted) -> Row:
        """Sets a budget, or changes the one that is alike but for limit and thresholds.

        Raises:
            Precondition: OPERATOR_REQUIRED.
        """
        tenant = ALL_TENANTS if wanted.all_tenants else who.tenant
        if wanted.all_tenants:
            self._check_operator(who)
        thresholds = list(wanted.thresholds or DEFAULT_THRESHOLDS)
        values = {**vars(wanted), "thresholds": thresholds, "tenant": tenant, "now": self._now()}
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(INSERT, values)).fetchone()
            if row is not None:
                await self._audit(connection, who, None, row)
            else:
                old = await (await connection.execute(LOCK_ALIKE, values)).fetchone()
                assert old is not None  # nothing is ever taken out of the table
                if not wanted.thresholds:
                    values["thresholds"] = old["thresholds"]
                row = await self._changed(connection, who, old, values)
        return await self.get(who, str(row["budget_id"]))

    async def get(self, who: Caller, budget_id: str) -> Row:
        """Raises NotFound BUDGET_NOT_FOUND."""
        async with self._database.transaction(who.tenant) as connection:
            values = {"budget_id": budget_id, "seen": self._seen(who), "now": self._now()}
            row = await (await connection.execute(GET, values)).fetchone()
        if row is None:
            raise _not_found()
        return row

    async def page(
        self, who: Caller, run_id: str, limit: int, after: tuple[datetime.datetime, str] | None
    ) -> list[Row]:
        """Budgets in the order in which they were set first; those of a run, or of none."""
        values = {"run_id": run_id or NO_RUN, "limit": limit, "after": None, "after_id": None}
        if after is not None:
            values["after"], values["after_id"] = after
        return await self._rows(who, LIST, values)

    async def room(
        self, tenant: str, budget_id: str, amount: int, run_id: str, promised: int = 0
    ) -> tuple[bool, bool]:
        """Whether so much more would pass now; and whether in a window that the run has for itself.

        What is promised to others counts in a window that is theirs, too.
        A budget that is not there any more refuses nothing.
        """
        values = {
            "budget_id": budget_id, "amount": amount, "promised": promised, "run_id": run_id or NO_RUN,
            "now": self._now(),
        }  # fmt: skip
        row = await self._database.row(tenant, ROOM, values)
        return (True, False) if row is None else (row["has_room"], row["by_run"])

    async def delete(self, who: Caller, budget_id: str) -> None:
        """It limits nothing any more; again, it changes nothing.

        Raises:
            NotFound: BUDGET_NOT_FOUND.
        """
        values = {"budget_id": budget_id, "now": self._now()}
        for tenant in self._seen(who):
            async with self._database.transaction(tenant) as connection:
                row = await (await connection.execute(LOCK, values)).fetchone()
                if row is None or row["tenant"] != tenant:
                    continue
                if row["deleted_at"] is None:
                    await connection.execute(DELETE, values)
                    await self._audit(connection, who, row, None)
                return
        raise _not_found()

    async def changes(
        self, who: Caller, budget_id: str | None, limit: int, before: Place | None
    ) -> list[Row]:
        """Who changed budgets, newest first, as rows of the audit."""
        return await self._log.page(who, AuditFilter([SET, REMOVE], budget_id), limit, before)

    async def alerts(
        self,
        who: Caller,
        budget_id: str | None,
        limit: int,
        before: tuple[datetime.datetime, str, int] | None,
    ) -> list[Row]:
        """Thresholds that were reached, newest first."""
        moment, window, threshold = before or (None, None, None)
        values = {"budget_id": budget_id, "limit": limit, "before": moment, "before_id": window}
        return await self._rows(who, ALERTS, {**values, "threshold": threshold})

    async def _rows(self, who: Caller, statement: str, values: Row) -> list[Row]:
        values = {**values, "seen": self._seen(who), "now": self._now()}
        return await self._database.rows(who.tenant, statement.encode(), values)

    async def _changed(self, connection: Connection, who: Caller, old: Row, values: Row) -> Row:
        alike = all(old[name] == values[name] for name in ("limit_amount", "thresholds"))
        if alike and old["deleted_at"] is None:
            return old
        row = await (await connection.execute(CHANGE, {**values, "budget_id": old["budget_id"]})).fetchone()
        assert row is not None  # it is locked
        await self._audit(connection, who, old if old["deleted_at"] is None else None, row)
        return row

    async def _audit(self, connection: Connection, who: Caller, old: Row | None, new: Row | None) -> None:
        of = old or new
        assert of is not None
        event = Event(
            who,
            "" if of["tenant"] == ALL_TENANTS else of["tenant"],
            SET if new else REMOVE,
            str(of["budget_id"]),
            detail={**_audited("old", old), **_audited("new", new)},
        )
        await audit.append(connection, event)

    def _seen(self, who: Caller) -> list[str]:
        return seen_by(who.tenant, self._operator)

    def _check_operator(self, who: Caller) -> None:
        if who.tenant != self._operator:
            raise Precondition(
                "OPERATOR_REQUIRED",
                "A budget over all tenants is the operator's. Call as the tenant that"
                " WAYBILL_OPERATOR_TENANT names, or set one of your own tenant.",
            )


def _audited(when: str, row: Row | None) -> dict[str, str]:
    if row is None:
        return {}
    thresholds = ",".join(map(str, row["thresholds"]))
    return {f"{when}_limit": str(row["limit_amount"]), f"{when}_thresholds": thresholds}


def _not_found() -> NotFound:
    return NotFound("BUDGET_NOT_FOUND", "No budget has this id. `waybill budget list` shows those there are.")
