"""What an object store can do, whoever keeps the bytes."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

MAX_OBJECT_BYTES = 512_000_000


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """What the one who puts an object says of it, before its content comes.

    Attributes:
        size_bytes: Bytes of the content.
        sha256: Of the content, 64 lower-case hex digits.
        content_type: Media type, never empty.
        metadata: What the caller wants to find again with it; `services.storage.metadata` has the limits.
    """

    key: str
    size_bytes: int
    sha256: str
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored, whole.

    Attributes:
        create_time: When its content was stored.
        update_time: When its metadata was replaced last; create_time where it never was.
    """

    spec: ObjectSpec
    create_time: datetime.datetime
    update_time: datetime.datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """An opened object: what it is, and the pieces that were asked for, in order."""

    stored: StoredObject
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Link:
    """What a bare HTTP client needs to get or put one object. Whoever has it may use it: it is a secret.

    Attributes:
        url: Where to send the request.
        method: GET for a download, PUT for an upload.
        headers: What to send along, as it is.
        expire_time: From then on it is refused.
    """

    url: str
    method: str
    headers: Mapping[str, str]
    expire_time: datetime.datetime


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Where backends rightly differ; the contract suite asks this, never a type.

    Attributes:
        max_object_bytes: Of one object.
        upload_link_seconds: Life of an upload link where the vendor fixes it; None: the caller chooses.
    """

    max_object_bytes: int
    upload_link_seconds: int | None = None


class ObjectStore(Protocol):
    """Objects by tenant and key. A tenant never reaches another one's."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can take."""
        ...

    async def put(self, tenant: str, spec: ObjectSpec, content: AsyncIterator[bytes]) -> StoredObject:
        """Stores an object, replacing the one of its key in a single step once `content` has ended.

        When `content` raises or the task is cancelled, nothing is left and the old object stays.

        Raises:
            Unavailable: STORAGE_FULL, STORAGE_UNAVAILABLE.
        """
        ...

    def open(
        self, tenant: str, key: str, offset_bytes: int = 0, limit_bytes: int = 0
    ) -> AbstractAsyncContextManager[Reading]:
        """Opens one state of an object, which replacing it meanwhile does not disturb.

        Args:
            offset_bytes: First byte to read; beyond the end nothing is read.
            limit_bytes: Most bytes to read; 0 means up to the end.

        Raises:
            NotFound: OBJECT_NOT_FOUND.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def stat(self, tenant: str, key: str) -> StoredObject:
        """What an object is, without its content.

        Raises:
            NotFound: OBJECT_NOT_FOUND.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """The tenant's objects whose keys begin with `prefix`, in byte order of their keys.

        An object that is there all the while is in the answer once, whatever else is written meanwhile.

        Args:
            prefix: Any beginning of a key; empty for all.
            after: The answer begins behind this key, which need not exist; empty for the first.
            limit: Most objects in the answer, at least 1. Fewer mean that there are no more.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        """Deletes objects, and answers which of them were there. Who has one open reads on undisturbed.

        A call that fails may have deleted some; a repeat deletes the rest.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def update_metadata(self, tenant: str, key: str, metadata: Mapping[str, str]) -> StoredObject:
        """Replaces all of an object's metadata in a single step; its content stays.

        Raises:
            NotFound: OBJECT_NOT_FOUND.
            Unavailable: STORAGE_FULL, STORAGE_UNAVAILABLE.
        """
        ...

    async def sign_download(self, tenant: str, key: str, seconds: int, file_name: str) -> Link:
        """A link to an object's content as it is now. Each call signs anew.

        Args:
            seconds: How long the link lives.
            file_name: What a browser names the file.

        Raises:
            NotFound: OBJECT_NOT_FOUND.
            Precondition: LINKS_UNAVAILABLE.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def sign_upload(self, tenant: str, spec: ObjectSpec, seconds: int) -> Link:
        """A link by which just this object can be put. Until its content has come, whole, there is none.

        What comes is checked against size and SHA-256: before it is an object, or, where a vendor takes it,
        before the object is first shown by `stat`, `open` or `list`.

        Args:
            seconds: How long the link lives, unless `capabilities.upload_link_seconds` says.

        Raises:
            Precondition: LINKS_UNAVAILABLE.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def healthy(self) -> bool:
        """Whether objects can be stored now."""
        ...
