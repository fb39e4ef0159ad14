"""What a run may spend on buying again what may be charged already: its retry budget, in money.

An attempt after the first counts, at what it is expected to cost, where an earlier one of the same spend key
may be charged: held, in doubt, settled or written off. Where the vendor surely did nothing, the repeat is the
first purchase, and free. First attempts are never refused here, and neither is what is outside a run.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.rows import NO_RUN, Row, tenant_option
from waybill.money import NANO, dollars
from waybill.runtime.errors import Quota, Violation
from waybill.runtime.postgres import Connection

# An attempt repeats work where the one before did, or was not released: one row tells, however many attempts.
REPEATS = """
update waybill_ledger.entries e set repeats = true
from waybill_ledger.entries earlier
where e.entry_id = %(entry_id)s and earlier.tenant = %(tenant)s and earlier.run_id = %(run_id)s
    and earlier.spend_key = %(spend_key)s and earlier.attempt = %(attempt)s - 1
    and (earlier.repeats or earlier.state <> 'RELEASED')
"""
# One at a time for each run: a sum that another repeat is about to change is waited for. It is taken before
# the locks on windows, and who has those asks for no other.
LOCK = "select pg_advisory_xact_lock(hashtextextended('waybill retries ' || %(run_id)s, 0))"
REPEATED = """
select coalesce(sum(expected_nano_usd), 0)::bigint as repeated from waybill_ledger.entries
where tenant = %(tenant)s and run_id = %(run_id)s and kind = %(kind)s and repeats and state <> 'RELEASED'
"""
# What the run may spend: by its plan or by --max-usd, which are budgets of its own; else what its first
# attempts have held so far.
RUN_HOLD = """
select coalesce(
    (select limit_amount from waybill_ledger.budgets b
    where b.tenant = %(tenant)s and b.run_id = %(run_id)s and b.kind = %(kind)s and b.unit = 'NANO_USD'
        and b.period = 'RUN' and b.collection = '' and b.service = '' and b.deleted_at is null),
    (select sum(expected_nano_usd) from waybill_ledger.entries e
    where e.tenant = %(tenant)s and e.run_id = %(run_id)s and e.kind = %(kind)s and e.attempt = 1),
    0)::bigint as run_hold
"""


@dataclass(frozen=True)
class RetryBudget:
    """How large a run's retry budget is.

    Attributes:
        percent: WAYBILL_RETRY_PERCENT, of what the run may spend.
        least_nano_usd: WAYBILL_RETRY_LEAST_NANO_USD: so much in any case, since one lost answer of a small
            run is all of it.
    """

    percent: int = 10
    least_nano_usd: int = 50_000_000

    def of(self, run_hold: int) -> int:
        """The retry budget of a run that may spend so much, nano-USD."""
        return max(run_hold * self.percent // 100, self.least_nano_usd)

    async def check(self, connection: Connection, entry: Row) -> None:
        """Counts an entry that has just been inserted, in its transaction.

        Raises:
            Quota: RETRY_BUDGET_EXCEEDED; the transaction must end with it.
        """
        if entry["attempt"] == 1 or str(entry["run_id"]) == NO_RUN or not entry["expected_nano_usd"]:
            return
        values = {**entry, "run_id": str(entry["run_id"])}
        if not (await connection.execute(REPEATS, values)).rowcount:
            return
        await connection.execute(LOCK, values)
        repeated = await _sum(connection, REPEATED, values)
        if repeated <= self.least_nano_usd:
            return
        allowed = self.of(await _sum(connection, RUN_HOLD, values))
        if repeated > allowed:
            raise self._exceeded(entry, allowed, repeated)

    def _exceeded(self, entry: Row, allowed: int, wanted: int) -> Quota:
        more, kind = entry["expected_nano_usd"], entry["kind"]
        spent, money = wanted - more, " of simulated money" if kind == "SIMULATED" else ""
        violation = Violation(
            subject=f"runs/{entry['run_id']}",
            description=f"The run's retry budget of {dollars(allowed)}.",
            metric="NANO_USD",
            limit=allowed,
            dimensions={"used": str(spent), "wanted": str(more), "period": "RUN", "kind": kind},
        )
        return Quota(
            "RETRY_BUDGET_EXCEEDED",
            f"This would buy again for {dollars(more)} what may be charged already. A run may spend "
            f"{dollars(allowed)}{money} on that, and {dollars(spent)} of it is spent. Nothing was bought. "
            f"{self._way_on(entry, wanted)}",
            violations=[violation],
        )

    def _way_on(self, entry: Row, wanted: int) -> str:
        run_id, tenant = entry["run_id"], tenant_option(entry)
        again = f"`waybill retry {run_id}{tenant}`, or `heal` in its place where the run is degraded"
        if not self.percent:
            return f"Raise WAYBILL_RETRY_PERCENT, then {again}."
        cents = -(-wanted * 100 * 100 // (self.percent * NANO))
        flag = " --simulated" if entry["kind"] == "SIMULATED" else ""
        command = f"waybill budget set {cents // 100}.{cents % 100:02d}usd/run --run {run_id}{flag}{tenant}"
        return f"To buy it all the same: `{command}`, then {again}."


async def _sum(connection: Connection, statement: str, values: Row) -> int:
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    assert row is not None  # a sum is one row
    (amount,) = row.values()
    return int(amount)
