"""Parts of a step: spans of their own in the trace, written as the step ends; one that lasts is told before.

A part is no step: it has no outcome, and a step that is repeated does all of its parts again.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass

from services.orchestrator.runs.context import in_trace
from services.orchestrator.runs.rows import Row, RunRef
from waybill.runtime import faults
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Unavailable

# A part that takes longer is shown as the run's step; it costs a transaction.
LASTING_SECONDS = 0.5


@dataclass
class Part:
    """A part of a step.

    Attributes:
        name: As it stands in the trace.
        began: By this process's clock, as live spans are.
        ended: The same; before it has ended, when it began.
        failed: Whether it was left by an exception.
    """

    name: str
    began: datetime.datetime
    ended: datetime.datetime
    failed: bool = False

    @property
    def step(self) -> str:
        """As it stands in the run."""
        return self.name.split()[0]


class Parts:
    """The parts of one step.

    Args:
        run: Whose step it is.
        row: The run's.
        tell: Makes a part that lasts the run's step.
    """

    def __init__(self, run: RunRef, row: Row, tell: Callable[[Part], Awaitable[object]]) -> None:
        self.all: list[Part] = []
        self._run = run
        self._row = row
        self._tell = tell

    @contextmanager
    def noted(self) -> Iterator[None]:
        """`part` notes them here, inside the block and in tasks that are made there."""
        token = _parts.set(self)
        try:
            yield
        finally:
            _parts.reset(token)

    @asynccontextmanager
    async def part(self, name: str) -> AsyncIterator[None]:
        """One part, behind the one before."""
        began = utc_now()
        part = Part(name, began, began)
        self.all.append(part)
        telling = asyncio.create_task(self._tell_later(part))
        try:
            place = f"step.{part.step}.start"
            await faults.point(place, f"{place}.{self._run.run_id}")
            with in_trace(self._run, self._row, name):
                yield
        except BaseException:  # a cancellation, too
            part.failed = True
            raise
        finally:
            part.ended = utc_now()
            telling.cancel()
            await asyncio.wait([telling])

    async def _tell_later(self, part: Part) -> None:
        await asyncio.sleep(LASTING_SECONDS)
        with suppress(Unavailable):  # it is told as the step ends
            await self._tell(part)


_parts: ContextVar[Parts] = ContextVar("waybill_parts")


def part(name: str) -> AbstractAsyncContextManager[None]:
    """What follows is this part of the step that is under way, as it stands in the trace."""
    return _parts.get().part(name)
