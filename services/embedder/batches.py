"""Batch jobs: texts that the vendor embeds within a day for less.

Nothing of a job is kept here. The vendor has it, under our key in its metadata, and the ledger has an
entry for each of its lines; both are derived from the caller's key, so that any process can go on with a
job, and whatever is repeated finds what there is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import BinaryIO

import structlog

from services.embedder.backends.port import BatchBackend, Capabilities, Stage, VendorBatch
from services.embedder.batch_entries import BatchEntries
from services.embedder.batch_lines import JobName, LineName, belongs, entry_id, lines_of, metadata, packed
from services.embedder.batch_results import BatchResults, Outcome
from services.embedder.embedding import Bought, purchase
from waybill.common.v1.space_pb2 import Space
from waybill.metering import Meter
from waybill.purchases import Purchase
from waybill.refusals import refused_for_nothing
from waybill.runtime import faults
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition, Quota, ServiceError
from waybill.vendors.calls import Calls
from waybill.vendors.finding import Creation, among

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True)
class Job:
    """See the contract's BatchJob."""

    name: JobName
    stage: Stage
    vendor_status: str
    requests: int


class VendorBatches:
    """Batch jobs of one backend.

    Args:
        vendor: None where there is no batch tier.
        space: Of its vectors.
        limits: Of the backend.
        meter: Holds each line.
        calls: Makes each call; shared with the synchronous ones.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        vendor: BatchBackend | None,
        space: Space,
        limits: Capabilities,
        meter: Meter,
        calls: Calls,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.space = space
        self._tier = vendor
        self._limits = limits
        self._entries = BatchEntries(meter)
        self._call = calls.make
        self._now = now

    async def create(self, name: JobName, parts: AsyncIterator[tuple[int, Sequence[str]]]) -> Job:
        """Holds each line, sends them, and begins the job; or finds the one of this key.

        Args:
            name: Without a vendor_id.
            parts: Texts from a number on.

        Raises:
            InvalidRequest: The texts are not right; nothing is held.
            ServiceError: What the vendor refuses; every line is released. Where nobody knows what became of
                it, the lines stay held for whoever asks again by this key.
        """
        vendor = self._vendor()
        with tempfile.TemporaryFile() as file:
            purchases = await self._spool(vendor, name, parts, file)
            still_open = await self._held(name.job_key, purchases)
            if name.since is not None:
                found = await self._call(partial(_listed, vendor, name))
                if found is not None:
                    return _job(name, found)
            if not all(still_open):
                raise InvalidRequest("INVALID_REQUEST", "A job of this key has ended. Use a new job_key.")
            return _job(name, await self._send(vendor, name, file, len(purchases)))

    async def _held(self, job_key: str, purchases: Sequence[Purchase]) -> list[bool]:
        """Whether each line is still to be paid. One that a budget refuses lets go of those before it."""
        try:
            return [await self._entries.hold(job_key, number, one) for number, one in enumerate(purchases)]
        except Quota:
            await self._entries.release_all(job_key, "BUDGET_EXCEEDED")
            raise

    async def get(self, name: JobName) -> Job:
        """Where a job stands. Raises NotFound: BATCH_JOB_NOT_FOUND."""
        return _job(name, await self._find(name))

    async def cancel(self, name: JobName) -> Job:
        """Asks the vendor to stop a job; releases the lines of one that the vendor never had.

        Raises:
            NotFound: BATCH_JOB_NOT_FOUND, of one that the vendor did have.
        """
        try:
            batch = await self._find(name)
        except NotFound:
            if name.vendor_id:
                raise
            released = await self._entries.release_all(name.job_key, "NOT_CREATED")
            return Job(name, Stage.ENDED, "none", released)
        if batch.stage is Stage.RUNNING:
            batch = await self._call(partial(self._vendor().cancel, batch.id))
        return _job(name, batch)

    async def collect(self, name: JobName) -> AsyncIterator[Bought | Outcome]:
        """Ends the entries of a job that has ended; yields its good vectors, and its outcome at last.

        Raises:
            NotFound: BATCH_JOB_NOT_FOUND, also where its files are deleted.
            Precondition: BATCH_JOB_RUNNING.
        """
        batch = await self._ended(name)
        results = BatchResults(
            self._vendor(),
            self._entries,
            self._limits,
            self.space.dimension,
            batch,
            name.job_key,
            lines_of(batch),
        )
        for source in (batch.output_file, batch.error_file):
            if not source:
                continue
            # Through the disk, so that the vendor's connection does not wait for our caller.
            with tempfile.TemporaryFile() as file:
                await self._call(partial(self._vendor().download, source, file))
                async for embedded in results.read(file):
                    yield embedded
        yield await results.finish()

    async def release_lines(self, entries: Sequence[str], reason: str) -> None:
        """Releases lines that the vendor surely never had."""
        for entry in entries:
            await self._entries.release(entry, reason)

    async def delete(self, name: JobName) -> None:
        """Deletes a job's files at the vendor; one that is not there is fine.

        Raises:
            Precondition: BATCH_JOB_RUNNING.
        """
        try:
            batch = await self._ended(name)
        except NotFound:
            return
        for file in (batch.input_file, batch.output_file, batch.error_file):
            if file:
                await self._forget(file)

    def _vendor(self) -> BatchBackend:
        if self._tier is None:
            raise Precondition(
                "BATCHES_NOT_OFFERED",
                "This embedder takes no batches. Embed at once, or set EMBEDDER_BACKEND=openai.",
            )
        return self._tier

    async def _spool(
        self,
        vendor: BatchBackend,
        name: JobName,
        parts: AsyncIterator[tuple[int, Sequence[str]]],
        file: BinaryIO,
    ) -> Sequence[Purchase]:
        """Writes the job's lines to a file; answers what each buys."""
        purchases: list[Purchase] = []
        async for request in packed(self._limits, parts):
            entry = entry_id(name.job_key, len(purchases))
            line = LineName(entry, request.start, len(request.texts), request.token_count)
            file.write(vendor.request_line(str(line), request.texts))
            purchases.append(purchase(self.space, self._limits, request, self._limits.batch_price_model))
        if not purchases:
            raise InvalidRequest("INVALID_REQUEST", "A job needs texts.")
        return purchases

    async def _send(self, vendor: BatchBackend, name: JobName, file: BinaryIO, lines: int) -> VendorBatch:
        """Uploads the lines and begins the batch; undoes what can be where the vendor surely refuses."""
        uploaded = ""
        asked = dataclasses.replace(name, since=self._now())
        creation = Creation(
            self._limits.vendor,
            lambda: vendor.create(uploaded, metadata(name, lines)),
            partial(_listed, vendor, asked),
        )
        try:
            await faults.point("batch.held")
            uploaded = await self._call(partial(vendor.upload, file))
            batch = await self._call(creation.attempt)
            await faults.point("batch.created")
            return batch
        except ServiceError as error:
            if refused_for_nothing(error, self._limits.vendor) and not creation.in_doubt:
                await self._entries.release_all(name.job_key, error.reason)
                await self._clear(uploaded)
            raise

    async def _clear(self, file: str) -> None:
        """Deletes an upload of no use, if it can be; the vendor keeps those of batches for 30 days."""
        try:
            if file:
                await self._forget(file)
        except ServiceError as error:
            log.warning("an upload is left to expire", reason=error.reason)

    async def _forget(self, file: str) -> None:
        with contextlib.suppress(NotFound):
            await self._call(partial(self._vendor().delete, file))

    async def _ended(self, name: JobName) -> VendorBatch:
        batch = await self._find(name)
        if batch.stage is not Stage.ENDED:
            text = f"The job is {batch.status}. Wait for its end, or cancel it."
            raise Precondition("BATCH_JOB_RUNNING", text, {"status": batch.status})
        return batch

    async def _find(self, name: JobName) -> VendorBatch:
        vendor = self._vendor()
        look = partial(vendor.get, name.vendor_id) if name.vendor_id else partial(_listed, vendor, name)
        try:
            batch = await self._call(look)
        except NotFound:
            batch = None
        if batch is None or not belongs(name, batch):
            raise NotFound("BATCH_JOB_NOT_FOUND", "The vendor has no such job of this tenant.")
        return batch


def _job(name: JobName, batch: VendorBatch) -> Job:
    return Job(dataclasses.replace(name, vendor_id=batch.id), batch.stage, batch.status, lines_of(batch))


async def _listed(vendor: BatchBackend, name: JobName) -> VendorBatch | None:
    """The job's batch among the vendor's newest, no farther back than its key is old."""
    return await among(vendor.newest(), name.since or 0.0, partial(belongs, name))
