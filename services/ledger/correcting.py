"""Many entries corrected in one transaction, as an invoice has them; what they count moves once a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.ledger.changing import CORRECTED
from services.ledger.rows import Row
from services.ledger.windows import Sums, adjusted, changes, moved
from waybill.runtime.postgres import Connection

# Entries are locked before windows, and in this order, by whoever locks several.
LOCK = """
select * from waybill_ledger.entries where entry_id = any(%(ids)s::uuid[]) order by entry_id for update
"""
SETTLE = """
update waybill_ledger.entries
set state = 'SETTLED', ended_at = clock_timestamp(), end_reason = '', reported_nano_usd = expected_nano_usd
where entry_id = any(%(ids)s::uuid[]) and state in ('HELD', 'IN_DOUBT')
returning *
"""
# A statement of its own: only it sees what was appended while the locks were waited for.
ADJUST = f"""
insert into waybill_ledger.adjustments (
    tenant, entry_id, run_id, correlation_id, kind, model, unit, quantity, nano_usd, reason)
select tenant, entry_id, run_id, correlation_id, kind, model, 'nano_usd', invoiced, more, %(reason)s
from (
    select e.*, invoiced, invoiced - coalesce(e.reported_nano_usd, 0) - {CORRECTED} as more
    from unnest(%(ids)s::uuid[], %(invoiced)s::bigint[]) as line (entry_id, invoiced)
    join waybill_ledger.entries e using (entry_id)
) compared where more <> 0
returning entry_id, nano_usd
"""  # noqa: S608  (constants only)


@dataclass(frozen=True)
class Corrected:
    """What became of entries.

    Attributes:
        settled: So many were held or in doubt.
        adjusted: So many others had another amount.
        alerts: What this gives; to be told once it is committed.
    """

    settled: int
    adjusted: int
    alerts: Sequence[Row]


async def correct(connection: Connection, invoiced: Mapping[str, int], reason: str) -> Corrected:
    """Appends the difference to what each entry is known to cost, of any tenant; a repeat appends nothing.

    Args:
        connection: Of the role that sees every tenant.
        invoiced: By entry id, nano-USD.
        reason: Of the adjustments.
    """
    values = {"ids": list(invoiced), "invoiced": list(invoiced.values()), "reason": reason}
    locked = await (await connection.execute(LOCK, values)).fetchall()
    found = {row["entry_id"]: row for row in locked}
    settled = await (await connection.execute(SETTLE, values)).fetchall()
    moves = dict(changes((found[row["entry_id"]], row) for row in settled))
    appended = await (await connection.execute(ADJUST, values)).fetchall()
    for row in appended:
        for place, by in adjusted(found[row["entry_id"]], row["nano_usd"]).items():
            moves[place] = moves.get(place, Sums()) + by
    others = {row["entry_id"] for row in appended} - {row["entry_id"] for row in settled}
    return Corrected(len(settled), len(others), await moved(connection, moves))
