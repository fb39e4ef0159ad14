"""What runs wait for, as rows: a run that waits takes up no place, and nothing of it is in memory.

A row says what the run waits for (kind and ref), and when that is looked at next:

    the run waits                               a look may wake the run
    a step of the run is at work                nobody looks
    the run goes on without it, or has ended    a look ends what is left at the vendor, and deletes the row
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.orchestrator.runs.rows import Row, RunRef
from waybill.runtime.leases import LEASE_SECONDS, Leases
from waybill.runtime.postgres import Connection, Database

BATCH, PARSE, VENDOR, SERVICE, BUDGET, HEAL = "batch", "parse", "vendor", "service", "budget", "heal"

PUT = """
insert into waybill_runs.waits (tenant, run_id, kind, ref, left_behind, created_at, look_at, in_vain)
values (%(tenant)s, %(run_id)s, %(kind)s, %(ref)s, %(left_behind)s, %(now)s, %(look_at)s, %(in_vain)s)
on conflict (run_id, kind, ref) do update
    set left_behind = excluded.left_behind, look_at = excluded.look_at, in_vain = excluded.in_vain
"""

# Of what a run is about to wait for again. A step that has ended since it was woken is a success.
IN_VAIN = """
select in_vain from waybill_runs.waits
where run_id = %(run_id)s and kind = %(kind)s and ref = %(ref)s and not exists (
    select from waybill_runs.steps
    where steps.run_id = waits.run_id and steps.status = 'OK' and steps.ended_at > waits.look_at)
"""
AWAY = "update waybill_runs.waits set in_vain = 0 where wait_id = %s"

# A run waits for one thing at a time.
LEAVE_OTHERS = """
update waybill_runs.waits set left_behind = true
where run_id = %(run_id)s and (kind, ref) <> (%(kind)s, %(ref)s) and not left_behind
"""

WAITED_FOR = "select ref from waybill_runs.waits where run_id = %s and kind = %s and not left_behind"

# Tenants have turns: one with thousands of runs that wait stands before nobody.
DUE = f"""
with due as (
    select wait_id, row_number() over (partition by waits.tenant order by look_at) as turn
    from waybill_runs.waits join waybill_runs.runs using (run_id)
    where look_at <= %(now)s and {Leases.free} and (left_behind or state not in ('QUEUED', 'RUNNING')))
select waits.wait_id from waybill_runs.waits join due using (wait_id)
where {Leases.free} order by turn, look_at limit %(limit)s for update of waits skip locked
"""  # noqa: S608 - constants

LOOK_LATER = f"""
update waybill_runs.waits set look_at = %(look_at)s, leased_until = null
where wait_id = %(wait_id)s and {Leases.fence}
"""  # noqa: S608 - constants

HASTEN = """
update waybill_runs.waits set look_at = %(now)s
where (kind in ('vendor', 'heal') and ref = %(service)s or kind = 'parse' and %(service)s <> 'embedder')
    and look_at > %(now)s and leased_until is null
"""

# Not where the run waits for the same again by now, in its next try.
DELETE = f"""
delete from waybill_runs.waits where wait_id = %(wait_id)s and look_at = %(seen_look_at)s and {Leases.fence}
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Wait:
    """A row; see its columns."""

    wait_id: uuid.UUID
    run: RunRef
    kind: str
    ref: str
    left_behind: bool
    created_at: datetime.datetime
    look_at: datetime.datetime
    in_vain: int = 0


