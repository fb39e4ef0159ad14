"""What a batch made, line by line: each charged or released first, and its vectors looked at then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

import structlog

from services.embedder.backends.port import BatchBackend, Capabilities, LineAnswer, VendorBatch
from services.embedder.batch_entries import BatchEntries
from services.embedder.batch_lines import LineName, entry_id
from services.embedder.embedding import Bought, credible, verify
from waybill.runtime import faults
from waybill.runtime.errors import VendorContract

log = structlog.get_logger()


@dataclass
class Outcome:
    """What a job came to; see the contract's BatchOutcome."""

    vendor_status: str
    charged: int = 0
    released: int = 0
    in_doubt: int = 0
    code: str = ""


class BatchResults:
    """Reads the files of one batch that has ended, and ends its entries.

    Args:
        vendor: Whose files.
        entries: Where each line ends.
        limits: Of the backend.
        dimension: Numbers in each vector.
        batch: That has ended.
        job_key: Which names its entries.
        lines: How many it has.
    """

    def __init__(
        self,
        vendor: BatchBackend,
        entries: BatchEntries,
        limits: Capabilities,
        dimension: int,
        batch: VendorBatch,
        job_key: str,
        lines: int,
    ) -> None:
        self.outcome = Outcome(batch.status, code=batch.code)
        self._vendor = vendor
        self._entries = entries
        self._limits = limits
        self._dimension = dimension
        self._batch = batch
        self._open = dict.fromkeys(entry_id(job_key, number) for number in range(lines))

    async def read(self, file: BinaryIO) -> AsyncIterator[Bought]:
        """Goes through a file of the batch, and passes on the vectors that are right."""
        # A line with the most vectors that a request can have, in base64.
        most_bytes = self._limits.max_texts * (self._dimension * 6 + 512) + 4096
        while line := file.readline(most_bytes):
            answer, name = self._claimed(line)
            if answer is None or name is None:
                continue
            if answer.body is None:
                await self._release(name.entry_id, answer.code)
            elif embedded := await self._charge(name, answer):
                yield embedded

    async def finish(self) -> Outcome:
        """Ends the lines that no file has."""
        for entry in list(self._open):
            del self._open[entry]
            if self._batch.untouched:
                await self._release(entry, self._batch.code or self._batch.status)
            else:
                await self._entries.doubt(entry, "BATCH_LINE_MISSING")
                self.outcome.in_doubt += 1
        return self.outcome

    def _claimed(self, line: bytes) -> tuple[LineAnswer | None, LineName | None]:
        """The line's answer and name, where it is the first of a line of this job."""
        try:
            answer = self._vendor.read(line)
        except VendorContract as error:
            log.warning("a line of a batch cannot be read", reason=error.message)
            return None, None
        name = LineName.parse(answer.custom_id)
        if name is None or name.entry_id not in self._open or name.texts > self._limits.max_texts:
            log.warning("a line of a batch is no line of the job, or is there twice", batch=self._batch.id)
            return None, None
        del self._open[name.entry_id]
        return answer, name

    async def _release(self, entry: str, code: str) -> None:
        await self._entries.release(entry, code or "NOT_DONE")
        self.outcome.released += 1
        self.outcome.code = self.outcome.code or code

    async def _charge(self, name: LineName, answer: LineAnswer) -> Bought | None:
        """Charged whatever it is worth: ends the entry first, looks at the vectors then."""
        embedded = self._vendor.embedded(answer, name.texts)
        charged = credible(self._limits, embedded.tokens, name.tokens)
        if charged is None:
            await self._entries.doubt(name.entry_id, "NO_USAGE_REPORTED")
            self.outcome.in_doubt += 1
        else:
            await self._entries.settle(name.entry_id, charged)
            await faults.point("batch.settled")
            self.outcome.charged += 1
        try:
            verify(embedded, name.texts, self._dimension, self._limits.vendor)
        except VendorContract as error:
            log.warning("a line's vectors are not used", entry_id=name.entry_id, reason=error.message)
            return None
        return Bought(name.start, embedded.vectors, charged or 0, name.entry_id)
