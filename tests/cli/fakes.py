"""Stand-ins for the two services that the CLI talks to, on a real socket, and makers of what they tell."""

# ruff: noqa: N802 gRPC names the methods

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, NoReturn

import grpc
from grpc_status import rpc_status

from waybill.cli.screen import Screen, plain_console
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.file_type_pb2 import FileType
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.avoided_pb2 import Avoided, ListAvoidedRequest, ListAvoidedResponse
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal
from waybill.ledger.v1.invoice_pb2 import (
    ApplyInvoiceRequest,
    ApplyInvoiceResponse,
    Drift,
    ImportInvoiceRequest,
    ImportInvoiceResponse,
    Invoice,
    ListDriftRequest,
    ListDriftResponse,
)
from waybill.ledger.v1.ledger_service_pb2 import (
    ListEntriesRequest,
    ListEntriesResponse,
    ListPricesRequest,
    ListPricesResponse,
    ReportRequest,
    ReportResponse,
    SetBudgetRequest,
    SetBudgetResponse,
    WriteOffRequest,
    WriteOffResponse,
)
from waybill.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    add_LedgerServiceServicer_to_server,
)
from waybill.ledger.v1.plan_pb2 import ListPlansRequest, ListPlansResponse, Plan
from waybill.ledger.v1.price_pb2 import Price
from waybill.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.heal_plan_pb2 import PlanHealResponse
from waybill.orchestrator.v1.mode_service_pb2 import (
    GetModeResponse,
    ServiceMode,
    SetModeRequest,
    SetModeResponse,
)
from waybill.orchestrator.v1.mode_service_pb2_grpc import (
    ModeServiceServicer,
    add_ModeServiceServicer_to_server,
)
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    add_OrchestratorServiceServicer_to_server,
)
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan, PlanLine, PlanResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import NotFound, Precondition, Quota, ServiceError, to_status
from waybill.settings import FIXED_PORTS
from waybill.storage.v1.chunk_pb2 import Chunk, Coverage, Hit
from waybill.storage.v1.document_pb2 import Collection

RUN_ID = "0193e0c4-1111-7000-8000-{:012d}"
# What a hostile document, name or vendor may hold: a colour, a title, a bell, bidi, C1, and Rich markup.
NASTY = "\x1b[31m\x1b]0;x\x07[bold red]\u202e\x9b2J[/]\u2028"


def make_run(number: int = 1, **fields: Any) -> Run:
    """A READY run."""
    run_id = RUN_ID.format(number)
    defaults: dict[str, Any] = {
        "run_id": run_id,
        "correlation_id": "label-1",
        "trace_id": run_id.replace("-", ""),
        "state": Run.STATE_READY,
        "step": "publish",
        "document_key": f"document-{number}.md",
        "document_id": f"id-{number}",
        "pages": 2,
        "chunks": 5,
        "simulated_nano_usd": 6_000_840,
        "size_bytes": 10,
        "tries": 1,
    }
    return Run(**(defaults | fields))


def make_document(number: int = 1, **fields: Any) -> Document:
    """A READY document that was published five minutes ago."""
    defaults: dict[str, Any] = {
        "document_id": f"id-{number}",
        "collection": "default",
        "document_key": f"document-{number}.md",
        "state": Document.STATE_READY,
        "version_id": f"version-{number}",
        "run_id": RUN_ID.format(number),
        "source_sha256": "a" * 64,
        "size_bytes": 1_234_567,
        "pages": 12,
        "chunks": 5,
        "publish_time": datetime.now(UTC) - timedelta(minutes=5),
    }
    return Document(**(defaults | fields))


def make_entry(run_id: str, **fields: Any) -> Entry:
    """A settled, simulated embedding of 42 tokens."""
    defaults: dict[str, Any] = {
        "entry_id": f"entry-{run_id[-2:]}",
        "run_id": run_id,
        "correlation_id": "label-1",
        "operation": "embed",
        "vendor": "openai",
        "model": "text-embedding-3-small",
        "kind": CostKind.COST_KIND_SIMULATED,
        "state": Entry.STATE_SETTLED,
        "attempt": 1,
        "quantity": 42,
        "unit": "token",
        "price_nano_usd_per_million": 20_000_000,
        "expected_nano_usd": 840,
        "reported_nano_usd": 840,
        "owner": "embedder/1",
        "service": "embedder",
    }
    return Entry(**(defaults | fields))


