"""What counts against budgets, as running sums: raised by a hold, moved by whatever becomes of it.

A sum changes in the transaction that changes its entry, after it. All transactions lock entries first, then
windows in the order of their ids, each in one statement: no two of them wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.ledger.exceeding import exceeded
from services.ledger.rows import ALL_TENANTS, NO_RUN, Row
from waybill.runtime.postgres import Connection

# The moment that a statement is about: the database's own, which all ledgers share, unless a test names one.
AT = "coalesce(%(now)s::timestamptz, statement_timestamp())"
# Of a budget `b`, in UTC: an interval is not added to a moment, which would add it in the session's zone.
START = f"case when b.period <> 'RUN' then date_trunc(lower(b.period), {AT}, 'UTC') end"
RESET = f"""
case when b.period <> 'RUN' then
    (date_trunc(lower(b.period), {AT} at time zone 'UTC') + ('1 ' || b.period)::interval) at time zone 'UTC'
end
"""


def window_id(run_id: str) -> str:
    """The id of the window of a budget `b`, which of the period RUN is one for each run, as SQL."""
    of = f"coalesce(extract(epoch from {START})::bigint::text, ({run_id}::uuid)::text)"
    return f"md5(b.budget_id::text || {of})::uuid"


WINDOW_ID = window_id("%(run_id)s")
# Those that may apply to a hold; the two columns are an index.
NEAR = f"b.tenant in (%(tenant)s, '{ALL_TENANTS}') and b.run_id in (%(run_id)s, '{NO_RUN}')"
# What cannot cost anything is never refused for want of money.
APPLYING = f"""
(select coalesce(array_agg({WINDOW_ID}), '{{}}') from waybill_ledger.budgets b
where {NEAR} and b.kind = %(kind)s and b.deleted_at is null
    and b.collection in ('', %(collection)s) and b.service in ('', %(service)s)
    and (b.period <> 'RUN' or %(run_id)s <> '{NO_RUN}')
    and (b.unit <> 'NANO_USD' or %(price)s > 0) and (b.unit <> 'BYTES' or %(size_bytes)s > 0))
"""  # noqa: S608  (constants only)

# Once for each budget, window and threshold, by whoever brings the sum there.
ALERT = """
insert into waybill_ledger.budget_alerts (
    window_id, threshold, budget_id, tenant, limit_amount, used, held, in_doubt)
select changed.window_id, threshold, b.budget_id, b.tenant, b.limit_amount, used, held, in_doubt
from changed join waybill_ledger.budgets b using (budget_id), unnest(b.thresholds) threshold
where b.deleted_at is null
    and (used + held + in_doubt)::numeric * 100 >= b.limit_amount::numeric * threshold
on conflict do nothing
returning *
"""

# All sums that a hold counts in, each only where it stays within its limit; fewer rows than windows are a
# refusal, and the transaction is rolled back.
RAISE = f"""
with changed as (
    insert into waybill_ledger.budget_windows as w (
        window_id, budget_id, tenant, unit, run_id, started_at, limit_amount, held)
    select window_id, budget_id, tenant, unit,
        case period when 'RUN' then %(run_id)s::uuid end, started_at, limit_amount, amount
    from (
        select b.*, {START} as started_at, {WINDOW_ID} as window_id,
            case b.unit when 'NANO_USD' then %(expected)s when 'BYTES' then %(size_bytes)s else 1
            end as amount
        from waybill_ledger.budgets b where {NEAR}
    ) near
    where window_id = any(%(window_ids)s) and amount <= limit_amount
    order by window_id
    on conflict (window_id) do update
        set held = w.held + excluded.held, limit_amount = excluded.limit_amount
        where w.used + w.held + w.in_doubt + excluded.held <= excluded.limit_amount
    returning w.*
), alerted as ({ALERT})
select changed.window_id as raised, alerted.* from changed left join alerted using (window_id)
"""  # noqa: S608  (constants only)

FULL = f"""
select b.*, {RESET} as resets_at, extract(epoch from {RESET} - {AT})::float8 as resets_in_seconds,
    coalesce(w.used, 0) as used, coalesce(w.held, 0) as held, coalesce(w.in_doubt, 0) as in_doubt,
    case b.kind when 'REAL' then p.real_nano_usd else p.simulated_nano_usd end as planned
