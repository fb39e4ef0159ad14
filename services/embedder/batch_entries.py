"""The ledger's entries of batch jobs: held for longer than this process may live, ended by any other."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable

import structlog

from services.embedder.batch_lines import entry_id
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.purchases import Purchase
from waybill.runtime.errors import Conflict, InvalidRequest, NotFound

# The vendor's window of 24 hours, and time to ask.
HOLD_SECONDS = 26 * 3600
log = structlog.get_logger()


class BatchEntries:
    """Holds lines and ends them; each end is a span. Whatever is repeated changes nothing."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def hold(self, job_key: str, number: int, purchase: Purchase) -> bool:
        """Holds a line; says whether it is still to be paid: not where it had ended before.

        Raises:
            InvalidRequest: The line had other texts when it was held first.
        """
        try:
            entry = await self._meter.hold(purchase, entry_id(job_key, number), job_key, HOLD_SECONDS)
        except Conflict:
            raise InvalidRequest(
                "INVALID_REQUEST", "This job_key was used for other texts. Use a new one."
            ) from None
        return entry.state in (Entry.STATE_HELD, Entry.STATE_IN_DOUBT)

    async def settle(self, entry: str, tokens: int) -> None:
        """The vendor did it."""
        await self._end(entry, self._meter.settle(entry, tokens))

    async def release(self, entry: str, reason: str) -> None:
        """The vendor surely did not."""
        await self._end(entry, self._meter.release(entry, reason))

    async def doubt(self, entry: str, reason: str) -> None:
        """Nobody knows."""
        await self._end(entry, self._meter.doubt(entry, reason))

    async def release_all(self, job_key: str, reason: str) -> int:
        """Releases every line of a job, as many as were held; answers their number."""
        for number in itertools.count():
            try:
                await self.release(entry_id(job_key, number), reason)
            except NotFound:
                break
        return number

    async def _end(self, entry: str, ending: Awaitable[Entry]) -> None:
        try:
            self._meter.record(await ending)
        except Conflict as error:
            # Said before by somebody who knew more, or less; the first word stands.
            log.warning("a line's entry had ended otherwise", entry_id=entry, reason=error.reason)
