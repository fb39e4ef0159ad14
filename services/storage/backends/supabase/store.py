"""Objects in a bucket of Supabase Storage, which keeps the bytes; what an object is, our rows say."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

import structlog

from services.storage.backends.port import (
    MAX_OBJECT_BYTES,
    Capabilities,
    Link,
    ObjectSpec,
    Reading,
    StoredObject,
)
from services.storage.backends.supabase import downloads, uploads
from services.storage.backends.supabase.links import UPLOAD_SECONDS, Links
from services.storage.backends.supabase.rows import Row, Rows, path_of
from services.storage.backends.supabase.sdk import Supabase
from waybill.runtime import deadline
from waybill.runtime.errors import NotFound, ServiceError, Unavailable
from waybill.runtime.retry import insist

# How long bytes are kept that were replaced or deleted, for those who read them.
GRACE_SECONDS = 600.0
# A put without a deadline may take so long; the sweep takes up what is older, and a little more.
PUT_SECONDS, MARGIN_SECONDS = 6 * 3_600.0, 60.0
# For our own Postgres to be back, so that what was sent need not be sent again.
KEEP_SECONDS = 10.0
# Left of the caller's deadline after that: for a wait that has begun, and for the answer.
ANSWER_SECONDS = 2.0
log = structlog.get_logger()


class SupabaseObjects:
    """An ObjectStore. A key is never part of a path at the vendor; a tenant always is.

    Args:
        storage: Open.
        rows: Ours.
        links: Open.
    """

    capabilities = Capabilities(MAX_OBJECT_BYTES, UPLOAD_SECONDS)

    def __init__(self, storage: Supabase, rows: Rows, links: Links) -> None:
        self._storage = storage
        self._rows = rows
        self._links = links

    async def put(self, tenant: str, spec: ObjectSpec, content: AsyncIterator[bytes]) -> StoredObject:
        """See ObjectStore."""
        seconds = deadline.remaining_seconds(PUT_SECONDS) or 0.0
        object_id = self._rows.new_id()
        note = partial(self._rows.note_upload, tenant, object_id)
        try:
            await self._rows.begin(tenant, object_id, spec, seconds + MARGIN_SECONDS)
            await uploads.send(self._storage, path_of(tenant, object_id), spec, content, note)
            await self._look_at_links(tenant, [spec.key])
            left = deadline.remaining_seconds(KEEP_SECONDS + ANSWER_SECONDS) or 0.0
            keep = partial(self._rows.keep, tenant, spec.key, object_id)
            stored = await insist(keep, seconds=max(0.0, left - ANSWER_SECONDS))
        except BaseException:
            await self._give_up(tenant, object_id)
            raise
        if stored is None:
            text = "The upload took longer than its call had time, and was given up. Put the object again."
            raise Unavailable("STORAGE_UNAVAILABLE", text)
        return stored

    @asynccontextmanager
    async def open(
        self, tenant: str, key: str, offset_bytes: int = 0, limit_bytes: int = 0
    ) -> AsyncIterator[Reading]:
        """See ObjectStore."""
        row = await self._row(tenant, key)
        spec = row.stored.spec
        start = min(offset_bytes, spec.size_bytes)
        end = min(start + (limit_bytes or spec.size_bytes), spec.size_bytes)
        content = downloads.pieces(self._storage, tenant, row.path, start, end, spec.size_bytes)
        whole = (start, end) == (0, spec.size_bytes)
        async with aclosing(content), aclosing(downloads.verified(content, spec)) as verified:
            yield Reading(row.stored, verified if whole else content)

    async def stat(self, tenant: str, key: str) -> StoredObject:
        """See ObjectStore."""
        return (await self._row(tenant, key)).stored

    async def list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """See ObjectStore."""
        await self._links.judge(await self._rows.linked(tenant, prefix))
        return [row.stored for row in await self._rows.list(tenant, prefix, after, limit)]

    async def delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        """See ObjectStore."""
        await self._look_at_links(tenant, keys)
        return await self._rows.delete(tenant, keys)

    async def update_metadata(self, tenant: str, key: str, metadata: Mapping[str, str]) -> StoredObject:
        """See ObjectStore."""
        await self._row(tenant, key)
        for row in await self._rows.update_metadata(tenant, key, metadata):
            return row.stored
        raise _not_found()

    async def sign_download(self, tenant: str, key: str, seconds: int, file_name: str) -> Link:
        """See ObjectStore."""
        return await self._links.download(await self._row(tenant, key), seconds, file_name)

    async def sign_upload(self, tenant: str, spec: ObjectSpec, seconds: int) -> Link:
        """See ObjectStore."""
        return await self._links.upload(tenant, spec)

    async def healthy(self) -> bool:
        """See ObjectStore.

        Raises:
            ServiceError: Credential, VENDOR_BUCKET_UNKNOWN and others: the reason why not.
        """
        return await self._storage.check()

    async def _look_at_links(self, tenant: str, keys: Sequence[str]) -> None:
        """What has come by links was there before what is done to its key now."""
        await self._links.judge(await self._rows.linked_keys(tenant, keys))

    async def _row(self, tenant: str, key: str) -> Row:
        rows = await self._rows.of_key(tenant, key)
        if linked := [row for row in rows if row.linked]:
            await self._links.judge(linked)
            rows = await self._rows.of_key(tenant, key)
        for row in rows:
            if not row.linked:
                return row
        raise _not_found()

    async def _give_up(self, tenant: str, object_id: uuid.UUID) -> None:
        """Drops what was begun, also when the call is cancelled meanwhile, or again."""
        dropping = asyncio.create_task(self._drop(tenant, object_id))
        try:
            await asyncio.shield(dropping)
        except asyncio.CancelledError:
            await asyncio.wait([dropping])
            raise

    async def _drop(self, tenant: str, object_id: uuid.UUID) -> None:
        try:
            await self._rows.drop(tenant, object_id)
        except ServiceError as error:
            log.warning("an upload is left to the sweep", reason=error.reason, object_id=str(object_id))


def _not_found() -> NotFound:
    return NotFound("OBJECT_NOT_FOUND", "No object of this key is stored. Put it first.")
