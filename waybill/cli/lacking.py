"""What a document lacks that its vendor has not done, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from waybill.common.v1.backend_pb2 import BackendChoice
from waybill.vendors.choosing import EMBEDDER, PARSED_LOCALLY, PARSER, VECTORS_PENDING


def in_words(lacking: Sequence[str], backends: Sequence[BackendChoice]) -> Iterator[str]:
    """A few words for each, with the reason.

    Args:
        lacking: As a hit or a document has it.
        backends: Who did the work, and why.
    """
    why = {choice.service: f" ({choice.reason})" for choice in backends}
    words = {
        PARSED_LOCALLY: f"read on this machine{why.get(PARSER, '')}",
        VECTORS_PENDING: f"vectors pending{why.get(EMBEDDER, '')}",
    }
    return (words.get(reason, reason) for reason in lacking)
