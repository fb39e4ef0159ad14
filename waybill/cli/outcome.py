"""How a document of an `ingest` ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from waybill.cli.exits import Exit
from waybill.cli.objects import Shape, reading_object, refusal_object, state_name
from waybill.cli.sources import Source
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import ServiceError

GOOD_STATES = frozenset({Run.STATE_READY, Run.STATE_READY_DEGRADED, Run.STATE_UNCHANGED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one document ended: its last known run, and what went wrong between us and the service.

    Attributes:
        same_content_as: Key of another document of the collection that was made from the same file.
    """

    source: Source
    run: Run | None = None
    error: ServiceError | None = None
    same_content_as: str = ""

    @property
    def good(self) -> bool:
        """Whether the document is in the index with this content, or will be without further ado."""
        return self.error is None and self.run is not None and (self.waiting or self.run.state in GOOD_STATES)

    @property
    def waiting(self) -> bool:
        """Whether it goes on by itself: a vendor takes its time, or a budget does not allow it yet."""
        return self.blocked or (self.run is not None and self.run.state == Run.STATE_WAITING_ON_VENDOR)

    @property
    def blocked(self) -> bool:
        """Whether it waits for a budget."""
        return self.run is not None and self.run.state == Run.STATE_BLOCKED_ON_BUDGET

    @property
    def state(self) -> str:
        """The run's state; FAILED for a document that has none."""
        return state_name(self.run) if self.run else "FAILED"


def exit_of(outcomes: Sequence[Outcome]) -> Exit:
    """OK only when every document is in the index with its present content, or waits on a vendor."""
    if not all(outcome.good for outcome in outcomes):
        return Exit.DOCUMENT_FAILED
    return Exit.QUOTA if any(outcome.blocked for outcome in outcomes) else Exit.OK


def document_object(outcome: Outcome, correlation_id: str) -> Shape:
    """A document, as `ingest` prints it; a refused one has no run and is FAILED."""
    run = outcome.run
    return {
        "path": str(outcome.source.path),
        "document_key": outcome.source.document_key,
        "document_id": (run.document_id or None) if run else None,
        "run_id": run.run_id if run else None,
        "correlation_id": run.correlation_id if run else correlation_id,
        "state": outcome.state,
        "reason": (run.reason or None) if run else None,
        "message": (run.message or None) if run else None,
        "pages": run.pages if run else 0,
        "chunks": run.chunks if run else 0,
        "cost_nano_usd": run.cost_nano_usd if run else 0,
        "simulated_nano_usd": run.simulated_nano_usd if run else 0,
        "reading": reading_object(run.reading) if run and run.HasField("reading") else None,
        "same_content_as": outcome.same_content_as or None,
        "error": error_object(outcome),
    }


def error_object(outcome: Outcome) -> Shape | None:
    """Why a document is not in the index; None where it is, or waits."""
    if outcome.good:
        return None
    if outcome.error is not None:
        return refusal_object(outcome.error)
    assert outcome.run is not None
    run = outcome.run
    return {"code": state_name(run), "reason": run.reason or state_name(run), "message": run.message}
