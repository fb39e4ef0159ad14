"""What a caller may do to a run or a document after it was accepted: cancel, retry, delete."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import partial

from services.orchestrator import budgets_of_runs
from services.orchestrator.budget_waits import check
from services.orchestrator.degrading import (
    DELETED,
    HEALABLE,
    HEALED_BY,
    REPLACED,
    SUPERSEDED,
    check_not_ended,
    lacks,
    superseded,
)
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers, steady
from services.orchestrator.runs.deleting import Deletions
from services.orchestrator.runs.durable import Durable
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.stepping import Ingestion
from services.orchestrator.runs.store import Runs
from services.orchestrator.traces import bills
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.limits import DEFAULT_COLLECTION
from waybill.object_keys import source_key
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    DeleteDocumentResponse,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
)
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan
from waybill.parser.v1.parser_service_pb2 import DeleteParseJobsRequest
from waybill.runtime import deadline
from waybill.runtime.audit import Audit
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition, Quota
from waybill.runtime.retry import insist
from waybill.runtime.wire import page_size
from waybill.storage.v1.document_index_service_pb2 import (
    DeleteDocumentRequest,
    GetDocumentRequest,
    ListDocumentsRequest,
)
from waybill.storage.v1.document_pb2 import Document
from waybill.storage.v1.object_storage_service_pb2 import DeleteObjectRequest
from waybill.vendors.choosing import OVER_BUDGET

PATIENCE_SECONDS = 30.0
DEFAULT_DELETIONS, MOST_DELETIONS, DELETIONS_AT_ONCE = 100, 500, 20
MOST_UNFINISHED = 200
# A call that deletes many answers while it has so long left: what it has done is not said otherwise.
SPARE_SECONDS = 10.0


@dataclass(frozen=True)
class Cancelled:
    """A run, and the holds that its cancellation gave back, nano-USD."""

    row: Row
    released_nano_usd: int
    released_simulated_nano_usd: int


class Control:
    """Changes the course of runs."""

    def __init__(
        self,
        runs: Runs,
        durable: Durable,
        ingestion: Ingestion,
        peers: Peers,
        deletions: Deletions,
        audit: Audit,
        modes: Modes,
    ) -> None:
        self._runs = runs
        self._durable = durable
        self._ingestion = ingestion
        self._peers = peers
        self._deletions = deletions
        self._audit = audit
        self._modes = modes

    async def cancel(self, run: RunRef) -> Cancelled:
        """Stops a run and all work for it, wherever it is, before it answers.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """
        with self._audit.noted("run.cancel", run.run_id):
            row = await self._durable.cancel(run, self._ingestion)
        released = dict.fromkeys(CostKind.values(), 0)
        if row["state"] == "CANCELLED":
            for entry in await bills.entries(self._peers, [run.run_id]):
                # Both times are the database's.
                given_back = entry.end_time.ToDatetime(datetime.UTC) >= row["ended_at"]
                if entry.state == Entry.STATE_RELEASED and given_back:
                    released[entry.kind] += entry.expected_nano_usd
        return Cancelled(row, released[CostKind.COST_KIND_REAL], released[CostKind.COST_KIND_SIMULATED])

    async def retry(self, run: RunRef, complete_by: datetime.datetime | None) -> Row:
        """Takes a run that ended badly up again. Raises as `Runs.retry`."""
        with self._audit.noted("run.retry", run.run_id):
            return await self._runs.retry(run, complete_by)

    async def heal(self, run: RunRef, plan: ApprovedPlan | None = None) -> Row:
        """Takes a degraded run up again, for what its document lacks.

        Args:
            run: Which.
            plan: What it may spend on that; None: as much as budgets allow.

        Raises:
            NotFound, Precondition: As `healable`; VENDOR_NOT_WANTED, its vendor's service is local now.
            Quota: BUDGET_EXCEEDED, all that it lacks is refused still.
        """
        row = await self._runs.find(run)
        try:
            await self._check_healable(row)
        except (NotFound, Precondition) as error:
            if lacks(row) and error.reason in SUPERSEDED:
                await self._runs.supersede(row, error)
            raise
        if lacks(row):
            if await self._modes.latest(HEALED_BY[row["reason"]]) == Mode.MODE_LOCAL:
                raise Precondition(
                    "VENDOR_NOT_WANTED",
                    "Its vendor has to do what the document lacks, and the mode is switched to local. Switch "
                    "it back with `waybill mode default` or `waybill mode hybrid`, then heal.",
                )
            await self._check_budgets(row)
            if plan is not None:
                await budgets_of_runs.set_missing(self._peers, run.run_id, plan)
        return await self._runs.heal(run, HEALABLE)

    async def healable(self, run: RunRef) -> Row:
        """A run that `heal` takes up, or that is READY or under way.

        Raises:
            NotFound: RUN_NOT_FOUND; DOCUMENT_NOT_FOUND, it was deleted.
            Precondition: NOTHING_TO_HEAL, VERSION_REPLACED.
        """
        row = await self._runs.find(run)
        await self._check_healable(row)
        return row

    async def _check_healable(self, row: Row) -> None:
        """Raises as `healable`."""
        if not lacks(row):
            check_not_ended(row)
            return
        request = GetDocumentRequest(collection=row["collection"], document_key=row["document_key"])
        try:
            found = await steady(partial(self._peers.index.GetDocument, request))
        except NotFound:
            raise superseded(DELETED) from None
        if found.document.version_id != row["version_id"]:
            raise superseded(REPLACED)

    async def _check_budgets(self, row: Row) -> None:
        for blocked_on in lacks(row).values():
            if not blocked_on or (await check(self._peers, blocked_on, str(row["run_id"]))).has_room:
                return
        raise Quota(
            OVER_BUDGET, f"A budget still refuses what the run lacks: nothing was begun. {row['message']}"
        )

    async def delete(self, tenant: str, collection: str, document_key: str) -> DeleteDocumentResponse:
        """Deletes a document and what only it needed.

        Raises:
            Precondition: RUN_UNFINISHED.
        """
        collection = collection or DEFAULT_COLLECTION
        with self._audit.noted("document.delete", f"{collection}/{document_key}"):
            return await self._deleted(tenant, collection, document_key)

    async def _deleted(self, tenant: str, collection: str, document_key: str) -> DeleteDocumentResponse:
        await self._deletions.check_finished(tenant, collection, document_key)
        sources = await self._deletions.sources(tenant, collection, document_key)
        request = DeleteDocumentRequest(
            collection=collection, document_key=document_key, source_sha256=sources
        )
        gone = await self._peers.index.DeleteDocument(request)
        answer = DeleteDocumentResponse(versions=gone.versions, chunks=gone.chunks, vectors=gone.vectors)
        for sha256 in gone.orphaned_source_sha256:
            delete = partial(self._delete_source, sha256, answer)
            await insist(
                partial(self._deletions.delete_source, tenant, sha256, delete), seconds=PATIENCE_SECONDS
            )
        return answer

    async def delete_many(self, tenant: str, request: DeleteDocumentsRequest) -> DeleteDocumentsResponse:
        """Deletes a page of the documents that match; those with a run under way stay, and are named.

        Raises:
            InvalidRequest: INVALID_REQUEST, PAGE_TOKEN_INVALID.
            Precondition: JOB_UNFINISHED, of a document whose file and pages stay: a parse of them goes on.
        """
        if not request.collection:
            text = f'Name the collection; the usual one is "{DEFAULT_COLLECTION}".'
            raise InvalidRequest("INVALID_REQUEST", text)
        size = page_size(request.page_size, DEFAULT_DELETIONS, MOST_DELETIONS)
        answer = DeleteDocumentsResponse(next_page_token=request.page_token)
        looked_at, more = 0, True
        while more:
            asked = ListDocumentsRequest(
                collection=request.collection,
                metadata=request.metadata,
                page_size=min(DELETIONS_AT_ONCE, size - looked_at),
                page_token=answer.next_page_token,
            )
            page = await self._peers.index.ListDocuments(asked)
            for document in page.documents:
                await self._delete_one(tenant, document, answer)
            looked_at += len(page.documents)
            answer.next_page_token = page.next_page_token
            more = bool(page.next_page_token) and looked_at < size and _has_time()
        if not answer.next_page_token:
            await self._name_unfinished(tenant, request, answer)
        detail = {"documents": str(answer.documents), "unfinished": str(len(answer.unfinished))}
        self._audit.note("documents.delete", request.collection, detail=detail)
        return answer

    async def _delete_one(self, tenant: str, document: Document, answer: DeleteDocumentsResponse) -> None:
        try:
            gone = await self.delete(tenant, document.collection, document.document_key)
        except Precondition as error:
            if error.reason != "RUN_UNFINISHED":
                raise
            answer.unfinished.add(document_key=document.document_key, run_id=error.metadata["run_id"])
            return
        answer.documents += 1
        for field in DeleteDocumentResponse.DESCRIPTOR.fields:
            setattr(answer, field.name, getattr(answer, field.name) + getattr(gone, field.name))

    async def _name_unfinished(
        self, tenant: str, request: DeleteDocumentsRequest, answer: DeleteDocumentsResponse
    ) -> None:
        """Names what comes into the index after this, too."""
        named = {one.run_id for one in answer.unfinished}
        rows = await self._deletions.unfinished(tenant, request.collection, request.metadata, MOST_UNFINISHED)
        for row in rows:
            if str(row["run_id"]) not in named:
                answer.unfinished.add(document_key=row["document_key"], run_id=str(row["run_id"]))

    async def _delete_source(self, sha256: str, answer: DeleteDocumentResponse) -> None:
        forgotten = await self._peers.parser.DeleteParseJobs(DeleteParseJobsRequest(source_sha256=sha256))
        deleted = await self._peers.objects.DeleteObject(DeleteObjectRequest(key=source_key(sha256)))
        answer.parse_results += forgotten.results
        answer.sources += deleted.deleted


def _has_time() -> bool:
    seconds = deadline.remaining_seconds()
    return seconds is None or seconds > SPARE_SECONDS