def make_plan(**fields: Any) -> PlanResponse:
    """Two pages and five new chunks at a simulated vendor, and the like at another."""
    ways = (("cost_effective", 7_500_000), ("fast", 2_500_000))
    lines = [
        PlanLine(
            parse_vendor="llamaparse",
            parse_model=tier,
            embed_vendor="openai",
            embed_model="text-embedding-3-small",
            configured=number == 0,
            exact=True,
            parse_kind=CostKind.COST_KIND_SIMULATED if number == 0 else CostKind.COST_KIND_UNSPECIFIED,
            embed_kind=CostKind.COST_KIND_SIMULATED if number == 0 else CostKind.COST_KIND_UNSPECIFIED,
            pages=2,
            tokens=42,
            parse_nano_usd=cost,
            embed_nano_usd=840,
            most_parse_nano_usd=cost,
            most_embed_nano_usd=840,
        )
        for number, (tier, cost) in enumerate(ways)
    ]
    approval = ApprovedPlan(price_day="2026-11-27", simulated_nano_usd=7_500_840)
    defaults: dict[str, Any] = {"pages": 2, "chunks_new": 5, "text_known": True, "price_day": "2026-11-27"}
    return PlanResponse(**(defaults | {"lines": lines, "approval": approval} | fields))


def make_spans() -> list[Span]:
    """A root, a step, and a vendor call in it whose process died."""
    root = Span(span_id="a" * 16, service="orchestrator", name="ingest", duration_nano=2_000_000_000)
    step = Span(span_id="b" * 16, parent_span_id=root.span_id, service="orchestrator", name="embed")
    step.start_unix_nano, step.duration_nano = 500_000_000, 1_000_000_000
    call = Span(span_id="c" * 16, parent_span_id=step.span_id, service="embedder", name="openai embed")
    call.start_unix_nano, call.duration_nano = 1_000_000_000, 400_000_000
    call.interrupted, call.simulated_nano_usd, call.entry_id = True, 840, "entry-1"
    return [root, step, call]


