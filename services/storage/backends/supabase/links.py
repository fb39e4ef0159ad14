"""Links that the vendor serves, and what comes by them: an object only once it was read and is right."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import structlog

from services.storage.backends.port import Link, ObjectSpec
from services.storage.backends.supabase import downloads, errors, uploads
from services.storage.backends.supabase.rows import Row, Rows, path_of
from services.storage.backends.supabase.sdk import Supabase
from waybill.runtime import deadline
from waybill.runtime.clock import Now
from waybill.runtime.errors import Precondition, Quota

# The server's, which no call can choose (facts: Supabase, 3).
UPLOAD_SECONDS = 7_200
# Of what came by a link, to be copied and read.
JUDGING_SECONDS = 3_600.0
# A listing asks the vendor about each that is open.
MAX_OPEN_UPLOADS = 100
log = structlog.get_logger()


class Links:
    """Signs links, and judges what uploads by them have left.

    What is right is copied before it is read: who has the link can write to the first place again.

    Args:
        storage: Open.
        rows: Ours.
        clock: For when links expire.
    """

    def __init__(self, storage: Supabase, rows: Rows, clock: Now) -> None:
        self._storage = storage
        self._rows = rows
        self._clock = clock
        self._judging: dict[uuid.UUID, asyncio.Task[None]] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, storage: Supabase, rows: Rows, clock: Now) -> AsyncIterator[Links]:
        """Judging under way ends with the block, and begins anew when it is asked for."""
        links = cls(storage, rows, clock)
        try:
            yield links
        finally:
            under_way = [*links._judging.values()]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def download(self, row: Row, seconds: int, file_name: str) -> Link:
        """A link to an object's bytes."""
        expire_time = self._expiry(seconds)
        url = await self._storage.download_url(row.path, seconds, file_name)
        return Link(url, "GET", {}, expire_time)

    async def upload(self, tenant: str, spec: ObjectSpec) -> Link:
        """A link that takes the bytes of an object, for as long as the vendor lets it.

        Raises:
            Quota: TOO_MANY_LINKS.
        """
        if len(await self._rows.linked(tenant, "")) >= MAX_OPEN_UPLOADS:
            raise Quota(
                "TOO_MANY_LINKS",
                f"{MAX_OPEN_UPLOADS} upload links are open already. Use them, put the file by PutObject, or"
                " wait: a link closes two hours after it was signed.",
            )
        object_id = self._rows.new_id()
        await self._rows.begin(tenant, object_id, spec, UPLOAD_SECONDS + JUDGING_SECONDS, linked=True)
        expire_time = self._expiry(UPLOAD_SECONDS)
        url = await self._storage.upload_url(path_of(tenant, object_id))
        return Link(url, "PUT", {"Content-Type": uploads.sent_type(spec.content_type)}, expire_time)

    async def judge(self, rows: Sequence[Row]) -> None:
        """Makes objects of what has come by links, whole, and drops what is wrong.

        It goes on when the caller is cancelled: the next one has less to wait for.
        """
        await asyncio.gather(*(asyncio.shield(self._task(row)) for row in rows))

    def _task(self, row: Row) -> asyncio.Task[None]:
        if row.object_id not in self._judging:
            self._judging[row.object_id] = asyncio.create_task(self._judge(row))
        return self._judging[row.object_id]

    async def _judge(self, row: Row) -> None:
        try:
            await self._judged(row)
        finally:
            del self._judging[row.object_id]

    async def _judged(self, row: Row) -> None:
        deadline.clear()
        spec = row.stored.spec
        try:
            size_bytes = await self._storage.size_of(row.path)
        except Precondition as error:
            if error.reason == errors.MISSING:
                return
            raise
        if size_bytes != spec.size_bytes:
            await self._refuse(row, "size")
            return
        copy_id = self._rows.new_id()
        await self._rows.begin(row.tenant, copy_id, spec, JUDGING_SECONDS)
        copy = path_of(row.tenant, copy_id)
        try:
            await self._storage.copy(row.path, copy)
            digest = hashlib.sha256()
            read = downloads.pieces(self._storage, row.tenant, copy, 0, size_bytes, size_bytes)
            async with aclosing(read) as content:
                async for piece in content:
                    digest.update(piece)
        except BaseException:
            # Nothing is known of what came: another look finds it where it is.
            await self._rows.drop(row.tenant, copy_id)
            raise
        if digest.hexdigest() != spec.sha256:
            await self._rows.drop(row.tenant, copy_id)
            await self._refuse(row, "hash")
            return
        await self._rows.keep(row.tenant, spec.key, copy_id)
        await self._rows.drop(row.tenant, row.object_id)

    async def _refuse(self, row: Row, what: str) -> None:
        log.warning("what came by a link is not what was announced", what=what, object_id=str(row.object_id))
        await self._rows.drop(row.tenant, row.object_id)

    def _expiry(self, seconds: int) -> datetime.datetime:
        return self._clock() + datetime.timedelta(seconds=seconds)
