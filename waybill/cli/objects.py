"""The JSON objects of the CLI. Their keys are a promise: docs/cli.md lists them, and a test compares.

An object is a message of the contract, field by field, but for what stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from waybill.cli.exits import code_of
from waybill.common.v1.backend_pb2 import BackendChoice
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.reading_pb2 import Reading
from waybill.ledger.v1.asking_pb2 import Asking
from waybill.ledger.v1.audit_pb2 import AuditEvent
from waybill.ledger.v1.avoided_pb2 import Avoided
from waybill.ledger.v1.budget_pb2 import Budget, BudgetAlert, BudgetChange
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.invoice_pb2 import ApplyInvoiceResponse, Drift, Invoice
from waybill.ledger.v1.plan_pb2 import Plan
from waybill.ledger.v1.report_pb2 import ReportTotal
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunResponse,
    DeleteDocumentResponse,
    DeleteDocumentsResponse,
)
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan, PlanLine
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import ServiceError
from waybill.storage.v1.chunk_pb2 import Hit

Shape = dict[str, Any]
KINDS = {
    CostKind.COST_KIND_REAL: "real",
    CostKind.COST_KIND_SIMULATED: "simulated",
    CostKind.COST_KIND_LOCAL: "local",
}

# What is null where it is empty.
_NULL: Mapping[type[Message], Collection[str]] = {
    Run: {
        "document_id",
        "reason",
        "message",
        "embedding_tier",
        "embedding_tier_reason",
        "subject",
        "credential_id",
    },
    BackendChoice: {"backend"},
    Document: {"version_id", "run_id", "source_sha256", "origin"},
    Entry: {"end_reason", "vendor_reference"},
    Asking: {"answer"},
    Avoided: {"kind"},
    Invoice: {"first_day", "last_day"},
    Drift: {"day", "model", "tenant", "run_id", "document_key", "entry_id", "vendor_reference", "unit"},
    Span: {"parent_span_id", "entry_id"},
    Budget: {"collection", "service", "run_id", "kind"},
    BudgetChange: {"subject", "credential_id"},
    BudgetAlert: {"last_error"},
    PlanLine: {"parse_kind", "embed_kind"},
    ReportTotal: {"kind"},
    AuditEvent: {"tenant", "caller", "subject", "credential_id", "correlation_id"},
}
# What is left out: the object that holds it says it already, or nobody needs it.
_LEFT_OUT: Mapping[type[Message], Collection[str]] = {
    BackendChoice: {"blocked_on"},
    CancelRunResponse: {"run"},
    Entry: {"run_id", "correlation_id", "span", "collection", "document_key", "size_bytes"},
    ApplyInvoiceResponse: {"more"},
    Avoided: {"run_id", "service", "note_time"},
    Budget: {"create_time", "update_time"},
    BudgetChange: {"budget_id", "old_thresholds", "new_thresholds"},
    BudgetAlert: {"budget_id"},
}
_RENAMED: Mapping[type[Message], Mapping[str, str]] = {
    Budget: {"thresholds": "alert_at_percent"},
    BudgetChange: {"change_time": "time"},
    BudgetAlert: {"alert_time": "time", "threshold": "threshold_percent"},
    AuditEvent: {"event_time": "time"},
}
# Enums that are written as the contract has them; others are in small letters.
_CAPITALS = ("State", "Reason")


def told(message: Message) -> Shape:
    """A message as an object: what is not set is null, times are text, enums go without their prefix."""
    kind = type(message)
    null, left_out, renamed = _NULL.get(kind, ()), _LEFT_OUT.get(kind, ()), _RENAMED.get(kind, {})
    return {
        renamed.get(field.name, field.name): _value(message, field, field.name in null)
        for field in message.DESCRIPTOR.fields
        if field.name not in left_out
    }


def _value(message: Message, field: Any, null: bool) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type and field.message_type.GetOptions().map_entry:
            return dict(sorted(value.items()))
        return [told(one) if field.message_type else one for one in value]
    if null and not value:
        return None
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if field.enum_type:
        names = field.enum_type.values_by_number
        if value not in names:
            return "unknown"  # of a newer stack
        name = names[value].name.removeprefix(names[0].name.removesuffix("UNSPECIFIED"))
        return name if field.enum_type.name in _CAPITALS else name.lower()
    return told(value) if field.message_type else value


def state_name(run: Run) -> str:
    """A run's state without its prefix."""
    return Run.State.Name(run.state).removeprefix("STATE_")


def kind_name(priced: Entry | Invoice) -> str:
    """Whether an entry is real or simulated money, or none."""
    return KINDS.get(priced.kind, "unknown")


def run_object(run: Run) -> Shape:
    """A run, as `runs` and `run` print it."""
    return {**told(run), "reading": reading_object(run.reading) if run.HasField("reading") else None}


def reading_object(reading: Reading) -> Shape:
    """How a document was read; lists that are empty are left out."""
    said = MessageToDict(reading, preserving_proto_field_name=True)
    return {"format": reading.format, "encoding": reading.encoding or None, "pages": reading.pages} | said


def cancelled_object(answer: CancelRunResponse) -> Shape:
    """What `cancel` prints: the run, and the holds that were given back."""
    return {**run_object(answer.run), **told(answer)}


def deleted_object(answer: DeleteDocumentResponse | DeleteDocumentsResponse) -> Shape:
    """How much `delete` has deleted."""
    return {field.name: getattr(answer, field.name) for field in DeleteDocumentResponse.DESCRIPTOR.fields}


def priced_object(priced: Entry | Invoice) -> Shape:
    """A ledger entry as `bill` prints it, or an invoice as `reconcile` does."""
    return {**told(priced), "kind": kind_name(priced)}


def approval_object(plan: Plan | ApprovedPlan) -> Shape:
    """What was agreed to, as `plan` and `bill` print it."""
    return {name: getattr(plan, name) for name in ("price_day", "nano_usd", "simulated_nano_usd")}


def refusal_object(error: ServiceError) -> Shape:
    """Why a document is refused, as `plan` and `ingest` print it."""
    return {"code": code_of(error).name, "reason": error.reason, "message": error.message}


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
        "backends": [told(choice) for choice in hit.backends],
        "lacking": list(hit.lacking),
    }