from waybill_ledger.budgets b left join waybill_ledger.budget_windows w on w.window_id = {WINDOW_ID}
left join waybill_ledger.plans p on p.run_id = b.run_id and b.unit = 'NANO_USD'
where {NEAR} and {WINDOW_ID} = any(%(window_ids)s)
order by b.created_at, b.budget_id
"""  # noqa: S608  (constants only)

MOVE = f"""
with locked as materialized (
    select window_id from waybill_ledger.budget_windows
    where window_id = any(%(windows)s::uuid[]) order by window_id for update
), changed as (
    update waybill_ledger.budget_windows w
    set used = w.used + move.used, held = w.held + move.held, in_doubt = w.in_doubt + move.in_doubt
    from locked join unnest(%(windows)s::uuid[], %(units)s::text[], %(used)s::bigint[], %(held)s::bigint[],
        %(in_doubt)s::bigint[]) as move (window_id, unit, used, held, in_doubt) using (window_id)
    where w.window_id = locked.window_id and w.unit = move.unit
    returning w.*
), alerted as ({ALERT})
select * from alerted
"""  # noqa: S608  (constants only)


@dataclass(frozen=True)
class Sums:
    """What one entry, or several, count in a window."""

    used: int = 0
    held: int = 0
    in_doubt: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.used + other.used, self.held + other.held, self.in_doubt + other.in_doubt)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.used - other.used, self.held - other.held, self.in_doubt - other.in_doubt)


Moves = Mapping[tuple[str, str], Sums]


async def raised(connection: Connection, entry: Row) -> Sequence[Row]:
    """Counts a new entry in its windows, all of them or none; answers the alerts that this gives.

    Raises:
        Quota: BUDGET_EXCEEDED; the transaction must end with it.
    """
    window_ids, values = entry["window_ids"], _values(entry)
    rows = await (await connection.execute(RAISE, values)).fetchall()
    if full := set(window_ids) - {row["raised"] for row in rows}:
        values["window_ids"] = list(full)
        raise exceeded(entry, await (await connection.execute(FULL, values)).fetchall())
    return [row for row in rows if row["threshold"] is not None]


async def opened(connection: Connection, entry: Row) -> Sequence[Row]:
    """Makes the windows of a new entry that costs nothing yet, and refuses nothing; answers alerts."""
    if not entry["window_ids"]:
        return []
    # A window that takes not even nothing is there already, over its limit.
    rows = await (await connection.execute(RAISE, _values(entry))).fetchall()
    return [row for row in rows if row["threshold"] is not None]


def _values(entry: Row) -> Row:
    return {**entry, "expected": entry["expected_nano_usd"], "now": entry["held_at"]}


async def moved(connection: Connection, moves: Moves) -> Sequence[Row]:
    """Changes sums by window and unit; answers the alerts that this gives."""
    changes = {place: by for place, by in moves.items() if by != Sums()}
    if not changes:
        return []
    values = {
        "windows": [window for window, _ in changes],
        "units": [unit for _, unit in changes],
        **{name: [getattr(by, name) for by in changes.values()] for name in ("used", "held", "in_doubt")},
    }
    return await (await connection.execute(MOVE, values)).fetchall()


def changes(ended: Iterable[tuple[Row, Row]]) -> Moves:
    """What to change where entries, as they were, are now as they are."""
    moves: dict[tuple[str, str], Sums] = defaultdict(Sums)
    for before, after in ended:
        for window in after["window_ids"]:
            for unit in ("NANO_USD", "REQUESTS", "BYTES"):
                moves[window, unit] += _counts(after, unit) - _counts(before, unit)
    return moves


def adjusted(entry: Row, nano_usd: int) -> Moves:
    """What to change where an entry is corrected by so much."""
    return {(window, "NANO_USD"): Sums(used=nano_usd) for window in entry["window_ids"]}


def _counts(entry: Row, unit: str) -> Sums:
    """What an entry counts by its state, its adjustments aside."""
    match entry["state"]:
        case "HELD":
            return Sums(held=_amount(entry, unit, "expected_nano_usd"))
        case "IN_DOUBT":
            return Sums(in_doubt=_amount(entry, unit, "expected_nano_usd"))
        case "SETTLED":
            return Sums(used=_amount(entry, unit, "reported_nano_usd"))
    return Sums()


def _amount(entry: Row, unit: str, money: str) -> int:
    if unit == "REQUESTS":
        return 1
    return int(entry[money if unit == "NANO_USD" else "size_bytes"])