class Waits:
    """What every tenant's runs wait for, as one process looks after it.

    Args:
        database: One tenant at a time.
        owner_database: All tenants, to find what is due.
        owner: This process, "orchestrator/<boot id>".
        lease_seconds: How long a row is this process's without a renewal.
    """

    def __init__(
        self, database: Database, owner_database: Database, owner: str, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._owner_database = owner_database
        self._leases = Leases("waybill_runs.waits", "wait_id", owner, lease_seconds)

    async def claim_due(
        self, now: datetime.datetime, limit: int, held: Collection[uuid.UUID]
    ) -> Sequence[tuple[Wait, Row]]:
        """Takes what is due and nobody looks at, each with its run's row.

        Args:
            now: In UTC.
            limit: At most so many.
            held: Taken earlier and looked at still: kept for longer. Whatever else this process has, it
                hands back.
        """
        async with self._owner_database.transaction(None) as connection:
            if held:
                await self._leases.renew(connection, held)
            await self._leases.hand_back(connection, held)
            rows = await self._leases.claim(connection, DUE, now=now, limit=limit)
            if not rows:
                return []
            query = "select * from waybill_runs.runs where run_id = any(%s)"
            found = await connection.execute(query, [[row["run_id"] for row in rows]])
            runs = {run["run_id"]: run for run in await found.fetchall()}
        return [(_wait(row), runs[row["run_id"]]) for row in rows]

    async def let_go(self, wait: Wait, look_at: datetime.datetime | None) -> None:
        """Lets go of a row until then; None: nothing is left to be done about it, and it is deleted."""
        statement = DELETE if look_at is None else LOOK_LATER
        values = {
            "wait_id": wait.wait_id, "look_at": look_at, "seen_look_at": wait.look_at, **self._leases.values
        }  # fmt: skip
        await self._database.execute(wait.run.tenant, statement.encode(), values)

    async def away(self, wait: Wait) -> None:
        """What a run waits for is away: the run's last try says nothing of the next."""
        if wait.in_vain:
            await self._database.execute(wait.run.tenant, AWAY, [wait.wait_id])

    async def hasten(self, service: str, now: datetime.datetime) -> None:
        """Makes due what waits for a service's vendor, of every tenant; a parse may wait for storage's."""
        await self._owner_database.execute(None, HASTEN, {"service": service, "now": now})

    async def hand_back(self) -> None:
        """Lets go of all that this process has."""
        async with self._owner_database.transaction(None) as connection:
            await self._leases.hand_back(connection)

    async def waited_for(self, run: RunRef, kind: str) -> str:
        """The ref of what a run waits, or has waited, for; empty where there is none."""
        row = await self._database.row(run.tenant, WAITED_FOR, [run.run_id, kind])
        return "" if row is None else str(row["ref"])


async def put(
    connection: Connection,
    run: RunRef,
    kind: str,
    ref: str,
    *,
    now: datetime.datetime,
    look_at: datetime.datetime,
    left_behind: bool = False,
    in_vain: int = 0,
) -> None:
    """Notes what a run waits for, or has left behind; it is looked at then.

    Args:
        connection: In the transaction that makes it so.
        run: Whose it is.
        kind: BATCH, PARSE, VENDOR, SERVICE, BUDGET or HEAL.
        ref: Which one.
        now: In UTC.
        look_at: When it is looked at next.
        left_behind: The run goes on without it.
        in_vain: Tries in a row that began while this vendor, or service, was there, and met it refusing.
    """
    values = {
        "tenant": run.tenant,
        "run_id": run.run_id,
        "kind": kind,
        "ref": ref,
        "left_behind": left_behind,
        "now": now,
        "look_at": look_at,
        "in_vain": in_vain,
    }
    await connection.execute(PUT, values)
    if not left_behind:
        await connection.execute(LEAVE_OTHERS, values)


async def in_vain(connection: Connection, run: RunRef, kind: str, ref: str) -> int:
    """How often a run has met one that is there and refuses, in a row, this time counted."""
    values = {"run_id": run.run_id, "kind": kind, "ref": ref}
    row = await (await connection.execute(IN_VAIN, values)).fetchone()
    return 1 if row is None else int(row["in_vain"]) + 1


def seldom(
    since: datetime.datetime, now: datetime.datetime, least_seconds: float, most_seconds: float
) -> datetime.datetime:
    """When to look again at what began then: the longer it takes, the more seldom."""
    seconds = (now - since).total_seconds() / 10
    return now + datetime.timedelta(seconds=min(max(seconds, least_seconds), most_seconds))


def _wait(row: Row) -> Wait:
    return Wait(
        wait_id=row["wait_id"],
        run=RunRef(row["tenant"], str(row["run_id"])),
        kind=row["kind"],
        ref=row["ref"],
        left_behind=row["left_behind"],
        created_at=row["created_at"],
        look_at=row["look_at"],
        in_vain=row["in_vain"],
    )
