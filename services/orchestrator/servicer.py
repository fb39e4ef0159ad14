"""OrchestratorService: request → domain → response."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict

from services.orchestrator.admission import Admission, read_complete_by
from services.orchestrator.control import Control
from services.orchestrator.inventory import Inventory
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.planning import Plans
from services.orchestrator.runs.listing import RunFilter, RunListing
from services.orchestrator.runs.rows import Row, RunRef
from services.orchestrator.runs.store import Runs
from services.orchestrator.searches import Searches
from services.orchestrator.traces import bills
from services.orchestrator.traces import ids as trace_ids
from services.orchestrator.traces.reading import Traces
from waybill.common.v1.reading_pb2 import Reading
from waybill.ledger.v1.entry_pb2 import RunTotal
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1 import heal_plan_pb2, orchestrator_service_pb2_grpc, plan_pb2
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.parser.v1.parser_service_pb2 import ListFileTypesRequest
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.wire import bad_page_token, moment, page_size, resumed, timestamp
from waybill.vendors.choosing import PARSER, choices_of

DEFAULT_PAGE, MAX_PAGE = 50, 200


class OrchestratorServicer(orchestrator_service_pb2_grpc.OrchestratorServiceServicer):
    """The orchestrator's RPCs."""

    def __init__(
        self,
        *,
        admission: Admission,
        plans: Plans,
        runs: Runs,
        listing: RunListing,
        inventory: Inventory,
        control: Control,
        traces: Traces,
        searches: Searches,
        peers: Peers,
        modes: Modes,
    ) -> None:
        self._admission = admission
        self._plans = plans
        self._runs = runs
        self._listing = listing
        self._inventory = inventory
        self._control = control
        self._traces = traces
        self._searches = searches
        self._peers = peers
        self._modes = modes

    async def Ingest(self, requests: AsyncIterator[pb.IngestRequest], context: Any) -> pb.IngestResponse:
        """Takes a document in."""
        row = await self._admission.ingest(requests)
        return pb.IngestResponse(run=_run(row, RunTotal()))

    async def Plan(
        self, requests: AsyncIterator[plan_pb2.PlanRequest], context: Any
    ) -> plan_pb2.PlanResponse:
        """Says what an ingest would cost."""
        async with self._modes.standing():
            return await self._plans.plan(requests)

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        """Reads a run and its cost."""
        row = await self._runs.find(_ref(request.run_id))
        return pb.GetRunResponse(run=(await self._priced([row]))[0])

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        """Lists runs, newest first."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        before = _page_token(request.page_token) if request.page_token else None
        tenant = identity.caller().tenant
        rows = await self._listing.page(tenant, _run_filter(request), size + 1, before)
        token = str(rows[size - 1]["run_id"]) if len(rows) > size else ""
        return pb.ListRunsResponse(runs=await self._priced(rows[:size]), next_page_token=token)

    async def WatchRun(self, request: pb.WatchRunRequest, context: Any) -> AsyncIterator[pb.WatchRunResponse]:
        """Sends the run as it is, then after each change, until it is final; rapid changes are merged."""
        seen = resumed(request.resume_token)
        async for row in self._runs.watch(_ref(request.run_id), seen):
            # Each price is a read of the ledger, which has more to do while runs are under way.
            under_way = row["state"] in ("QUEUED", "RUNNING")
            run = _run(row, RunTotal()) if under_way else (await self._priced([row]))[0]
            yield pb.WatchRunResponse(run=run, resume_token=str(row["revision"]))

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunResponse:
        """Stops a run."""
        cancelled = await self._control.cancel(_ref(request.run_id))
        return pb.CancelRunResponse(
            run=(await self._priced([cancelled.row]))[0],
            released_nano_usd=cancelled.released_nano_usd,
            released_simulated_nano_usd=cancelled.released_simulated_nano_usd,
        )

    async def RetryRun(self, request: pb.RetryRunRequest, context: Any) -> pb.RetryRunResponse:
        """Takes a run up again."""
        row = await self._control.retry(_ref(request.run_id), read_complete_by(request))
        return pb.RetryRunResponse(run=(await self._priced([row]))[0])

    async def HealRun(self, request: pb.HealRunRequest, context: Any) -> pb.HealRunResponse:
        """Gives a degraded run's document what it lacks."""
        plan = request.plan if request.HasField("plan") else None
        row = await self._control.heal(_ref(request.run_id), plan)
        return pb.HealRunResponse(run=(await self._priced([row]))[0])

    async def PlanHeal(
        self, request: heal_plan_pb2.PlanHealRequest, context: Any
    ) -> heal_plan_pb2.PlanHealResponse:
        """Says what a heal would cost."""
        row = await self._control.healable(_ref(request.run_id))
        async with self._modes.standing():
            return heal_plan_pb2.PlanHealResponse(plan=await self._plans.heal(row))

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, context: Any
    ) -> pb.DeleteDocumentResponse:
        """Deletes a document."""
        return await self._control.delete(identity.caller().tenant, request.collection, request.document_key)

    async def DeleteDocuments(
        self, request: pb.DeleteDocumentsRequest, context: Any
    ) -> pb.DeleteDocumentsResponse:
        """Deletes a page of the documents that match."""
        return await self._control.delete_many(identity.caller().tenant, request)

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Any) -> pb.GetDocumentResponse:
        """Reads a document."""
        document = await self._inventory.document(identity.caller().tenant, request)
        return pb.GetDocumentResponse(document=document)

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Any) -> pb.ListDocumentsResponse:
        """Lists documents."""
        return await self._inventory.documents(identity.caller().tenant, request)

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Any
    ) -> pb.ListCollectionsResponse:
        """Lists collections."""
        return await self._inventory.collections(request)

    async def ListChunks(self, request: pb.ListChunksRequest, context: Any) -> pb.ListChunksResponse:
        """Lists a document's published chunks."""
        return await self._inventory.chunks(request)

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        """Asks the index."""
        found, without_vector = await self._searches.search(request)
        return pb.SearchResponse(
            hits=found.hits,
            space=found.space,
            coverage=found.coverage,
            hint=found.hint,
            without_vector=without_vector,
        )

    async def GetTrace(self, request: pb.GetTraceRequest, context: Any) -> pb.GetTraceResponse:
        """Joins rows, live spans and the ledger into traces."""
        return await self._traces.of(identity.caller().tenant, request)

    async def ListFileTypes(self, request: pb.ListFileTypesRequest, context: Any) -> pb.ListFileTypesResponse:
        """Asks the parser."""
        answer = await self._peers.parser.ListFileTypes(
            ListFileTypesRequest(mode=await self._modes.of(PARSER))
        )
        return pb.ListFileTypesResponse(file_types=answer.file_types, any_text=answer.any_text)

    async def _priced(self, rows: Sequence[Row]) -> list[Run]:
        totals = await bills.totals(self._peers, [str(row["run_id"]) for row in rows])
        return [_run(row, totals.get(str(row["run_id"]), RunTotal())) for row in rows]


