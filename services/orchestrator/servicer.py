"""OrchestratorService: request → domain → response."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.orchestrator import spans, trace_ids
from services.orchestrator.admission import DEFAULT_COLLECTION, Admission
from services.orchestrator.peers import Peers
from services.orchestrator.runs import Row, RunRef, Runs
from services.orchestrator.steps import Steps
from services.orchestrator.traces import assemble
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1 import orchestrator_service_pb2_grpc
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime import identity
from waybill.runtime.channel import reading
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.postgres import Database
from waybill.storage.v1 import document_index_service_pb2 as index

DEFAULT_PAGE, MAX_PAGE, MAX_TRACES = 50, 200, 50
MAX_QUERY_CHARS, DEFAULT_LIMIT, MAX_LIMIT = 8_000, 10, 100


class OrchestratorServicer(orchestrator_service_pb2_grpc.OrchestratorServiceServicer):
    """The orchestrator's RPCs."""

    def __init__(
        self, admission: Admission, runs: Runs, steps: Steps, peers: Peers, database: Database
    ) -> None:
        self._admission = admission
        self._runs = runs
        self._steps = steps
        self._peers = peers
        self._database = database

    async def Ingest(self, requests: AsyncIterator[pb.IngestRequest], context: Any) -> pb.IngestResponse:  # noqa: N802
        """Takes a document in."""
        row = await self._admission.ingest(requests)
        return pb.IngestResponse(run=_run(row, RunTotal()))

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802
        """Reads a run and its cost."""
        row = await self._runs.find(_ref(request.run_id))
        return pb.GetRunResponse(run=(await self._priced([row]))[0])

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:  # noqa: N802
        """Lists runs, newest first."""
        if not 0 <= request.page_size <= MAX_PAGE:
            raise InvalidRequest("INVALID_REQUEST", f"page_size is 0 to {MAX_PAGE}.")
        size = request.page_size or DEFAULT_PAGE
        before = _page_token(request.page_token) if request.page_token else None
        tenant = identity.caller().tenant
        rows = await self._runs.page(tenant, size + 1, before, request.correlation_id or None)
        token = str(rows[size - 1]["run_id"]) if len(rows) > size else ""
        return pb.ListRunsResponse(runs=await self._priced(rows[:size]), next_page_token=token)

    async def WatchRun(  # noqa: N802
        self, request: pb.WatchRunRequest, context: Any
    ) -> AsyncIterator[pb.WatchRunResponse]:
        """Streams a run's changes until it is final."""
        seen = int(request.resume_token) if request.resume_token.isdecimal() else 0
        async for row in self._runs.watch(_ref(request.run_id), seen):
            run = (await self._priced([row]))[0]
            yield pb.WatchRunResponse(run=run, resume_token=str(row["revision"]))

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:  # noqa: N802
        """Embeds the question and asks the index."""
        query, limit = request.query.strip(), request.limit or DEFAULT_LIMIT
        if not query or len(query) > MAX_QUERY_CHARS or not 1 <= limit <= MAX_LIMIT:
            raise InvalidRequest(
                "INVALID_REQUEST", f"Ask with 1 to {MAX_QUERY_CHARS} characters, for 1 to {MAX_LIMIT} hits."
            )
        space, vector = await self._steps.space(), b""
        async with reading(self._peers.embedder.Embed(EmbedRequest(texts=[query], space=space))) as answers:
            async for answer in answers:
                vector += b"".join(one.values for one in answer.embeddings)
        found = await self._peers.index.Search(
            index.SearchRequest(
                collection=request.collection or DEFAULT_COLLECTION,
                query=query,
                vector=vector,
                space=space,
                mode=index.SearchRequest.MODE_HYBRID,
                limit=limit,
            )
        )
        return pb.SearchResponse(hits=found.hits, space=found.space, coverage=found.coverage)

    async def GetTrace(self, request: pb.GetTraceRequest, context: Any) -> pb.GetTraceResponse:  # noqa: N802
        """Joins rows, live spans and the ledger into traces."""
        tenant = identity.caller().tenant
        rows = await self._named(tenant, request.id)
        run_ids = [str(row["run_id"]) for row in rows]
        steps = await self._runs.steps(tenant, run_ids)
        live = await spans.of_traces(self._database, tenant, [trace_ids.trace_id(one) for one in run_ids])
        entries = await self._entries(run_ids)
        return pb.GetTraceResponse(traces=[_trace(row, steps, live, entries) for row in rows])

    async def _named(self, tenant: str, name: str) -> list[Row]:
        """The runs that an id of either kind names, oldest first."""
        try:
            return [await self._runs.find(RunRef(tenant, str(uuid.UUID(name))))]
        except (ValueError, NotFound):
            rows = await self._runs.page(tenant, MAX_TRACES, None, name)
        if not name or not rows:
            raise NotFound(
                "RUN_NOT_FOUND",
                "No run has this run id or correlation id. `waybill runs` lists those there are.",
            )
        return rows[::-1]

    async def _entries(self, run_ids: Sequence[str]) -> list[Entry]:
        request = ListEntriesRequest(run_ids=run_ids, page_size=1000)
        entries: list[Entry] = []
        while True:
            page = await self._peers.ledger.ListEntries(request)
            entries += page.entries
            if not page.next_page_token:
                return entries
            request.page_token = page.next_page_token

    async def _priced(self, rows: Sequence[Row]) -> list[Run]:
        run_ids = [str(row["run_id"]) for row in rows]
        if not run_ids:
            return []
        page = await self._peers.ledger.ListEntries(ListEntriesRequest(run_ids=run_ids, page_size=1))
        totals = {total.run_id: total for total in page.totals}
        return [_run(row, totals.get(str(row["run_id"]), RunTotal())) for row in rows]


