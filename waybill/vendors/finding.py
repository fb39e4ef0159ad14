"""Finds what was begun at a vendor though the reply was lost, so that it is not begun, and paid, twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from waybill.refusals import refused_for_nothing
from waybill.runtime.errors import ServiceError

# By how much the vendor's clock may be behind ours.
CLOCK_SECONDS = 300.0


class Created(Protocol):
    """What a vendor lists."""

    @property
    def created_at(self) -> float:
        """Seconds since the epoch, on the vendor's clock."""


T = TypeVar("T")
CreatedT = TypeVar("CreatedT", bound=Created)


class Creation(Generic[T]):
    """Something that is begun at a vendor once, however often that is tried.

    Args:
        vendor: Whose refusals mean that nothing was begun.
        create: Begins it. A repeat begins another one.
        find: What an attempt before may have begun; None where the vendor has none.

    Attributes:
        in_doubt: An attempt may have begun it.
    """

    def __init__(
        self, vendor: str, create: Callable[[], Awaitable[T]], find: Callable[[], Awaitable[T | None]]
    ) -> None:
        self.in_doubt = False
        self._vendor = vendor
        self._create = create
        self._find = find

    async def attempt(self) -> T:
        """Begins it, or finds it."""
        if self.in_doubt and (found := await self._find()) is not None:
            return found
        self.in_doubt = True
        try:
            return await self._create()
        except ServiceError as error:
            self.in_doubt = not refused_for_nothing(error, self._vendor)
            raise


async def among(
    newest_first: AsyncIterator[CreatedT], since: float, is_ours: Callable[[CreatedT], bool]
) -> CreatedT | None:
    """The newest that is ours, and no older than `since`, in seconds since the epoch on our clock."""
    async for one in newest_first:
        if one.created_at < since - CLOCK_SECONDS:
            break
        if is_ours(one):
            return one
    return None
