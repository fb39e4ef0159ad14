"""What a caller may do to a run or a document after it was accepted: cancel, retry, delete."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import partial

from services.orchestrator.admission import DEFAULT_COLLECTION, source_key
from services.orchestrator.peers import Peers
from services.orchestrator.runs.durable import Durable, Story
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.store import Runs
from services.orchestrator.traces import bills
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentResponse
from waybill.parser.v1.parser_service_pb2 import DeleteParseJobsRequest
from waybill.runtime.retry import insist
from waybill.storage.v1.document_index_service_pb2 import DeleteDocumentRequest
from waybill.storage.v1.object_storage_service_pb2 import DeleteObjectRequest

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Cancelled:
    """A run, and the holds that its cancellation gave back, nano-USD."""

    row: Row
    released_nano_usd: int
    released_simulated_nano_usd: int


class Control:
    """Changes the course of runs."""

    def __init__(self, runs: Runs, durable: Durable, story: Story, peers: Peers) -> None:
        self._runs = runs
        self._durable = durable
        self._story = story
        self._peers = peers

    async def cancel(self, run: RunRef) -> Cancelled:
        """Stops a run and all work for it, wherever it is, before it answers.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        row = await self._durable.cancel(run, self._story)
        released = {CostKind.COST_KIND_REAL: 0, CostKind.COST_KIND_SIMULATED: 0}
        if row["state"] == "CANCELLED":
            for entry in await bills.entries(self._peers, [run.run_id]):
                # Both times are the database's.
                given_back = entry.end_time.ToDatetime(datetime.UTC) >= row["ended_at"]
                if entry.state == Entry.STATE_RELEASED and given_back:
                    released[entry.kind] += entry.expected_nano_usd
        return Cancelled(row, released[CostKind.COST_KIND_REAL], released[CostKind.COST_KIND_SIMULATED])

    async def retry(self, run: RunRef, complete_by: datetime.datetime | None) -> Row:
        """Takes a run that ended badly up again. Raises as `Runs.retry`."""
        return await self._runs.retry(run, complete_by)

    async def delete(self, tenant: str, collection: str, document_key: str) -> DeleteDocumentResponse:
        """Deletes a document and what only it needed.

        Raises:
            Precondition: RUN_UNFINISHED.
        """
        collection = collection or DEFAULT_COLLECTION
        await self._runs.check_finished(tenant, collection, document_key)
        sources = await self._runs.sources(tenant, collection, document_key)
        request = DeleteDocumentRequest(
            collection=collection, document_key=document_key, source_sha256=sources
        )
        gone = await self._peers.index.DeleteDocument(request)
        answer = DeleteDocumentResponse(versions=gone.versions, chunks=gone.chunks, vectors=gone.vectors)
        for sha256 in gone.orphaned_source_sha256:
            delete = partial(self._delete_source, sha256, answer)
            await insist(partial(self._runs.delete_source, tenant, sha256, delete), seconds=PATIENCE_SECONDS)
        return answer

    async def _delete_source(self, sha256: str, answer: DeleteDocumentResponse) -> None:
        forgotten = await self._peers.parser.DeleteParseJobs(DeleteParseJobsRequest(source_sha256=sha256))
        deleted = await self._peers.objects.DeleteObject(DeleteObjectRequest(key=source_key(sha256)))
        answer.parse_results += forgotten.results
        answer.sources += deleted.deleted
