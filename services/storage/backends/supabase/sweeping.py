"""Deletes at the vendor what is no object any more, or never became one, also after a kill -9.

Every path at the vendor has a row before it has bytes, and keeps it until the vendor surely has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import structlog

from services.storage.backends.supabase import errors, uploads
from services.storage.backends.supabase.links import Links
from services.storage.backends.supabase.rows import Row, Rows
from services.storage.backends.supabase.sdk import Supabase
from waybill.runtime import identity
from waybill.runtime.errors import Credential, Precondition, ServiceError, Unavailable

SECONDS = 30.0
# What the vendor deletes at once.
BATCH = 100
# Until what could not be deleted is tried again.
AGAIN_SECONDS = 300.0
log = structlog.get_logger()


class Sweeper:
    """Sweeps what is due. Several at once disturb nothing."""

    def __init__(self, storage: Supabase, rows: Rows, links: Links) -> None:
        self._storage = storage
        self._rows = rows
        self._links = links

    async def turn(self) -> None:
        """Sweeps all that is due now; where one tenant's cannot be swept, the others' is.

        Raises:
            ServiceError: At the end, where some is left to the next time. At once, where the vendor is away
                or takes no key.
        """
        failure: ServiceError | None = None
        while due := await self._rows.due(BATCH, AGAIN_SECONDS):
            for tenant, rows in itertools.groupby(sorted(due, key=_tenant), _tenant):
                try:
                    with identity.acting_as(identity.Caller(tenant, "sweep")):
                        await self._sweep([*rows])
                except (Unavailable, Credential):
                    raise
                except ServiceError as error:
                    log.warning("objects are left to the next sweep", tenant=tenant, reason=error.reason)
                    failure = error
        if failure is not None:
            raise failure

    async def _sweep(self, rows: Sequence[Row]) -> None:
        """Sweeps rows of one tenant."""
        linked = [row for row in rows if row.linked]
        # What came in the last moment and was never looked at is an object all the same.
        await self._links.judge(linked)
        for row in linked:
            await self._rows.drop(row.tenant, row.object_id)
        dropped = [row for row in rows if not row.linked]
        for row in dropped:
            if row.upload_id:
                await uploads.terminate(self._storage, row.upload_id)
        if dropped:
            await self._rows.forget([row.object_id for row in await self._gone(dropped)])

    async def _gone(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Deletes rows' bytes; answers those of which the vendor has none now.

        It names what it deleted: all else was not there, could not be deleted (F23), or is hidden from a key
        of the wrong role (facts: Supabase, 3).
        """
        deleted = await self._storage.remove([row.path for row in rows])
        gone = [row for row in rows if row.path in deleted]
        unnamed = [row for row in rows if row.path not in deleted]
        if unnamed:
            # Who sees the bucket sees its objects.
            await self._storage.check()
        return [*gone, *[row for row in unnamed if not await self._is_there(row)]]

    async def _is_there(self, row: Row) -> bool:
        try:
            await self._storage.size_of(row.path)
        except Precondition as error:
            if error.reason == errors.MISSING:
                return False
            raise
        return True


def _tenant(row: Row) -> str:
    return row.tenant
