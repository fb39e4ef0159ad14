"""The JSON objects of the CLI. Their keys are a promise: docs/cli.md lists them, and a test compares."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from waybill.cli.exits import code_of
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.reading_pb2 import Reading
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.asking_pb2 import Asking
from waybill.ledger.v1.avoided_pb2 import Avoided
from waybill.ledger.v1.entry_pb2 import Entry, WouldCost
from waybill.ledger.v1.invoice_pb2 import ApplyInvoiceResponse, Drift, Invoice
from waybill.ledger.v1.plan_pb2 import Plan
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunResponse,
    DeleteDocumentResponse,
    DeleteDocumentsResponse,
    GetTraceResponse,
)
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import ServiceError
from waybill.storage.v1.chunk_pb2 import Chunk, Hit
from waybill.storage.v1.document_pb2 import Collection
from waybill.storage.v1.link_pb2 import Link
from waybill.storage.v1.object_pb2 import Object

Shape = dict[str, Any]
KINDS = {
    CostKind.COST_KIND_REAL: "real",
    CostKind.COST_KIND_SIMULATED: "simulated",
    CostKind.COST_KIND_LOCAL: "local",
}

_TIERS = {Run.EMBEDDING_TIER_SYNCHRONOUS: "synchronous", Run.EMBEDDING_TIER_BATCH: "batch"}


def state_name(run: Run) -> str:
    """A run's state without its prefix."""
    return Run.State.Name(run.state).removeprefix("STATE_")


def kind_name(entry: Entry) -> str:
    """Whether an entry is real or simulated money, or none."""
    return KINDS.get(entry.kind, "unknown")


def run_object(run: Run) -> Shape:
    """A run, as `runs` and `run` print it."""
    return {
        "run_id": run.run_id,
        "correlation_id": run.correlation_id,
        "trace_id": run.trace_id,
        "collection": run.collection,
        "document_key": run.document_key,
        "document_id": run.document_id or None,
        "state": state_name(run),
        "step": run.step,
        "reason": run.reason or None,
        "message": run.message or None,
        "size_bytes": run.size_bytes,
        "source_sha256": run.source_sha256,
        "pages": run.pages,
        "chunks": run.chunks,
        "embedded_chunks": run.embedded_chunks,
        "cost_nano_usd": run.cost_nano_usd,
        "simulated_nano_usd": run.simulated_nano_usd,
        "uncertain_nano_usd": run.uncertain_nano_usd,
        "uncertain_simulated_nano_usd": run.uncertain_simulated_nano_usd,
        "create_time": _time(run, "create_time"),
        "end_time": _time(run, "end_time"),
        "starts": run.starts,
        "complete_by": _time(run, "complete_by"),
        "tries": run.tries,
        "embedding_tier": _TIERS.get(run.embedding_tier),
        "embedding_tier_reason": run.embedding_tier_reason or None,
        "subject": run.subject or None,
        "credential_id": run.credential_id or None,
        "backends": [choice_object(choice) for choice in run.backends],
        "reading": reading_object(run.reading) if run.HasField("reading") else None,
    }


def choice_object(choice: BackendChoice) -> Shape:
    """Who did the work of a service, and why."""
    return {
        "service": choice.service,
        "backend": choice.backend or None,
        "mode": Mode.Name(choice.mode).removeprefix("MODE_").lower(),
        "reason": choice.reason,
    }


def reading_object(reading: Reading) -> Shape:
    """How a document was read; lists that are empty are left out."""
    said = MessageToDict(reading, preserving_proto_field_name=True)
    return {"format": reading.format, "encoding": reading.encoding or None, "pages": reading.pages} | said


def indexed_object(document: Document) -> Shape:
    """A document of the index, as `documents` prints it."""
    return {
        "document_id": document.document_id,
        "collection": document.collection,
        "document_key": document.document_key,
        "state": Document.State.Name(document.state).removeprefix("STATE_"),
        "version_id": document.version_id or None,
        "run_id": document.run_id or None,
        "source_sha256": document.source_sha256 or None,
        "size_bytes": document.size_bytes,
        "pages": document.pages,
        "chunks": document.chunks,
        "space": space_object(document.space) if document.HasField("space") else None,
        "metadata": dict(document.metadata),
        "origin": document.origin or None,
        "create_time": _time(document, "create_time"),
        "publish_time": _time(document, "publish_time"),
    }