def _run(row: Row, total: RunTotal) -> Run:
    same = ("correlation_id", "step", "reason", "message", "collection", "document_key", "document_id",
            "source_sha256", "size_bytes", "pages", "chunks", "embedded_chunks", "starts",
            "tries", "subject", "credential_id")  # fmt: skip
    money = ("cost_nano_usd", "simulated_nano_usd", "uncertain_nano_usd", "uncertain_simulated_nano_usd")
    run = Run(
        run_id=str(row["run_id"]),
        state=f"STATE_{row['state']}",
        trace_id=trace_ids.trace_id(str(row["run_id"])),
        embedding_tier=f"EMBEDDING_TIER_{row['tier'] or 'UNSPECIFIED'}",
        embedding_tier_reason=row["tier_reason"],
        reading=ParseDict(row["reading"], Reading()) if row["reading"] else None,
        create_time=timestamp(row["created_at"]),
        backends=choices_of(row["backends"]),
        **{name: row[name] for name in same},
        **{name: getattr(total, name) for name in money},
    )
    if row["ended_at"] is not None:
        run.end_time.CopyFrom(timestamp(row["ended_at"]))
    if row["complete_by"] is not None:
        run.complete_by.CopyFrom(timestamp(row["complete_by"]))
    return run


def _run_filter(request: pb.ListRunsRequest) -> RunFilter:
    if not set(request.states) <= set(Run.State.values()) - {Run.STATE_UNSPECIFIED}:
        raise InvalidRequest("INVALID_REQUEST", "states are states of a run, such as STATE_READY.")
    accepted = {
        name: moment(getattr(request, name))
        for name in ("accepted_from", "accepted_before")
        if request.HasField(name)
    }
    return RunFilter(
        correlation_id=request.correlation_id,
        states=[Run.State.Name(state).removeprefix("STATE_") for state in sorted(set(request.states))],
        collection=request.collection or DEFAULT_COLLECTION,
        document_key=request.document_key,
        **accepted,
    )


def _ref(run_id: str) -> RunRef:
    try:
        return RunRef(identity.caller().tenant, str(uuid.UUID(run_id)))
    except ValueError:
        raise NotFound("RUN_NOT_FOUND", "A run id is a UUID. `waybill runs` lists those there are.") from None


def _page_token(token: str) -> str:
    try:
        return str(uuid.UUID(token))
    except ValueError:
        raise bad_page_token() from None
