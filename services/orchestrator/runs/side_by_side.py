"""What a run does side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from services.orchestrator.runs.outcomes import RunWaits

T = TypeVar("T")


async def side_by_side(works: Iterable[Callable[[], Awaitable[T]]], at_most: int) -> list[T]:
    """Does works in order, so many at a time; the first that fails ends the others, before it travels.

    Answers what they came to, as they ended.

    Where one waits, those under way come to their end before that travels, and no other begins.
    """
    remaining = iter(works)
    waits: list[RunWaits] = []
    came: list[T] = []

    async def worker() -> None:
        for work in remaining:
            if waits:
                return
            try:
                came.append(await work())
            except RunWaits as wait:
                waits.append(wait)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_most):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if waits:
        raise waits[0]
    return came