class Orchestrator(OrchestratorServiceServicer):
    """Remembers what it was sent; refuses by key what `refusals` names."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.refusals: dict[str, ServiceError] = {}
        self.plan = make_plan()
        # How often it is full, by key, before it takes a document.
        self.full: Counter[str] = Counter()
        self.on_full: Callable[[], object] = lambda: None
        self.requests: list[Any] = []
        self.runs_begin_as: dict[str, Any] = {"state": Run.STATE_QUEUED, "step": "store"}
        self.runs: dict[str, Run] = {}
        self.endings: dict[str, Run] = {}
        self.headers: list[orchestrator.IngestRequest.Header] = []
        self.coverage = Coverage(chunks=5, vectors=5)
        self.contents: dict[str, str] = {}
        self.metadata: dict[str, str | bytes] = {}
        self.hits: list[Hit] = []
        self.traces: list[orchestrator.GetTraceResponse.Trace] = []
        self.documents: list[Document] = []
        self.unfinished: list[orchestrator.DeleteDocumentsResponse.Unfinished] = []
        self.chunks: list[Chunk] = []

    def Ingest(self, request_iterator: Any, context: Any) -> orchestrator.IngestResponse:
        self.metadata = dict(context.invocation_metadata())
        header = next(request_iterator).header
        self.headers.append(header)
        if self.full[header.document_key] > 0:
            self.full[header.document_key] -= 1
            self.on_full()
            abort(context, Quota("QUEUE_FULL", "Many documents are waiting.", retry_after_seconds=0.01))
        if header.document_key in self.refusals:
            abort(context, self.refusals[header.document_key])
        content = b"".join(message.data for message in request_iterator)
        self.contents[header.document_key] = hashlib.sha256(content).hexdigest()
        run = make_run(
            next(self._numbers),
            **self.runs_begin_as,
            document_key=header.document_key,
            source_sha256=header.sha256,
            correlation_id=dict(context.invocation_metadata())["x-correlation-id"],
        )
        self.runs[run.run_id] = run
        return orchestrator.IngestResponse(run=run)

    def Plan(self, request_iterator: Any, context: Any) -> PlanResponse:
        header = next(request_iterator).header
        for _ in request_iterator:
            pass
        if header.document_key in self.refusals:
            abort(context, self.refusals[header.document_key])
        return self.plan

    def PlanHeal(self, request: Any, context: Any) -> PlanHealResponse:
        return PlanHealResponse(plan=self.plan)

    def HealRun(self, request: Any, context: Any) -> orchestrator.HealRunResponse:
        self.requests.append(request)
        if request.run_id in self.refusals:
            abort(context, self.refusals[request.run_id])
        return orchestrator.HealRunResponse(run=self.runs[request.run_id])

    def WatchRun(self, request: Any, context: Any) -> Iterator[orchestrator.WatchRunResponse]:
        run = self.known(request.run_id, context)
        yield orchestrator.WatchRunResponse(run=run, resume_token="1")
        ending = self.endings.get(run.document_key, Run(state=Run.STATE_READY, step="publish"))
        run.MergeFrom(ending)
        yield orchestrator.WatchRunResponse(run=run, resume_token="2")

    def GetRun(self, request: Any, context: Any) -> orchestrator.GetRunResponse:
        return orchestrator.GetRunResponse(run=self.known(request.run_id, context))

    def ListRuns(self, request: Any, context: Any) -> orchestrator.ListRunsResponse:
        """Two a page."""
        self.requests.append(orchestrator.ListRunsRequest.FromString(request.SerializeToString()))
        newest = [
            run
            for run in reversed(self.runs.values())
            if request.correlation_id in ("", run.correlation_id)
            and (not request.states or run.state in request.states)
        ]
        start = int(request.page_token or 0)
        token = str(start + 2) if start + 2 < len(newest) else ""
        return orchestrator.ListRunsResponse(runs=newest[start : start + 2], next_page_token=token)

    def CancelRun(self, request: Any, context: Any) -> orchestrator.CancelRunResponse:
        run = self.known(request.run_id, context)
        run.state, run.reason = Run.STATE_CANCELLED, "CANCELLED"
        return orchestrator.CancelRunResponse(
            run=run, released_nano_usd=3_000_000, released_simulated_nano_usd=840
        )

    def RetryRun(self, request: Any, context: Any) -> orchestrator.RetryRunResponse:
        self.requests.append(request)
        run = self.known(request.run_id, context)
        if run.state == Run.STATE_READY:
            abort(context, Precondition("RUN_READY", "There is nothing to retry."))
        run.state, run.tries = Run.STATE_QUEUED, run.tries + 1
        return orchestrator.RetryRunResponse(run=run)

    def DeleteDocument(self, request: Any, context: Any) -> orchestrator.DeleteDocumentResponse:
        self.requests.append(request)
        if request.document_key == "nothing.md":
            return orchestrator.DeleteDocumentResponse()
        if request.document_key in self.refusals:
            abort(context, self.refusals[request.document_key])
        return orchestrator.DeleteDocumentResponse(
            versions=1, chunks=2_000, vectors=2_000, sources=1, parse_results=1
        )

    def DeleteDocuments(self, request: Any, context: Any) -> orchestrator.DeleteDocumentsResponse:
        """Two a page; what has a run under way stays."""
        self.requests.append(request)
        matching = self._matching(request)
        gone, more = matching[:2], matching[2:]
        self.documents = [one for one in self.documents if one not in gone]
        return orchestrator.DeleteDocumentsResponse(
            documents=len(gone),
            versions=len(gone),
            chunks=sum(one.chunks for one in gone),
            unfinished=[] if more else self.unfinished,
            next_page_token="more" if more else "",
        )

    def ListDocuments(self, request: Any, context: Any) -> orchestrator.ListDocumentsResponse:
        """Two a page."""
        matching, start = self._matching(request), int(request.page_token or 0)
        token = str(start + 2) if start + 2 < len(matching) else ""
        return orchestrator.ListDocumentsResponse(
            documents=matching[start : start + 2], next_page_token=token
        )

    def _matching(self, request: Any) -> list[Document]:
        return [
            one
            for one in self.documents
            if request.collection in ("", one.collection)
            and getattr(request, "origin", "") in ("", one.origin)
            and getattr(request, "source_sha256", "") in ("", one.source_sha256)
            and dict(request.metadata).items() <= dict(one.metadata).items()
        ]

    def ListCollections(self, request: Any, context: Any) -> orchestrator.ListCollectionsResponse:
        counts = Counter(one.collection for one in self.documents)
        listed = [
            Collection(collection=name, documents=number, chunks=5 * number)
            for name, number in counts.items()
        ]
        return orchestrator.ListCollectionsResponse(collections=listed)

    def ListChunks(self, request: Any, context: Any) -> orchestrator.ListChunksResponse:
        if request.document_key not in [one.document_key for one in self.documents]:
            abort(context, NotFound("DOCUMENT_NOT_FOUND", "The collection has no document of this key."))
        return orchestrator.ListChunksResponse(chunks=self.chunks, version_id="version-1")

    def Search(self, request: Any, context: Any) -> orchestrator.SearchResponse:
        self.requests.append(request)
        return orchestrator.SearchResponse(
            hits=self.hits[: request.limit],
            space=Space(model="local", dimension=256),
            coverage=self.coverage,
        )

    def ListFileTypes(self, request: Any, context: Any) -> orchestrator.ListFileTypesResponse:
        pdf = FileType(name="pdf", label="PDF", suffixes=[".pdf"])
        return orchestrator.ListFileTypesResponse(file_types=[pdf], any_text=True)

    def GetTrace(self, request: Any, context: Any) -> orchestrator.GetTraceResponse:
        return orchestrator.GetTraceResponse(traces=self.traces)

    def known(self, run_id: str, context: Any) -> Run:
        if run_id not in self.runs:
            abort(context, NotFound("RUN_NOT_FOUND", f"No run {run_id}."))
        return self.runs[run_id]

    def has(self, *runs: Run) -> None:
        """Takes these runs for its own, oldest first."""
        self.runs.update({run.run_id: run for run in runs})


class Ledger(LedgerServiceServicer):
    """Lists what it was given, one entry a page."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.totals: list[RunTotal] = []
        self.avoided: list[Avoided] = []
        self.report = ReportResponse()
        self.prices: list[Price] = []
        self.budgets: list[SetBudgetRequest] = []
        self.plans: list[Plan] = []
        self.asked: list[ReportRequest] = []
        self.written_off: list[WriteOffRequest] = []
        self.imported: list[ImportInvoiceRequest] = []
        self.drifts: list[Drift] = []
        self.applied = 0
        self.fault: ServiceError | None = None

    def ListEntries(self, request: ListEntriesRequest, context: Any) -> ListEntriesResponse:
        if self.fault:
            abort(context, self.fault)
        matching = [
            entry
            for entry in self.entries
            if (not request.run_ids or entry.run_id in request.run_ids)
            and request.correlation_id in ("", entry.correlation_id)
            and (entry.state == Entry.STATE_IN_DOUBT or not request.in_doubt)
        ]
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(matching) else ""
        totals = [] if start else self.totals
        return ListEntriesResponse(entries=matching[start : start + 1], next_page_token=token, totals=totals)

    def SetBudget(self, request: SetBudgetRequest, context: Any) -> SetBudgetResponse:
        self.budgets.append(request)
        return SetBudgetResponse(budget=request.budget)

    def WriteOff(self, request: WriteOffRequest, context: Any) -> WriteOffResponse:
        self.written_off.append(request)
        return WriteOffResponse(
            entry=make_entry("run-1", entry_id=request.entry_id, state=Entry.STATE_WRITTEN_OFF)
        )

    def ImportInvoice(self, requests: Iterator[ImportInvoiceRequest], context: Any) -> ImportInvoiceResponse:
        self.imported = list(requests)
        header = self.imported[0].header
        lines = sum(len(one.lines.lines) for one in self.imported)
        invoice = Invoice(
            invoice_id="invoice-1", sha256=header.sha256, name=header.name, vendor=header.vendor,
            kind=header.kind, lines=lines, first_day="2026-11-27", last_day="2026-11-27",
        )  # fmt: skip
        return ImportInvoiceResponse(invoice=invoice, known=self.applied > 0)

    def ListDrift(self, request: ListDriftRequest, context: Any) -> Iterator[ListDriftResponse]:
        for drift in self.drifts:
            yield ListDriftResponse(drifts=[drift])

    def ApplyInvoice(self, request: ApplyInvoiceRequest, context: Any) -> ApplyInvoiceResponse:
        self.applied += 1
        self.drifts = self.drifts[1:]
        return ApplyInvoiceResponse(settled=1, more=bool(self.drifts))

    def ListPlans(self, request: ListPlansRequest, context: Any) -> ListPlansResponse:
        return ListPlansResponse(plans=[one for one in self.plans if one.run_id in request.run_ids])

    def ListAvoided(self, request: ListAvoidedRequest, context: Any) -> ListAvoidedResponse:
        matching = [one for one in self.avoided if not request.run_ids or one.run_id in request.run_ids]
        return ListAvoidedResponse(avoided=matching)

    def ListPrices(self, request: ListPricesRequest, context: Any) -> ListPricesResponse:
        return ListPricesResponse(prices=self.prices)

    def Report(self, request: ReportRequest, context: Any) -> ReportResponse:
        self.asked.append(request)
        return self.report

    def Hold(self, request: Any, context: Any) -> NoReturn:
        raise NotImplementedError

    Settle = Release = Hold


