"""Objects as callers see them: keys are checked, and content is what was announced, or nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from services.storage.backends.port import Link, ObjectSpec, ObjectStore, Reading, StoredObject
from services.storage.keys import check_key, check_prefix
from services.storage.metadata import check_metadata
from waybill.object_keys import source_sha256
from waybill.runtime.errors import InvalidRequest, Quota

DEFAULT_CONTENT_TYPE = "application/octet-stream"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_TYPE = re.compile(r"[\x20-\x7e]{0,255}")


class Objects:
    """A tenant's objects over any backend."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, tenant: str, spec: ObjectSpec, content: AsyncIterator[bytes]) -> StoredObject:
        """Stores an object whose content has the announced size and hash.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, INVALID_REQUEST, CHECKSUM_MISMATCH.
            Quota: OBJECT_TOO_LARGE.
            Unavailable: STORAGE_FULL, STORAGE_UNAVAILABLE.
        """
        self._check(spec)
        return await self._store.put(tenant, spec, _as_announced(spec, content))

    def open(
        self, tenant: str, key: str, offset_bytes: int = 0, limit_bytes: int = 0
    ) -> AbstractAsyncContextManager[Reading]:
        """Opens an object, or a range of it. See ObjectStore.open.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, INVALID_REQUEST.
        """
        if offset_bytes < 0 or limit_bytes < 0:
            raise InvalidRequest("INVALID_REQUEST", "offset_bytes and limit_bytes are at least 0.")
        return self._store.open(tenant, check_key(key), offset_bytes, limit_bytes)

    async def stat(self, tenant: str, key: str) -> StoredObject:
        """What an object is. See ObjectStore.stat.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED.
        """
        return await self._store.stat(tenant, check_key(key))

    async def list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """Objects by key. See ObjectStore.list.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED.
        """
        return await self._store.list(tenant, check_prefix(prefix), after, limit)

    async def delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        """Deletes objects; answers which were there. See ObjectStore.delete.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, before any is deleted.
        """
        return await self._store.delete(tenant, [check_key(key) for key in dict.fromkeys(keys)])

    async def update_metadata(self, tenant: str, key: str, metadata: Mapping[str, str]) -> StoredObject:
        """Replaces an object's metadata. See ObjectStore.update_metadata.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, INVALID_REQUEST.
        """
        return await self._store.update_metadata(tenant, check_key(key), check_metadata(metadata))

    async def sign_download(self, tenant: str, key: str, seconds: int, file_name: str) -> Link:
        """A link to an object's content. See ObjectStore.sign_download.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED.
        """
        return await self._store.sign_download(tenant, check_key(key), seconds, file_name)

    async def sign_upload(self, tenant: str, spec: ObjectSpec, seconds: int) -> Link:
        """A link by which an object can be put. See ObjectStore.sign_upload.

        Raises:
            InvalidRequest: PATH_NOT_ALLOWED, INVALID_REQUEST.
            Quota: OBJECT_TOO_LARGE.
        """
        self._check(spec)
        return await self._store.sign_upload(tenant, spec, seconds)

    def _check(self, spec: ObjectSpec) -> None:
        check_key(spec.key)
        most = self._store.capabilities.max_object_bytes
        if spec.size_bytes > most:
            raise Quota(
                "OBJECT_TOO_LARGE",
                f"An object of {spec.size_bytes} bytes is over the limit of {most}. Split the file.",
                {"limit_bytes": str(most)},
            )
        if spec.size_bytes < 0 or not _SHA256.fullmatch(spec.sha256):
            raise InvalidRequest(
                "INVALID_REQUEST", "size_bytes is at least 0, and sha256 has 64 lower-case hex digits."
            )
        if not _CONTENT_TYPE.fullmatch(spec.content_type):
            raise InvalidRequest("INVALID_REQUEST", "content_type is at most 255 printable ASCII characters.")
        if source_sha256(spec.key) not in (None, spec.sha256):
            raise InvalidRequest(
                "PATH_NOT_ALLOWED",
                "sources/ keeps documents' files by their SHA-256, and this file has another one: put it"
                " under a key of your own.",
            )
        check_metadata(spec.metadata)


async def _as_announced(spec: ObjectSpec, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content, which ends in an error unless size and hash agree."""
    digest, size_bytes = hashlib.sha256(), 0
    async for piece in content:
        size_bytes += len(piece)
        if size_bytes > spec.size_bytes:
            raise _wrong_size(spec, "more")
        digest.update(piece)
        yield piece
    if size_bytes < spec.size_bytes:
        raise _wrong_size(spec, "fewer")
    if digest.hexdigest() != spec.sha256:
        raise InvalidRequest(
            "CHECKSUM_MISMATCH",
            "The content is not what its sha256 says: it changed while being read, or on the way. Repeat.",
        )


def _wrong_size(spec: ObjectSpec, how: str) -> InvalidRequest:
    return InvalidRequest(
        "INVALID_REQUEST", f"{how} bytes came than the {spec.size_bytes} that the header names."
    )
