"""What an object store can do, whoever keeps the bytes."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """What the one who puts an object says of it, before its content comes.

    Attributes:
        size_bytes: Bytes of the content.
        sha256: Of the content, 64 lower-case hex digits.
        content_type: Media type, never empty.
    """

    key: str
    size_bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored, whole."""

    spec: ObjectSpec
    create_time: datetime.datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """An opened object: what it is, and the pieces that were asked for, in order."""

    stored: StoredObject
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Where backends rightly differ; the contract suite asks this, never a type."""

    max_object_bytes: int


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

    async def delete(self, tenant: str, key: str) -> bool:
        """Deletes an object, and says whether there was one. Who has it open reads on undisturbed.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        ...

    async def healthy(self) -> bool:
        """Whether objects can be stored now."""
        ...