def collection_object(collection: Collection) -> Shape:
    """A collection, as `collections` prints it."""
    return {
        "collection": collection.collection,
        "documents": collection.documents,
        "chunks": collection.chunks,
    }


def stored_object(stored: Object) -> Shape:
    """A stored object, as `objects` prints it."""
    return {
        "key": stored.key,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "content_type": stored.content_type,
        "metadata": dict(stored.metadata),
        "create_time": _time(stored, "create_time"),
        "update_time": _time(stored, "update_time"),
    }


def link_object(link: Link) -> Shape:
    """A link, as `objects sign` and `open` print it."""
    return {
        "url": link.url,
        "method": link.method,
        "headers": dict(link.headers),
        "expire_time": _time(link, "expire_time"),
    }


def chunk_object(chunk: Chunk) -> Shape:
    """A passage of a document, as `chunks` prints it."""
    return {
        "ordinal": chunk.ordinal,
        "page": chunk.page,
        "heading": chunk.heading,
        "lead": chunk.lead,
        "text": chunk.text,
        "start_char": chunk.start_char,
        "end_char": chunk.end_char,
        "token_count": chunk.token_count,
        "sha256": chunk.sha256,
        "chunk_id": chunk.chunk_id,
    }


def cancelled_object(answer: CancelRunResponse) -> Shape:
    """What `cancel` prints: the run, and the holds that were given back."""
    return {
        **run_object(answer.run),
        "released_nano_usd": answer.released_nano_usd,
        "released_simulated_nano_usd": answer.released_simulated_nano_usd,
    }


def deleted_object(answer: DeleteDocumentResponse | DeleteDocumentsResponse) -> Shape:
    """How much `delete` has deleted."""
    return {
        "versions": answer.versions,
        "chunks": answer.chunks,
        "vectors": answer.vectors,
        "sources": answer.sources,
        "parse_results": answer.parse_results,
    }


def entry_object(entry: Entry) -> Shape:
    """A ledger entry, as `bill` prints it."""
    return {
        "entry_id": entry.entry_id,
        "operation": entry.operation,
        "service": entry.service,
        "vendor": entry.vendor,
        "model": entry.model,
        "kind": kind_name(entry),
        "spend_key": entry.spend_key,
        "attempt": entry.attempt,
        "state": Entry.State.Name(entry.state).removeprefix("STATE_"),
        "quantity": entry.quantity,
        "unit": entry.unit,
        "price_nano_usd_per_million": entry.price_nano_usd_per_million,
        "expected_nano_usd": entry.expected_nano_usd,
        "reported_nano_usd": entry.reported_nano_usd if entry.HasField("reported_nano_usd") else None,
        "adjusted_nano_usd": entry.adjusted_nano_usd,
        "invoiced_nano_usd": entry.invoiced_nano_usd if entry.HasField("invoiced_nano_usd") else None,
        "would_cost": _would_cost(entry.would_cost) if entry.HasField("would_cost") else None,
        "hold_time": _time(entry, "hold_time"),
        "end_time": _time(entry, "end_time"),
        "end_reason": entry.end_reason or None,
        "owner": entry.owner,
        "expire_time": _time(entry, "expire_time"),
        "vendor_reference": entry.vendor_reference or None,
        "asking": _asking(entry.asking) if entry.HasField("asking") else None,
    }


def approval_object(plan: Plan | ApprovedPlan) -> Shape:
    """What was agreed to, as `plan` and `bill` print it."""
    return {name: getattr(plan, name) for name in ("price_day", "nano_usd", "simulated_nano_usd")}


def refusal_object(error: ServiceError) -> Shape:
    """Why a document is refused, as `plan` and `ingest` print it."""
    return {"code": code_of(error).name, "reason": error.reason, "message": error.message}