def _trace(
    row: Row, steps: Sequence[Row], live: Sequence[Row], entries: Sequence[Entry]
) -> pb.GetTraceResponse.Trace:
    run_id = str(row["run_id"])
    trace_id = trace_ids.trace_id(run_id)
    return pb.GetTraceResponse.Trace(
        run_id=run_id,
        trace_id=trace_id,
        spans=assemble(
            row,
            [step for step in steps if step["run_id"] == row["run_id"]],
            [span for span in live if span["trace_id"] == trace_id],
            [entry for entry in entries if entry.run_id == run_id],
            time.time_ns(),
        ),
    )


def _run(row: Row, total: RunTotal) -> Run:
    same = ("correlation_id", "step", "reason", "message", "collection", "document_key", "document_id",
            "source_sha256", "size_bytes", "pages", "chunks", "embedded_chunks", "starts")  # fmt: skip
    money = ("cost_nano_usd", "simulated_nano_usd", "uncertain_nano_usd", "uncertain_simulated_nano_usd")
    run = Run(
        run_id=str(row["run_id"]),
        state=f"STATE_{row['state']}",
        trace_id=trace_ids.trace_id(str(row["run_id"])),
        create_time=_timestamp(row["created_at"]),
        **{name: row[name] for name in same},
        **{name: getattr(total, name) for name in money},
    )
    if row["ended_at"] is not None:
        run.end_time.CopyFrom(_timestamp(row["ended_at"]))
    return run


def _ref(run_id: str) -> RunRef:
    try:
        return RunRef(identity.caller().tenant, str(uuid.UUID(run_id)))
    except ValueError:
        raise NotFound("RUN_NOT_FOUND", "A run id is a UUID. `waybill runs` lists those there are.") from None


def _page_token(token: str) -> str:
    try:
        return str(uuid.UUID(token))
    except ValueError:
        raise InvalidRequest(
            "PAGE_TOKEN_INVALID", "Take page_token from the answer before, unchanged."
        ) from None


def _timestamp(moment: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(datetime.UTC))
    return stamp
