"""What a process does for one job, and how that is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import structlog
from opentelemetry import trace

from services.parser.backends.port import Order
from services.parser.job import Job
from services.parser.jobs import Superseded
from waybill.runtime import identity
from waybill.runtime.errors import Deadline, Unavailable
from waybill.runtime.telemetry import remote_parent

# A neighbour that restarts is back in seconds; for one that stays away for five minutes the job is put off.
TRIES = 64
LONGEST_PAUSE_SECONDS = 5.0
Pause = Callable[[float], Awaitable[None]]
T = TypeVar("T")
log = structlog.get_logger()


class Work:
    """What this process does for one job, and how that is stopped.

    A stop cuts off only those parts that leave nothing behind (waiting, reading, parsing). A hold or a
    PutObject on its way is let through: cut off, it might still take effect after it has been tidied away.

    Attributes:
        job: As it was claimed.
        task: Ends with the work.
        stopped: Whether it is to end.
    """

    task: asyncio.Task[None]

    def __init__(self, job: Job, pause: Pause) -> None:
        self.job = job
        self.stopped = False
        self._pause = pause
        self._part: asyncio.Future[Any] | None = None

    def stop(self) -> None:
        """Cuts off the part under way, or the next one that may be."""
        if not self.stopped and self._part is not None:
            self._part.cancel()
        self.stopped = True

    async def stoppable(self, part: Callable[[], Awaitable[T]]) -> T:
        """Does a part that a stop may cut off; it has ended when this returns. Raises Superseded."""
        if self.stopped:
            raise Superseded
        self._part = running = asyncio.ensure_future(part())
        try:
            return await running
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.stopped and task is not None and not task.cancelling():
                raise Superseded from None
            raise
        finally:
            self._part = None

    async def patiently(self, part: Callable[[int], Awaitable[T]]) -> T:
        """Repeats a part, which is told the try's number from 1 to TRIES, while a neighbour is away."""
        for number in range(1, TRIES + 1):
            try:
                return await part(number)
            except (Unavailable, Deadline) as error:
                if number == TRIES:
                    raise
                log.info("parse job waits", job_id=str(self.job.job_id), reason=error.reason)
            pause = partial(self._pause, min(0.05 * 2**number, LONGEST_PAUSE_SECONDS))
            with suppress(Superseded):  # stopped: clear at once what is left
                await (pause() if self.stopped else self.stoppable(pause))
        raise AssertionError("unreachable: the last try raises")


def order_of(job: Job) -> Order:
    """What a job's newest attempt buys."""
    return Order(job.entry_id or job.charge_of, job.tier, job.created_at, job.expected_pages)


@contextmanager
def on_behalf_of(job: Job) -> Iterator[None]:
    """Calls and spans go to the caller who first asked for the job, also in a later process."""
    _, trace_id, span_id, _ = job.traceparent.split("-")
    parent = remote_parent(trace_id, span_id)
    with (
        identity.acting_as(job.caller),
        trace.use_span(trace.get_current_span(parent), record_exception=False, set_status_on_exception=False),
    ):
        yield
