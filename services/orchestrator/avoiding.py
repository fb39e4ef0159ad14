"""Tells the ledger what a run did not buy, since it was there.

It is no money, so that no run fails or waits for want of a ledger that hears it: then the log has it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from services.orchestrator.peers import Peers
from waybill.embedder.v1.offer_pb2 import EmbeddingOffer
from waybill.ledger.v1.avoided_pb2 import NoteAvoidedRequest
from waybill.runtime.errors import ServiceError
from waybill.runtime.retry import insist

NOTE_SECONDS = 2.0
log = structlog.get_logger()


async def found(peers: Peers, run_id: str, operations: Sequence[str]) -> None:
    """An earlier run has bought all of it, or has found it, too; empty is none.

    Args:
        peers: The ledger among them.
        run_id: That run.
        operations: "parse", "embed" or both.
    """
    if run_id:
        earlier = NoteAvoidedRequest.Earlier(run_id=run_id, operations=operations)
        await _note(peers, NoteAvoidedRequest(earlier=earlier))


async def vectors_kept(peers: Peers, offer: EmbeddingOffer, tokens: int) -> None:
    """Texts of so many tokens had their vectors already."""
    if tokens:
        kept = NoteAvoidedRequest.Kept(
            operation="embed", service="embedder", kind=offer.kind, vendor=offer.vendor, model=offer.model,
            unit="token", quantity=tokens,
        )  # fmt: skip
        await _note(peers, NoteAvoidedRequest(kept=kept))


async def _note(peers: Peers, request: NoteAvoidedRequest) -> None:
    try:
        await insist(partial(peers.ledger.NoteAvoided, request, timeout=NOTE_SECONDS), seconds=NOTE_SECONDS)
    except ServiceError as error:
        log.warning("what was not bought is not noted", reason=error.reason)
