"""Plans that were approved: a run's prices are those of its plan's day."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from services.ledger.rows import Row
from waybill.runtime.errors import Precondition
from waybill.runtime.postgres import Database

# A price that a vendor has left behind for longer than this is not what the vendor will charge.
MOST_AGE = datetime.timedelta(days=7)
ADD = """
insert into waybill_ledger.plans (run_id, tenant, price_day, real_nano_usd, simulated_nano_usd)
values (%(run_id)s, %(tenant)s, %(price_day)s, %(real)s, %(simulated)s)
on conflict (run_id) do nothing
"""
OF_RUNS = "select * from waybill_ledger.plans where run_id = any(%s::uuid[])"


class Plans:
    """The plans of every tenant's runs.

    Args:
        database: One tenant at a time.
        today: In UTC.
    """

    def __init__(self, database: Database, today: Callable[[], datetime.date]) -> None:
        self._database = database
        self._today = today

    async def approve(
        self, tenant: str, run_id: str, price_day: datetime.date, real: int, simulated: int
    ) -> Row:
        """Writes a run's plan down, once; answers the one that stands.

        Raises:
            Precondition: PLAN_OUTDATED.
        """
        if not self._today() - MOST_AGE <= price_day <= self._today():
            raise Precondition(
                "PLAN_OUTDATED",
                f"A plan of {price_day} cannot be approved on {self._today()}: it is of the last"
                f" {MOST_AGE.days} days. Plan again.",
            )
        values = {
            "run_id": run_id, "tenant": tenant, "price_day": price_day, "real": real, "simulated": simulated,
        }  # fmt: skip
        async with self._database.transaction(tenant) as connection:
            await connection.execute(ADD, values)
            (row,) = await (await connection.execute(OF_RUNS, [[run_id]])).fetchall()
        return row

    async def of_runs(self, tenant: str, run_ids: Sequence[str]) -> list[Row]:
        """The plans of those runs that have one."""
        return await self._database.rows(tenant, OF_RUNS, [list(run_ids)])

    async def price_day(self, tenant: str, run_id: str) -> datetime.date:
        """The day whose prices hold for a run: its plan's, else today."""
        rows = await self.of_runs(tenant, [run_id])
        day: datetime.date = rows[0]["price_day"] if rows else self._today()
        return day
