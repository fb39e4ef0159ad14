"""Which process works on which rows of a table: claim, renew, fence, hand back, by the database's clock.

A process that dies loses its rows as their lease runs out; whoever claims one then counts a death. One that
drains hands its rows back, which is no death. One that was too slow finds them with another owner: its
writes carry the fence, and change nothing.

The table has `owner text`, `leased_until timestamptz`, null while nobody works on the row, and
`deaths integer`. An index on (owner) where leased_until is not null finds a process's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg.rows import DictRow

from waybill.runtime.postgres import Connection

LEASE_SECONDS = 15.0


class Leases:
    """What one process holds of a table. Statements run in the caller's transaction.

    Args:
        table: Its qualified name.
        key: Its primary key.
        owner: The process, by a name that no other ever has.
        seconds: How long a row is held without a renewal.
        taken: Further assignments when a row is claimed.
        given_up: Further assignments when a row is handed back.

    Attributes:
        values: Parameters that the conditions need.
        ran_out: Condition: another process had the row, and its lease ran out.
        free: Condition: no other process has the row, and this one neither.
        fence: Condition: this process has the row.
    """

    # The time of the transaction: one statement may ask twice, and must not see a lease run out in between.
    ran_out = "coalesce(leased_until < now() and owner <> %(owner)s, false)"
    free = f"(leased_until is null or {ran_out})"
    fence = "(owner = %(owner)s and leased_until is not null)"

    def __init__(
        self,
        table: str,
        key: str,
        owner: str,
        seconds: float = LEASE_SECONDS,
        *,
        taken: Sequence[str] = (),
        given_up: Sequence[str] = (),
    ) -> None:
        self.values: Mapping[str, object] = {"owner": owner, "lease": seconds}
        until = "leased_until = now() + %(lease)s * interval '1 second'"
        deaths = f"deaths = deaths + {self.ran_out}::integer"
        claimed = ", ".join(["owner = %(owner)s", until, deaths, *taken])
        given = ", ".join(["leased_until = null", *given_up])
        # Materialized: the rows are chosen, and locked, once.
        self._claim = f"""
            with chosen as materialized ({{}})
            update {table} set {claimed} where {key} in (select {key} from chosen) returning *"""  # noqa: S608 - names of ours
        self._renew = f"update {table} set {until} where {key} = any(%(keys)s) and {self.fence} returning *"  # noqa: S608 - names of ours
        self._hand_back = f"update {table} set {given} where {key} <> all(%(keys)s) and {self.fence}"  # noqa: S608 - names of ours

    async def claim(self, connection: Connection, choice: str, **values: object) -> Sequence[DictRow]:
        """Takes rows; answers them as they are then.

        Args:
            connection: In a transaction.
            choice: A select of keys, `free` or within the `fence`, that locks them; trusted text.
            values: Its parameters, besides those of the leases.
        """
        return await self._rows(connection, self._claim.format(choice), **values)

    async def renew(self, connection: Connection, keys: Collection[Any]) -> Sequence[DictRow]:
        """Holds these rows for longer; answers those that this process still has."""
        return await self._rows(connection, self._renew, keys=list(keys))

    async def hand_back(self, connection: Connection, but: Collection[Any] = ()) -> None:
        """Lets go of all that this process has but some."""
        await connection.execute(self._hand_back, {**self.values, "keys": list(but)})

    async def _rows(self, connection: Connection, statement: str, **values: object) -> Sequence[DictRow]:
        return await (await connection.execute(statement, {**self.values, **values})).fetchall()