def make_hit(text: str = "A passage.", **fields: Any) -> Hit:
    """A hit on page 3."""
    chunk = Chunk(text=text, heading="Top › Below", page=3, chunk_id="chunk-1")
    defaults: dict[str, Any] = {"chunk": chunk, "document_key": "document-1.md", "score": 0.03}
    return Hit(**(defaults | fields))


def make_screen(as_json: bool = False, terminal: bool = False) -> Screen:
    """A screen in memory, 60 columns wide, its results recorded."""
    out = plain_console(file=StringIO(), width=60, record=True)
    return Screen(out, plain_console(file=StringIO(), width=60, force_terminal=terminal), as_json)


def abort(context: Any, error: ServiceError) -> NoReturn:
    """Ends a call as our servers do."""
    context.abort_with_status(rpc_status.to_status(to_status(error)))
    raise AssertionError("unreachable")


class Modes(ModeServiceServicer):
    """Switches what it is told to."""

    def __init__(self) -> None:
        self.asked: list[SetModeRequest] = []
        self.found = [
            make_mode("parser", "llamaparse", Mode.MODE_HYBRID),
            make_mode("embedder", "openai", Mode.MODE_HYBRID),
            make_mode("storage", "local", Mode.MODE_LOCAL, CostKind.COST_KIND_UNSPECIFIED),
        ]

    def GetMode(self, request: Any, context: Any) -> GetModeResponse:
        return GetModeResponse(services=self.found)

    def SetMode(self, request: SetModeRequest, context: Any) -> SetModeResponse:
        self.asked.append(request)
        for one in self.found[:2]:
            one.mode, one.source, one.set_by = request.mode, ServiceMode.SOURCE_SWITCH, "local"
            one.choice.mode, one.choice.reason = request.mode, Mode.Name(request.mode)
        return SetModeResponse(services=self.found)


def make_mode(
    service: str, backend: str, mode: Mode, kind: CostKind = CostKind.COST_KIND_SIMULATED
) -> ServiceMode:
    """The mode of a service, by its settings."""
    choice = BackendChoice(service=service, backend=backend, mode=mode, reason=Mode.Name(mode))
    found = ServiceMode(
        service=service, mode=mode, source=ServiceMode.SOURCE_SETTINGS, choice=choice, vendor_kind=kind
    )
    found.since.FromSeconds(1_795_000_000)
    return found


@contextmanager
def serving(
    orchestrator_servicer: Orchestrator, ledger: Ledger, modes: Modes | None = None
) -> Iterator[dict[str, str]]:
    """Both on one free port; the environment that leads every client there."""
    server = grpc.server(ThreadPoolExecutor(8))
    add_ModeServiceServicer_to_server(modes or Modes(), server)
    add_OrchestratorServiceServicer_to_server(orchestrator_servicer, server)
    add_LedgerServiceServicer_to_server(ledger, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield {f"WAYBILL_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name in FIXED_PORTS}
    finally:
        server.stop(None).wait()
