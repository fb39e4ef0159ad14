"""Drops content that no search will see again: of replaced versions, and of those never published."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database

BATCH_ROWS = 1_000
IDLE_SECONDS = 3_600.0

# Versions that were begun long ago and never published are given up, so that nobody adds to them.
# One that is being written, published or deleted has its turn at the next sweep: waiting for it here,
# with others locked, could be waiting for who waits for us.
ABANDON = """
update document_versions set state = 'ABANDONED'
where version_id = any(array(
    select version_id from document_versions
    where state = 'BUILDING' and began_at <= clock_timestamp() - make_interval(secs => %s)
        and coalesce(keep_until <= clock_timestamp(), true)
    for update skip locked))
"""

# One version whose content may go. A replaced one stays a moment, for readers that know its id.
NEXT = """
select version_id from document_versions
where state = 'ABANDONED'
    or (state = 'SUPERSEDED' and superseded_at <= clock_timestamp() - make_interval(secs => %s))
limit 1
"""

# Each batch holds the version, if it is still there, against who writes to it or deletes its document.
DELETE_CHUNKS = """
with held as (select version_id from document_versions where version_id = %s for update)
delete from chunks where (version_id, ordinal) in (
    select version_id, ordinal from chunks join held using (version_id) limit %s)
"""

DELETE_VECTORS = """
with held as (select version_id from document_versions where version_id = %s for update)
delete from vectors where (version_id, ordinal, space_id) in (
    select version_id, ordinal, space_id from vectors join held using (version_id) limit %s)
"""

DELETE_POSTINGS = """
with held as (select number from document_versions where version_id = %s for update)
delete from postings where ctid = any(array(
    select postings.ctid from postings join held using (number) limit %s))
"""

# The row of a replaced version stays, so that a late repeat of its publishing is answered.
END_SUPERSEDED = """
update document_versions set state = 'SWEPT' where version_id = %s and state = 'SUPERSEDED'
"""

END_ABANDONED = "delete from document_versions where version_id = %s and state = 'ABANDONED'"

# Nobody repeats a publishing after so long.
FORGET = """
delete from document_versions where ctid = any(array(
    select ctid from document_versions
    where state = 'SWEPT' and superseded_at < now() - make_interval(days => %(days)s)
    limit %(rows)s))
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long content is kept that no search sees.

    Attributes:
        superseded_seconds: After it was replaced.
        abandoned_seconds: After it was begun and not published; longer where who began it said so.
    """

    superseded_seconds: float = 5.0
    abandoned_seconds: float = 24 * 3600.0


class Sweeper:
    """Sweeps at its start, soon after each `wake`, and once an hour."""

    def __init__(self, owner: Database, patience: Patience) -> None:
        self._owner = owner
        self._patience = patience
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A version was replaced."""
        self._woken.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Sweeps until the block is left."""
        return repeating("sweep", self._turn, IDLE_SECONDS, self._woken)

    async def _turn(self) -> None:
        await asyncio.sleep(self._patience.superseded_seconds)
        await self.sweep()

    async def sweep(self) -> int:
        """Sweeps what is due now, in small transactions. Returns how many versions that were."""
        swept = 0
        await self._owner.execute(None, ABANDON, [self._patience.abandoned_seconds])
        while (version_id := await self._next()) is not None:
            # A vector is only taken for a chunk that is there: with chunks gone first, none comes late.
            for statement in (DELETE_CHUNKS, DELETE_VECTORS, DELETE_POSTINGS):
                while await self._owner.execute(None, statement, [version_id, BATCH_ROWS]) == BATCH_ROWS:
                    pass
            for statement in (END_SUPERSEDED, END_ABANDONED):
                await self._owner.execute(None, statement, [version_id])
            swept += 1
        return swept

    async def _next(self) -> object | None:
        row = await self._owner.row(None, NEXT, [self._patience.superseded_seconds])
        return row["version_id"] if row else None