def invoice_object(invoice: Invoice) -> Shape:
    """An invoice, as `reconcile` prints it at its end."""
    names = ("invoice_id", "name", "sha256", "vendor", "lines", "matched_lines")
    return {
        **{name: getattr(invoice, name) for name in names},
        "kind": KINDS.get(invoice.kind, "unknown"),
        "first_day": invoice.first_day or None,
        "last_day": invoice.last_day or None,
        "import_time": _time(invoice, "import_time"),
    }


def drift_object(drift: Drift) -> Shape:
    """Where an invoice and the ledger differ, as `reconcile` prints it."""
    words = ("day", "model", "tenant", "run_id", "document_key", "entry_id", "vendor_reference", "unit")
    figures = (
        "line", "entries", "invoiced_quantity", "ledger_quantity", "invoiced_nano_usd", "ledger_nano_usd",
    )  # fmt: skip
    reason = Drift.Reason.Name(drift.reason).removeprefix("REASON_")
    return {
        "reason": reason,
        **{name: getattr(drift, name) or None for name in words},
        **{name: getattr(drift, name) for name in figures},
    }


def applied_object(applied: ApplyInvoiceResponse) -> Shape:
    """What following an invoice has changed."""
    return {name: getattr(applied, name) for name in ("adjusted", "settled", "released")}


def avoided_object(avoided: Avoided) -> Shape:
    """What a run did not buy, as `bill` prints it."""
    names = ("operation", "vendor", "model", "quantity", "unit", "price_nano_usd_per_million", "nano_usd")
    return {"kind": KINDS.get(avoided.kind), **{name: getattr(avoided, name) for name in names}}


def _asking(asking: Asking) -> Shape:
    return {
        "possible": asking.possible,
        "times": asking.times,
        "last_time": _time(asking, "last_time"),
        "next_time": _time(asking, "next_time"),
        "answer": asking.answer or None,
    }


def _would_cost(like: WouldCost) -> Shape:
    names = ("vendor", "model", "price_nano_usd_per_million", "price_date", "nano_usd")
    return {name: getattr(like, name) for name in names}


def trace_object(trace: GetTraceResponse.Trace) -> Shape:
    """A run's trace, as `trace` prints it."""
    return {"run_id": trace.run_id, "trace_id": trace.trace_id, "spans": list(map(_span, trace.spans))}


def _span(span: Span) -> Shape:
    return {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id or None,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start_unix_nano": span.start_unix_nano,
        "duration_nano": span.duration_nano,
        "status": span.status,
        "interrupted": span.interrupted,
        "entry_id": span.entry_id or None,
        "cost_nano_usd": span.cost_nano_usd,
        "simulated_nano_usd": span.simulated_nano_usd,
    }


def hit_object(rank: int, hit: Hit) -> Shape:
    """A search hit; ranks count from 1."""
    return {
        "rank": rank,
        "document_key": hit.document_key,
        "page": hit.chunk.page,
        "heading": hit.chunk.heading,
        "lead": hit.chunk.lead,
        "score": hit.score,
        "text": hit.chunk.text,
        "chunk_id": hit.chunk.chunk_id,
        "excerpt": {
            "text": hit.excerpt.text,
            "start_char": hit.excerpt.start_char,
            "marks": [[mark.start, mark.end] for mark in hit.excerpt.marks],
        },
        "also": [{"document_key": place.document_key, "page": place.page} for place in hit.also],
        "parts": {
            "words": hit.parts.words,
            "excerpt": hit.parts.excerpt,
            "verbatim": hit.parts.verbatim,
            "cosine": hit.parts.cosine,
            "weight": hit.parts.weight,
            "matched": {one.word: one.share for one in hit.parts.matched},
        },
        "backends": [choice_object(choice) for choice in hit.backends],
        "lacking": list(hit.lacking),
    }


def space_object(space: Space) -> Shape:
    """A vector space."""
    return {"model": space.model, "dimension": space.dimension, "revision": space.revision}


def _time(message: Run | Entry | Asking | Invoice | Document | Object | Link, field: str) -> str | None:
    """RFC 3339 in UTC, or None where the field is unset."""
    value: Timestamp = getattr(message, field)
    return value.ToJsonString() if value.seconds or value.nanos else None
